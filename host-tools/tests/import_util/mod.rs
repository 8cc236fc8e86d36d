//! What the importer's tests share.
#![allow(dead_code, missing_docs)]

use kinglet::{Activation, ChannelOrder, DType, Padding, QuantParams, Rounding, Shape, Window};
use kinglet_tools::network::{ConstantFunction, Network, Node, NodeOp, Pixels, TensorId, TensorInfo};

pub const fn quant(scale: f32, zero_point: i32) -> QuantParams {
    QuantParams { scale, zero_point }
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
            input: 0,
            output: 0,
            labels: vec![],
            pixels: None,
        })
    }

    pub fn shape(&self, id: TensorId) -> Shape {
        self.0.tensors[id].shape
    }

    pub fn node(&mut self, name: &str, op: NodeOp, inputs: &[TensorId], shape: Shape, quant: QuantParams) -> TensorId {
        let id = self.0.tensors.len();
        self.0.tensors.push(TensorInfo { name: name.into(), shape, dtype: DType::I8, quant });
        let rounding = if name.ends_with("once") { Rounding::Single } else { Rounding::Double };
        self.0.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), output: id, rounding });
        self.0.output = id;
        id
    }

    pub fn window(&self, input: TensorId, kernel: u32, stride: u32, padding: Padding) -> Window {
        let Shape { h, w, .. } = self.shape(input);
        Window::new([kernel; 2], [stride; 2], padding, [h, w])
    }

    pub fn conv(&mut self, name: &str, input: TensorId, c: u32, window: Window, q: QuantParams) -> TensorId {
        let from = self.shape(input);
        let [h, w] = window.output([from.h, from.w]).unwrap();
        let op = NodeOp::Conv2d {
            window,
            weights: numbers(c * window.taps_len() * from.c, 3),
            weight_scales: (0..c).map(|i| 0.004 + 0.001 * i as f32).collect(),
            bias: (0..c.into()).map(|i| i * 37 - 60).collect(),
            activation: Activation::Relu,
        };
        self.node(name, op, &[input], Shape::new(h, w, c), q)
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
    let sum = b.node("sum", NodeOp::Add { activation: Activation::Relu6 }, &[stem, branch], b.shape(stem), q);
    let w = b.window(sum, 3, 1, Padding::Same);
    let shape = b.shape(sum);
    let depthwise = NodeOp::DepthwiseConv2d {
        window: w,
        weights: numbers(9 * 8, 5),
        weight_scales: vec![0.01],
        bias: vec![5; 8],
        activation: Activation::None,
    };
    let depthwise = b.node("depthwise once", depthwise, &[sum], Shape { c: 8, ..shape }, q);
    let max = b.node("max", NodeOp::MaxPool { window: w, activation: Activation::None }, &[sum], shape, q);
    let average = b.node("average", NodeOp::AveragePool { window: w, activation: Activation::None }, &[sum], shape, q);
    let wide = Shape { c: 16, ..shape };
    let joint = b.node("joint", NodeOp::Concat, &[depthwise, max, average], wide, q);
    let table =
        kinglet_tools::import::lookup::logistic(quant(0.04, 0), quant(1.0 / 256.0, -128), Rounding::Double).unwrap();
    let squeezed = b.node("squeeze", NodeOp::Mean, &[joint], Shape::vector(16), quant(0.04, 0));
    let gate = b.node("gate", NodeOp::Lookup { table }, &[squeezed], Shape::vector(16), quant(1.0 / 256.0, -128));
    let scaled = b.node("scaled", NodeOp::Mul { activation: Activation::None }, &[joint, gate], wide, q);
    let constant = NodeOp::Constant {
        function: ConstantFunction::Add,
        data: numbers(16, 9).into_iter().map(i16::from).collect(),
        quant: quant(0.02, 0),
        activation: Activation::Relu,
    };
    let shifted = b.node("shifted", constant, &[scaled], wide, quant(0.06, -128));
    let difference = b.node("difference", NodeOp::Sub { activation: Activation::None }, &[shifted, joint], wide, q);
    let padded = NodeOp::Pad { before: [1, 0, 0], after: [0, 1, 2], value: -10 };
    let padded = b.node("padded", padded, &[difference], Shape::new(shape.h + 1, shape.w + 1, 18), q);
    let len = b.shape(padded).len();
    let flat = b.node("flat", NodeOp::Reshape, &[padded], Shape::vector(len), q);
    let dense = NodeOp::Dense {
        weights: numbers(len * 5, 1),
        weight_scales: vec![0.003],
        bias: vec![100, -200, 300, 0, 7],
        activation: Activation::None,
    };
    let dense = b.node("dense", dense, &[flat], Shape::vector(5), quant(0.2, 12));
    b.node("softmax", NodeOp::Softmax { beta: 1.0 }, &[dense], Shape::vector(5), quant(1.0 / 256.0, -128));
    b.0.labels = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    b.0.pixels =
        Some(Pixels { order: ChannelOrder::Rgb, tables: (0..=255).map(|p: u8| i16::from((p ^ 0x80) as i8)).collect() });
    b.0
}
