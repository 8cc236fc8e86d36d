//! What the importer's tests share.
#![allow(dead_code, missing_docs)]

pub mod onnx;

use kinglet::format::RoundingSource;
use kinglet::ops::{Curve, ResizeBilinear, ResizeNearest};
use kinglet::{Activation, ChannelOrder, DType, Model, Padding, QuantParams, Rounding, Shape, Window};
use kinglet_tools::export;
use kinglet_tools::files::IntArray;
use kinglet_tools::graph::{
    ConstantFunction, Op, Rearrange, Stored, StoredConstant, StoredFunction, StoredWeights, Strided,
};
use kinglet_tools::network::{Network, Node, Pixels, TensorId, TensorInfo};
use kinglet_tools::simulate::{self, Images};
use ndarray::Array4;

pub const fn quant(scale: f32, zero_point: i32) -> QuantParams {
    QuantParams { scale, zero_point }
}

/// Numbers that look random, between -1 and 1.
pub fn noise(len: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

/// The real numbers that an int8 network makes of real inputs, in the runtime.
pub fn simulated(network: &Network, inputs: &Array4<f32>) -> Vec<f32> {
    let exported = export::to_bytes(network, &export::Options::default()).unwrap();
    let model = Model::new(&exported.bytes).unwrap();
    let elements = inputs.mapv(|x| kinglet::quant::quantize(x, model.input().quant).clamp(-128, 127) as i8);
    let images = Images::new(IntArray::Signed(elements.into_dyn()), &model.input(), None).unwrap();
    let outputs = simulate::run(model, &images).unwrap();
    outputs.iter().map(|&q| model.output().quant.dequantize(q.into())).collect()
}

/// Builds a network node by node.
pub struct Build(pub Network);

impl Build {
    pub fn new(name: &str, input: Shape, quant: QuantParams) -> Self {
        let tensor = TensorInfo { name: "input".into(), shape: input, dtype: DType::I8, quant };
        Self(Network {
            name: name.into(),
            tensors: vec![tensor],
            nodes: vec![],
            inputs: vec![0],
            outputs: vec![0],
            states: Vec::new(),
            labels: vec![],
            pixels: None,
            rounding: RoundingSource::Tflm,
        })
    }

    pub fn shape(&self, id: TensorId) -> Shape {
        self.0.tensors[id].shape
    }

    pub fn node(
        &mut self,
        name: &str,
        op: Op<Stored>,
        inputs: &[TensorId],
        shape: Shape,
        quant: QuantParams,
    ) -> TensorId {
        let id = self.0.tensors.len();
        self.0.tensors.push(TensorInfo { name: name.into(), shape, dtype: DType::I8, quant });
        let rounding = if name.ends_with("once") { Rounding::Single } else { Rounding::Double };
        let (activation, inputs) = (Activation::None, inputs.to_vec());
        self.0.nodes.push(Node { name: name.into(), op, activation, inputs, output: id, rounding });
        self.0.outputs = vec![id];
        id
    }

    /// Puts an activation behind the last node.
    pub fn activate(&mut self, activation: Activation) {
        self.0.nodes.last_mut().unwrap().activation = activation;
    }

    pub fn window(&self, input: TensorId, kernel: u32, stride: u32, padding: Padding) -> Window {
        let Shape { h, w, .. } = self.shape(input);
        Window::new([kernel; 2], [stride; 2], padding, [h, w])
    }

    pub fn conv(&mut self, name: &str, input: TensorId, c: u32, window: Window, q: QuantParams) -> TensorId {
        let from = self.shape(input);
        let [h, w] = window.output([from.h, from.w]).unwrap();
        let weights = StoredWeights::Int8 {
            weights: numbers(c * window.taps_len() * from.c, 3),
            scales: (0..c).map(|i| 0.004 + 0.001 * i as f32).collect(),
            bias: (0..c.into()).map(|i| i * 37 - 60).collect(),
        };
        let output = self.node(name, Op::Conv2d { window, weights }, &[input], Shape::new(h, w, c), q);
        self.activate(Activation::Relu);
        output
    }
}

/// Weights that look random.
pub fn numbers(len: u32, seed: u32) -> Vec<i8> {
    (0..len)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) >> 24) as u8 as i8)
        .map(|w| w.max(-127))
        .collect()
}

