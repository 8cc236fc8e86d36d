//! Small networks, one or more per operator, with random weights and scales that keep outputs within range.

use kinglet::format::RoundingSource;
use kinglet::ops::{Curve, ResizeBilinear, ResizeNearest};
use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};
use kinglet_tools::graph::{
    ConstantFunction, Function, Op, Rearrange, Stored, StoredConstant, StoredFunction, StoredWeights, Strided, Unary,
};
use kinglet_tools::network::{Network, Node, TensorInfo};
use kinglet_tools::quantize::pieces;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::halved::halved;

/// Scale and zero point of every input.
const INPUT: QuantParams = QuantParams { scale: 0.02, zero_point: -3 };
/// Scale of weights, give or take.
const WEIGHTS: f32 = 0.01;

/// A network under construction.
struct Builder {
    network: Network,
    rng: ChaCha8Rng,
}

impl Builder {
    fn new(name: &str, [h, w, c]: [u32; 3]) -> Self {
        let network = Network {
            name: name.into(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            inputs: vec![0],
            outputs: vec![0],
            states: Vec::new(),
            labels: Vec::new(),
            pixels: None,
            rounding: RoundingSource::Tflm,
        };
        let seed = name.bytes().fold(17, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let mut builder = Self { network, rng: ChaCha8Rng::seed_from_u64(seed) };
        builder.tensor(Shape::new(h, w, c), INPUT);
        builder
    }

    fn tensor(&mut self, shape: Shape, quant: QuantParams) -> usize {
        let name = format!("t{}", self.network.tensors.len());
        self.network.tensors.push(TensorInfo { name, shape, dtype: DType::I8, quant });
        self.network.tensors.len() - 1
    }

    fn shape(&self, tensor: usize) -> Shape {
        self.network.tensors[tensor].shape
    }

    /// Appends a node; its output tensor.
    fn node(
        &mut self,
        op: Op<Stored>,
        inputs: &[usize],
        shape: Shape,
        quant: QuantParams,
        rounding: Rounding,
    ) -> usize {
        let output = self.tensor(shape, quant);
        let name = format!("n{}", self.network.nodes.len());
        let (activation, inputs) = (Activation::None, inputs.to_vec());
        self.network.nodes.push(Node { name, op, activation, inputs, output, rounding });
        output
    }

    /// Puts a ReLU behind the last node.
    fn relu(&mut self) {
        self.network.nodes.last_mut().unwrap().activation = Activation::Relu;
    }

    fn weights(&mut self, len: u32) -> Vec<i8> {
        (0..len).map(|_| self.rng.random_range(-127..=127)).collect()
    }

    fn scales(&mut self, channels: u32) -> Vec<f32> {
        (0..channels).map(|_| WEIGHTS * self.rng.random_range(0.5..2.0)).collect()
    }

    fn bias(&mut self, channels: u32) -> Vec<i64> {
        (0..channels).map(|_| self.rng.random_range(-9000..9000)).collect()
    }

    /// Quantization of a sum of `terms` products.
    fn sum(terms: u32, zero_point: i32) -> QuantParams {
        QuantParams { scale: (terms as f32).sqrt() * 74.0 * 74.0 * INPUT.scale * WEIGHTS / 35.0, zero_point }
    }

    fn window(&self, input: usize, kernel: u32, stride: u32, padding: Padding) -> (Window, [u32; 2]) {
        let Shape { h, w, .. } = self.shape(input);
        let window = Window::new([kernel; 2], [stride; 2], padding, [h, w]);
        let reach = |size: u32| match padding {
            Padding::Same => size.div_ceil(stride),
            Padding::Valid => (size - kernel) / stride + 1,
        };
        (window, [reach(h), reach(w)])
    }

    fn conv(
        &mut self,
        input: usize,
        channels: u32,
        (kernel, stride, padding): (u32, u32, Padding),
        relu: bool,
    ) -> usize {
        let (window, [h, w]) = self.window(input, kernel, stride, padding);
        let terms = kernel * kernel * self.shape(input).c;
        let weights = StoredWeights::Int8 {
            weights: self.weights(terms * channels),
            scales: self.scales(channels),
            bias: self.bias(channels),
        };
        let quant = Self::sum(terms, if relu { -60 } else { 5 });
        let op = Op::Conv2d { window, weights };
        let output = self.node(op, &[input], Shape::new(h, w, channels), quant, Rounding::Double);
        if relu {
            self.relu();
        }
        output
    }

    fn depthwise(&mut self, input: usize, multiplier: u32, (kernel, stride, padding): (u32, u32, Padding)) -> usize {
        let (window, [h, w]) = self.window(input, kernel, stride, padding);
        let channels = self.shape(input).c * multiplier;
        let weights = StoredWeights::Int8 {
            weights: self.weights(kernel * kernel * channels),
            scales: self.scales(channels),
            bias: self.bias(channels),
        };
        self.node(
            Op::DepthwiseConv2d { window, weights },
            &[input],
            Shape::new(h, w, channels),
            Self::sum(kernel * kernel, 9),
            Rounding::Double,
        )
    }

    fn max_pool(&mut self, input: usize, (kernel, stride, padding): (u32, u32, Padding)) -> usize {
        let (window, [h, w]) = self.window(input, kernel, stride, padding);
        let TensorInfo { shape, quant, .. } = self.network.tensors[input];
        self.node(Op::MaxPool(window), &[input], Shape::new(h, w, shape.c), quant, Rounding::Double)
    }

    fn average_pool(&mut self, input: usize, (kernel, stride, padding): (u32, u32, Padding)) -> usize {
        let (window, [h, w]) = self.window(input, kernel, stride, padding);
        let TensorInfo { shape, quant, .. } = self.network.tensors[input];
        self.node(Op::AveragePool(window), &[input], Shape::new(h, w, shape.c), quant, Rounding::Double)
    }

    fn dense(&mut self, input: usize, channels: u32, per_channel: bool, rounding: Rounding) -> usize {
        let terms = self.shape(input).len();
        let weights = StoredWeights::Int8 {
            weights: self.weights(terms * channels),
            scales: if per_channel { self.scales(channels) } else { vec![WEIGHTS] },
            bias: self.bias(channels),
        };
        self.node(Op::Dense(weights), &[input], Shape::vector(channels), Self::sum(terms, -8), rounding)
    }

    /// A node with the input's shape.
    fn same_shape(&mut self, op: Op<Stored>, inputs: &[usize], quant: QuantParams) -> usize {
        let shape = self.shape(inputs[0]);
        self.node(op, inputs, shape, quant, Rounding::Double)
    }
}

fn built(name: &str, shape: [u32; 3], build: impl FnOnce(&mut Builder) -> usize) -> Network {
    let mut builder = Builder::new(name, shape);
    builder.network.outputs = vec![build(&mut builder)];
    builder.network
}

/// Every case.
pub fn networks() -> Vec<Network> {
    use Padding::{Same, Valid};
    let conv = |name, shape, channels, window| built(name, shape, |b| b.conv(0, channels, window, true));
    let depthwise = |name, shape, multiplier, window| built(name, shape, |b| b.depthwise(0, multiplier, window));
    let mut networks = vec![
        conv("conv 3x3, 3 to 8 channels", [6, 5, 3], 8, (3, 1, Same)),
        conv("conv 3x3, 8 to 8 channels", [6, 7, 8], 8, (3, 1, Same)),
        conv("conv 3x3, 16 to 6 channels", [5, 6, 16], 6, (3, 1, Same)),
        conv("conv 3x3, stride 2", [7, 8, 8], 8, (3, 2, Same)),
        conv("conv 1x1, 16 to 8 channels", [4, 4, 16], 8, (1, 1, Valid)),
        conv("conv 1x1, 7 to 5 channels", [3, 5, 7], 5, (1, 1, Valid)),
        conv("conv 1x1, stride 2", [7, 7, 4], 12, (1, 2, Valid)),
        conv("conv 5x5, valid", [8, 7, 3], 5, (5, 1, Valid)),
        depthwise("depthwise 3x3", [6, 5, 9], 1, (3, 1, Same)),
        depthwise("depthwise 3x3, 16 channels, stride 2", [6, 6, 16], 1, (3, 2, Same)),
        depthwise("depthwise 3x3, 2 for each channel", [4, 5, 3], 2, (3, 1, Same)),
    ];
    networks.extend(one_step());
    networks.extend(blocks());
    networks.extend(int16());
    networks.extend(narrow_weights(&networks));
    networks.extend(float16());
    networks
}

/// What has weights of 8 bits, and a convolution that is large enough to be widened in two parts, with the upper 4 bits of them, and
/// with palettes of 2 to 4 bits.
fn narrow_weights(networks: &[Network]) -> Vec<Network> {
    let large = built("conv 3x3, 8 to 48 channels", [1, 3, 8], |b| b.conv(0, 48, (3, 1, Padding::Same), true));
    let named = |name: &str| networks.iter().chain([&large]).find(|network| network.name == name).cloned();
    let of = |name: &str, suffix: &str, change: &dyn Fn(i8) -> i8, scale: f32| {
        let mut network = named(name).expect("a case of that name");
        network.name += suffix;
        for node in &mut network.nodes {
            let (Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights)) = &mut node.op
            else {
                continue;
            };
            let StoredWeights::Int8 { weights, scales, bias } = weights else { unreachable!("int8 networks") };
            weights.iter_mut().for_each(|weight| *weight = change(*weight));
            scales.iter_mut().for_each(|of| *of *= scale);
            bias.iter_mut().for_each(|bias| *bias = (*bias as f64 / f64::from(scale)).floor() as i64);
        }
        network
    };
    const NIBBLES: [&str; 4] =
        ["depthwise 3x3", "dense, per channel", "conv 3x3, 5 to 7 channels, int16", "conv 3x3, 8 to 48 channels"];
    const PALETTES: [(&str, u32); 3] =
        [("depthwise 3x3", 2), ("conv 3x3, 8 to 48 channels", 3), ("dense, per channel", 4)];
    let nibbles = NIBBLES.map(|name| of(name, ", 4 bits", &|weight| weight >> 4, 16.0));
    let upper = |bits: u32| move |weight: i8| weight >> (8 - bits) << (8 - bits);
    let palettes = PALETTES.map(|(name, bits)| of(name, &format!(", palette of {bits} bits"), &upper(bits), 1.0));
    nibbles.into_iter().chain(palettes).collect()
}

/// What int16 has as int8 has it: one of each, for small boards have little flash.
fn narrow() -> Vec<Network> {
    use Padding::Same;
    const OTHERS: [&str; 16] = [
        "dense, per channel",
        "dense, one scale, single rounding",
        "max pool 2x2",
        "average pool 3x3, same",
        "mean",
        "add",
        "sub",
        "mul",
        "softmax",
        "pad",
        "resize nearest",
        "resize bilinear",
        "depth to space",
        "a constant added",
        "subtracted from a constant",
        "prelu",
    ];
    let mut networks = vec![
        built("conv 3x3, 5 to 7 channels", [5, 6, 5], |b| b.conv(0, 7, (3, 1, Same), true)),
        built("depthwise, 3 for each channel", [4, 4, 2], |b| b.depthwise(0, 3, (3, 1, Same))),
    ];
    networks.extend(one_step().into_iter().filter(|network| OTHERS.contains(&network.name.as_str())));
    networks.extend(blocks().pop());
    networks
}

/// Several operators together.
fn blocks() -> Vec<Network> {
    use Padding::{Same, Valid};
    let mut networks = Vec::new();
    networks.push(built("residual block", [8, 8, 8], |b| {
        let first = b.conv(0, 8, (3, 1, Same), true);
        let second = b.conv(first, 8, (3, 1, Same), false);
        let quant = QuantParams { scale: Builder::sum(72, 0).scale * 1.2, zero_point: -40 };
        let sum = b.same_shape(Op::Add, &[second, 0], quant);
        b.relu();
        b.node(
            Op::Mean,
            &[sum],
            Shape::vector(8),
            QuantParams { scale: quant.scale / 2.0, zero_point: -100 },
            Rounding::Double,
        )
    }));
    networks.push(built("inception block", [5, 5, 6], |b| {
        let one = b.conv(0, 4, (1, 1, Valid), false);
        let reduced = b.conv(0, 4, (1, 1, Valid), true);
        let three = b.conv(reduced, 5, (3, 1, Same), false);
        let quant = Builder::sum(20, 2);
        for branch in [one, three] {
            b.network.tensors[branch].quant = quant;
        }
        b.node(Op::Concat, &[one, three], Shape::new(5, 5, 9), quant, Rounding::Double)
    }));
    networks.push(built("concatenation with the input", [4, 5, 6], |b| {
        let pooled = b.max_pool(0, (3, 1, Same));
        b.node(Op::Concat, &[0, pooled], Shape::new(4, 5, 12), INPUT, Rounding::Double)
    }));
    networks
}

/// The same network with int16 activations of 256 times the resolution.
fn widened(mut network: Network) -> Network {
    network.name += ", int16";
    for tensor in &mut network.tensors {
        tensor.dtype = DType::I16;
        tensor.quant = QuantParams { scale: tensor.quant.scale / 256.0, zero_point: 0 };
    }
    for node in &mut network.nodes {
        match &mut node.op {
            Op::Conv2d { weights: StoredWeights::Int8 { bias, .. }, .. }
            | Op::DepthwiseConv2d { weights: StoredWeights::Int8 { bias, .. }, .. }
            | Op::Dense(StoredWeights::Int8 { bias, .. }) => {
                bias.iter_mut().for_each(|bias| *bias *= 256);
                node.rounding = if node.rounding == Rounding::Single { Rounding::Double } else { Rounding::Wide };
            }
            Op::Constant { data: StoredConstant { data, quant }, .. } => {
                data.iter_mut().for_each(|element| *element *= 256);
                *quant = QuantParams { scale: quant.scale / 256.0, zero_point: 0 };
            }
            // The same element as in int8.
            Op::Rearrange(Rearrange::Pad { value, .. }) => *value = INPUT.zero_point as f32 * INPUT.scale / 256.0,
            _ => {}
        }
    }
    network
}

/// Networks of int16 activations: every operator, and conversions at the ends.
fn int16() -> Vec<Network> {
    let mut networks: Vec<Network> = narrow().into_iter().map(widened).collect();
    let unary = |name, op, quant| widened(built(name, [3, 3, 5], |b| b.same_shape(op, &[0], quant)));
    let half = QuantParams { scale: 1.0 / 128.0, zero_point: 0 };
    for curve in [Curve::Logistic, Curve::Tanh] {
        networks.push(unary(
            if curve == Curve::Tanh { "tanh" } else { "logistic" },
            Op::Function(StoredFunction::Curve(curve)),
            half,
        ));
    }
    let leaky = Op::Function(StoredFunction::Slope(0.3));
    networks.push(unary("leaky relu", leaky, QuantParams { scale: 0.03, zero_point: 0 }));
    networks.push({
        let rescale = || Op::Activate(Activation::None);
        let mut network = built("int16 between int8", [4, 5, 6], |b| {
            let wide = b.same_shape(rescale(), &[0], QuantParams { scale: 0.0001, zero_point: 0 });
            let map = b.conv(wide, 6, (3, 1, Padding::Same), true);
            b.same_shape(rescale(), &[map], Builder::sum(54, -20))
        });
        for id in [1, 2] {
            network.tensors[id].dtype = DType::I16;
            network.tensors[id].quant.zero_point = 0;
        }
        network.tensors[2].quant.scale /= 200.0;
        network.nodes[1].rounding = Rounding::Wide;
        network
    });
    networks
}

/// Networks of float16 activations: every operator, and conversions at the ends.
fn float16() -> Vec<Network> {
    let mut networks: Vec<Network> = narrow()
        .into_iter()
        .map(|network| Network { name: network.name.clone() + ", float16", ..halved(network) })
        .collect();
    let mut network = built("float16 between int8", [4, 5, 6], |b| {
        let real = b.same_shape(Op::Activate(Activation::None), &[0], QuantParams::REAL);
        let map = b.conv(real, 6, (3, 1, Padding::Same), true);
        b.same_shape(Op::Activate(Activation::None), &[map], Builder::sum(54, -20))
    });
    let ends = [0, 3].map(|id| network.tensors[id].clone());
    network = halved(network);
    for (id, end) in [0, 3].into_iter().zip(ends) {
        network.tensors[id] = end;
    }
    networks.push(network);
    let curves = [("tanh, float16", Function::X.then(Unary::Tanh)), ("gelu, float16", Function::gelu(false))];
    for (name, function) in curves {
        let op = Op::Function(StoredFunction::Pieces(pieces::fit(|x| function.at(x))));
        networks.push(halved(built(name, [3, 3, 5], |b| b.same_shape(op, &[0], INPUT))));
    }
    networks
}

/// The operators that are no convolutions.
fn one_step() -> Vec<Network> {
    let unary = |name, shape, op, quant| built(name, shape, |b| b.same_shape(op, &[0], quant));
    let binary = |name, op, quant| {
        built(name, [4, 3, 7], |b| {
            let other = b.conv(0, 7, (1, 1, Padding::Valid), false);
            b.same_shape(op, &[0, other], quant)
        })
    };
    let max_pool = |name, shape, window| built(name, shape, |b| b.max_pool(0, window));
    let average_pool = |name, shape, window| built(name, shape, |b| b.average_pool(0, window));
    let constant = |name, function, quant, data: Vec<i16>, output| {
        unary(name, [3, 4, 5], Op::Constant { function, data: StoredConstant { data, quant } }, output)
    };
    let half = QuantParams { scale: 0.01, zero_point: 20 };
    let wide = QuantParams { scale: 0.03, zero_point: 4 };
    let product = QuantParams { scale: 0.03, zero_point: -2 };
    let channels = || vec![-90, -20, 3, 60, 120];
    vec![
        built("dense, per channel", [2, 3, 8], |b| b.dense(0, 10, true, Rounding::Double)),
        built("dense, one scale, single rounding", [1, 1, 33], |b| b.dense(0, 7, false, Rounding::Single)),
        max_pool("max pool 2x2", [6, 6, 8], (2, 2, Padding::Valid)),
        max_pool("max pool 3x3, same", [5, 4, 19], (3, 1, Padding::Same)),
        average_pool("average pool 2x2", [6, 4, 8], (2, 2, Padding::Valid)),
        average_pool("average pool 3x3, same", [5, 5, 5], (3, 2, Padding::Same)),
        built("mean", [5, 3, 11], |b| {
            let quant = QuantParams { scale: 0.006, zero_point: 7 };
            b.node(Op::Mean, &[0], Shape::vector(11), quant, Rounding::Double)
        }),
        binary("add", Op::Add, wide),
        binary("sub", Op::Sub, wide),
        binary("mul", Op::Mul, product),
        built("softmax", [1, 1, 10], |b| {
            let quant = QuantParams { scale: 1.0 / 256.0, zero_point: -128 };
            b.same_shape(Op::Softmax { beta: 1.0 }, &[0], quant)
        }),
        built("l2 norm", [2, 1, 11], |b| {
            b.same_shape(Op::L2Norm, &[0], QuantParams { scale: 1.0 / 128.0, zero_point: 0 })
        }),
        built("reshape", [2, 3, 4], |b| {
            let map = b.conv(0, 4, (1, 1, Padding::Valid), false);
            let quant = b.network.tensors[map].quant;
            b.node(Op::Reshape(Shape::vector(24)), &[map], Shape::vector(24), quant, Rounding::Double)
        }),
        built("depth to space", [3, 4, 12], |b| {
            let op = Op::Rearrange(Rearrange::Strided(Strided::DepthToSpace { block: [2; 2], channels_first: false }));
            b.node(op, &[0], Shape::new(6, 8, 3), INPUT, Rounding::Double)
        }),
        built("resize nearest", [4, 3, 5], |b| {
            let resize = ResizeNearest { size: [8, 5], align_corners: false, half_pixel_centers: true };
            let op = Op::Rearrange(Rearrange::ResizeNearest(resize));
            b.node(op, &[0], Shape::new(8, 5, 5), INPUT, Rounding::Double)
        }),
        built("resize bilinear", [4, 3, 5], |b| {
            let resize = ResizeBilinear::new(Shape::new(4, 3, 5), [7, 5], false, true).expect("it is not large");
            b.node(Op::ResizeBilinear(resize), &[0], Shape::new(7, 5, 5), INPUT, Rounding::Double)
        }),
        built("pad", [3, 2, 4], |b| {
            let op = Op::Rearrange(Rearrange::Pad { before: [1, 0, 0], after: [2, 1, 0], value: 0.0 });
            b.node(op, &[0], Shape::new(6, 3, 4), INPUT, Rounding::Double)
        }),
        unary(
            "lookup",
            [3, 3, 5],
            Op::Function(StoredFunction::Table((0..=255u8).map(|i| i.wrapping_mul(7) as i8).collect())),
            half,
        ),
        constant("multiplied with a constant", ConstantFunction::Mul, half, channels(), product),
        constant("a constant added", ConstantFunction::Add, half, channels(), wide),
        constant("a constant subtracted", ConstantFunction::Sub, half, channels(), wide),
        constant("subtracted from a constant", ConstantFunction::SubFrom, half, channels(), wide),
        constant("prelu", ConstantFunction::Prelu, half, channels(), wide),
    ]
}