/// A network of all operators.
pub fn small_network() -> Network {
    let q = quant(0.05, -10);
    let mut b = Build::new("small", Shape::new(9, 8, 3), quant(1.0 / 128.0, -3));
    let w = b.window(0, 3, 2, Padding::Same);
    let stem = b.conv("stem", 0, 4, w, q);
    // Padding that is neither SAME nor VALID.
    let odd = Window { kernel: [3, 3], stride: [1, 1], before: [2, 0], after: [0, 2] };
    let branch = b.conv("branch", stem, 4, odd, quant(0.03, 4));
    let sum = b.node("sum", Op::Add, &[stem, branch], b.shape(stem), q);
    b.activate(Activation::Relu6);
    let w = b.window(sum, 3, 1, Padding::Same);
    let shape = b.shape(sum);
    let weights = StoredWeights::Int8 { weights: numbers(9 * 8, 5), scales: vec![0.01], bias: vec![5; 8] };
    let depthwise = Op::DepthwiseConv2d { window: w, weights };
    let depthwise = b.node("depthwise once", depthwise, &[sum], Shape { c: 8, ..shape }, q);
    let max = b.node("max", Op::MaxPool(w), &[sum], shape, q);
    let average = b.node("average", Op::AveragePool(w), &[sum], shape, q);
    let wide = Shape { c: 16, ..shape };
    let joint = b.node("joint", Op::Concat, &[depthwise, max, average], wide, q);
    let table =
        kinglet_tools::quantize::lookup::logistic(quant(0.04, 0), quant(1.0 / 256.0, -128), Rounding::Double).unwrap();
    let squeezed = b.node("squeeze", Op::Mean, &[joint], Shape::vector(16), quant(0.04, 0));
    let gate = b.node(
        "gate",
        Op::Function(StoredFunction::Table(table)),
        &[squeezed],
        Shape::vector(16),
        quant(1.0 / 256.0, -128),
    );
    let scaled = b.node("scaled", Op::Mul, &[joint, gate], wide, q);
    let data = StoredConstant { data: numbers(16, 9).into_iter().map(i16::from).collect(), quant: quant(0.02, 0) };
    let constant = Op::Constant { function: ConstantFunction::Add, data };
    let shifted = b.node("shifted", constant, &[scaled], wide, quant(0.06, -128));
    b.activate(Activation::Relu);
    let difference = b.node("difference", Op::Sub, &[shifted, joint], wide, q);
    let padded = Op::Rearrange(Rearrange::Pad { before: [1, 0, 0], after: [0, 1, 2], value: 0.0 });
    let padded = b.node("padded", padded, &[difference], Shape::new(shape.h + 1, shape.w + 1, 18), q);
    let resize = ResizeNearest { size: [7, 3], align_corners: true, half_pixel_centers: false };
    let resized = Op::Rearrange(Rearrange::ResizeNearest(resize));
    let resized = b.node("resized", resized, &[padded], Shape::new(7, 3, 18), q);
    let resize = ResizeBilinear::new(Shape::new(7, 3, 18), [5, 6], false, true).unwrap();
    let resized = b.node("between", Op::ResizeBilinear(resize), &[resized], Shape::new(5, 6, 18), q);
    let resize = ResizeBilinear::new(Shape::new(5, 6, 18), [7, 3], true, false).unwrap();
    let resized = b.node("corners", Op::ResizeBilinear(resize), &[resized], Shape::new(7, 3, 18), q);
    let data = StoredConstant { data: numbers(18, 4).into_iter().map(i16::from).collect(), quant: quant(0.01, 0) };
    let slopes = Op::Constant { function: ConstantFunction::Prelu, data };
    let resized = b.node("bent", slopes, &[resized], Shape::new(7, 3, 18), q);
    let strided = |strided| Op::Rearrange(Rearrange::Strided(strided));
    let turned = b.node("turned", strided(Strided::Transpose([1, 2, 0])), &[resized], Shape::new(3, 18, 7), q);
    let down = b.node("down", strided(Strided::SpaceToDepth { block: 3 }), &[turned], Shape::new(1, 6, 63), q);
    let up = Strided::DepthToSpace { block: [3; 2], channels_first: false };
    let up = b.node("up", strided(up), &[down], Shape::new(3, 18, 7), q);
    let len = b.shape(up).len();
    let flat = b.node("flat", Op::Reshape(Shape::vector(len)), &[up], Shape::vector(len), q);
    let weights =
        StoredWeights::Int8 { weights: numbers(len * 5, 1), scales: vec![0.003], bias: vec![100, -200, 300, 0, 7] };
    let dense = b.node("dense", Op::Dense(weights), &[flat], Shape::vector(5), quant(0.2, 12));
    b.node("softmax", Op::Softmax { beta: 1.0 }, &[dense], Shape::vector(5), quant(1.0 / 256.0, -128));
    b.0.labels = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    b.0.pixels =
        Some(Pixels { order: ChannelOrder::Rgb, tables: (0..=255).map(|p: u8| i16::from((p ^ 0x80) as i8)).collect() });
    b.0
}

/// An ONNX file of one convolution, ReLU, flattening and a dense layer, by hand: tag, length, content.
pub fn small_onnx() -> Vec<u8> {
    use onnx::{initializer, ints, model, node};
    let weight = |i: usize| i as f32 / 50.0 - 0.3;
    let tensor = |name: &str, dims: &[i64]| {
        let values: Vec<f32> = (0..dims.iter().product::<i64>() as usize).map(weight).collect();
        initializer(&onnx::given(name, dims, &values))
    };
    let parts = [
        node("Conv", &["x", "w", "b"], &["c"], &[ints("pads", &[1, 1, 1, 1])]),
        node("Relu", &["c"], &["r"], &[]),
        node("Flatten", &["r"], &["f"], &[]),
        node("MatMul", &["f", "d"], &["m"], &[]),
        node("Add", &["m", "e"], &["y"], &[]),
        tensor("w", &[3, 2, 3, 3]),
        tensor("b", &[3]),
        tensor("d", &[48, 4]),
        tensor("e", &[4]),
    ];
    model(17, &[1, 2, 4, 4], &parts)
}

/// A network of few bytes.
pub fn tiny_network() -> Network {
    let mut b = Build::new("tiny", Shape::new(5, 4, 2), quant(0.02, 3));
    let w = b.window(0, 3, 1, Padding::Same);
    let map = b.conv("conv", 0, 4, w, quant(0.03, -20));
    let w = b.window(map, 2, 2, Padding::Valid);
    let pooled = Op::MaxPool(w);
    let pooled = b.node("pool", pooled, &[map], Shape::new(2, 2, 4), quant(0.03, -20));
    let sum = b.node("sum", Op::Add, &[pooled, pooled], b.shape(pooled), quant(0.06, 1));
    let joint = b.node("joint", Op::Concat, &[sum, sum], Shape::new(2, 2, 8), quant(0.06, 1));
    let mean = b.node("mean", Op::Mean, &[joint], Shape::vector(8), quant(0.05, 2));
    let weights =
        StoredWeights::Int8 { weights: numbers(24, 1), scales: vec![0.003, 0.004, 0.005], bias: vec![100, -200, 7] };
    let dense = b.node("dense", Op::Dense(weights), &[mean], Shape::vector(3), quant(0.2, 12));
    b.node("softmax", Op::Softmax { beta: 1.0 }, &[dense], Shape::vector(3), quant(1.0 / 256.0, -128));
    b.0
}

/// The same network with int16 activations, with functions of its elements before the first node's output is used.
pub fn widened(mut network: Network) -> Network {
    for tensor in &mut network.tensors {
        tensor.dtype = DType::I16;
        tensor.quant = QuantParams { scale: tensor.quant.scale / 128.0, zero_point: 0 };
    }
    for node in &mut network.nodes {
        let output = &mut network.tensors[node.output];
        match &mut node.op {
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) => {
                node.rounding = Rounding::Wide;
            }
            Op::Function(function) => {
                output.quant.scale = 1.0 / 32768.0;
                *function = StoredFunction::Curve(Curve::Logistic);
            }
            Op::Rearrange(Rearrange::Pad { value, .. }) => *value = -321.0 * output.quant.scale,
            Op::Constant { function, data } => {
                data.quant.zero_point = 0;
                // TensorFlow Lite has no PRELU of int16.
                if *function == ConstantFunction::Prelu {
                    *function = ConstantFunction::Mul;
                }
            }
            Op::Softmax { .. } => output.quant.scale = 1.0 / 32768.0,
            _ => {}
        }
    }
    // The pixels of a network with int16 elements are no table of int8.
    network.pixels = None;
    network
}
