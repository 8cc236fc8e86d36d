//! From a folded network and the quantization of its values to the integer network.

use kinglet::{ChannelOrder, DType, QuantParams, Rounding};

use super::fold::{Folded, FoldedNode, FoldedOp, Weights};
use super::scales::affine;
use crate::graph::{Function, Unary};
use crate::import::lookup as tables;
use crate::network::{Network, Node, NodeOp, Pixels, TensorInfo};
use kinglet::quant::quantize;

/// The largest magnitude of a weight: symmetric, as TensorFlow Lite has it.
const WEIGHT_MAX: f64 = 127.0;

/// The largest magnitude of a bias: far enough from the accumulator's ends.
const BIAS_MAX: f64 = (1 << 29) as f64;

/// The same of an accumulator of 64 bits, which is multiplied by one of 15 bits.
const WIDE_BIAS_MAX: f64 = (1u64 << 45) as f64;

/// The integer network; `quants` has the quantization of every value.
pub fn emit(network: &Folded, quants: &[QuantParams]) -> Network {
    let tensor = |value: usize| TensorInfo {
        name: network.value_name(value).to_string(),
        shape: network.shape(value),
        dtype: DType::I8,
        quant: quants[value],
    };
    let node = |(node, output): (&FoldedNode, usize)| Node {
        name: node.name.clone(),
        op: op(node, quants[node.inputs[0]], quants[output]),
        inputs: node.inputs.clone(),
        output,
        rounding: Rounding::Double,
    };
    Network {
        name: network.name.clone(),
        tensors: (0..network.values()).map(tensor).collect(),
        nodes: network.nodes.iter().zip(1..).map(node).collect(),
        input: 0,
        output: network.nodes.len(),
        labels: network.labels.clone(),
        pixels: Some(pixels(network, quants[0], DType::I8)),
    }
}

/// The int8 form of a node.
pub(super) fn op(node: &FoldedNode, input: QuantParams, output: QuantParams) -> NodeOp {
    let activation = node.activation;
    match &node.op {
        FoldedOp::Conv2d(_, weights) | FoldedOp::DepthwiseConv2d(_, weights) | FoldedOp::Dense(weights) => {
            weighted(node, Quantized::new(weights, input, output, BIAS_MAX))
        }
        FoldedOp::MaxPool(window) => NodeOp::MaxPool { window: *window, activation },
        FoldedOp::AveragePool(window) => NodeOp::AveragePool { window: *window, activation },
        FoldedOp::Mean => NodeOp::Mean,
        FoldedOp::Add => NodeOp::Add { activation },
        FoldedOp::Sub => NodeOp::Sub { activation },
        FoldedOp::Mul => NodeOp::Mul { activation },
        FoldedOp::Constant(function, numbers) => {
            let (min, max) = numbers.iter().fold((0f32, 0f32), |(min, max), &x| (min.min(x), max.max(x)));
            let quant = affine(min.into(), max.into());
            let data = numbers.iter().map(|&x| element(x, quant).into()).collect();
            NodeOp::Constant { function: *function, data, quant, activation }
        }
        FoldedOp::Concat => NodeOp::Concat,
        FoldedOp::Softmax => NodeOp::Softmax { beta: 1.0 },
        FoldedOp::Reshape => NodeOp::Reshape,
        FoldedOp::Pad([top, left], [bottom, right]) => {
            NodeOp::Pad { before: [*top, *left, 0], after: [*bottom, *right, 0], value: output.zero_point as i16 }
        }
        FoldedOp::Activate | FoldedOp::Function(_) => NodeOp::Lookup { table: lookup(node, input, output) },
    }
}

/// The form of a node with weights, for int8 and for int16 activations.
pub(super) fn weighted(node: &FoldedNode, quantized: Quantized) -> NodeOp {
    let Quantized { weights, weight_scales, bias } = quantized;
    let activation = node.activation;
    match &node.op {
        FoldedOp::Conv2d(window, _) => NodeOp::Conv2d { window: *window, weights, weight_scales, bias, activation },
        FoldedOp::DepthwiseConv2d(window, _) => {
            NodeOp::DepthwiseConv2d { window: *window, weights, weight_scales, bias, activation }
        }
        _ => NodeOp::Dense { weights, weight_scales, bias, activation },
    }
}

/// The element that stands for a real number.
fn element(real: f32, quant: QuantParams) -> i8 {
    quantize(real, quant).clamp(DType::I8.min(), DType::I8.max()) as i8
}

/// A function of one element, as the table of all inputs: TensorFlow Lite's, where it has the function, so that the network
/// can be written as a file of its; else every entry is the nearest.
fn lookup(node: &FoldedNode, input: QuantParams, output: QuantParams) -> Vec<i8> {
    let theirs = match &node.op {
        FoldedOp::Function(f) if *f == Function::X.then(Unary::Sigmoid) => {
            tables::logistic(input, output, Rounding::Double)
        }
        FoldedOp::Function(f) if *f == Function::X.then(Unary::Tanh) => tables::tanh(input, output, Rounding::Double),
        _ => Err(String::new()),
    };
    if let Ok(table) = theirs {
        return table;
    }
    let one = kinglet::Shape::vector(1);
    let entry = |q: i32| element(node.forward(&[(&[input.dequantize(q)], one)])[0], output);
    (DType::I8.min()..=DType::I8.max()).map(entry).collect()
}

/// The weights and the bias that a layer has after rounding, as real numbers.
pub fn rounded(weights: &Weights, input: QuantParams, output: QuantParams) -> Weights {
    Quantized::new(weights, input, output, BIAS_MAX).reals(weights, input)
}

/// Weights per output channel, and the bias in units of input scale times weight scale.
pub(super) struct Quantized {
    pub(super) weights: Vec<i8>,
    pub(super) weight_scales: Vec<f32>,
    pub(super) bias: Vec<i64>,
}

impl Quantized {
    /// For int16 activations, of these quantizations.
    pub(super) fn wide(weights: &Weights, input: QuantParams, output: QuantParams) -> Self {
        Self::new(weights, input, output, WIDE_BIAS_MAX)
    }

    /// The numbers that the integers stand for, in the layout of `weights`.
    pub(super) fn reals(self, weights: &Weights, input: QuantParams) -> Weights {
        let Self { weights: integers, weight_scales, bias } = self;
        let mut rounded = weights.clone();
        let (channels, each) = (weights.channels(), weights.weights.len() / weights.channels());
        for (index, (weight, q)) in rounded.weights.iter_mut().zip(integers).enumerate() {
            let channel = if weights.channels_last { index % channels } else { index / each };
            *weight = f32::from(q) * weight_scales[channel];
        }
        for ((real, q), scale) in rounded.bias.iter_mut().zip(bias).zip(weight_scales) {
            *real = (q as f64 * f64::from(scale) * f64::from(input.scale)) as f32;
        }
        rounded
    }

    fn new(weights: &Weights, input: QuantParams, output: QuantParams, bias_max: f64) -> Self {
        let scale = |channel: usize| {
            let largest = weights.of(channel).fold(0.0, |max: f64, w| max.max(f64::from(w).abs()));
            let bias = f64::from(weights.bias[channel]).abs();
            // A channel of zeros still has a bias, to be told finely; and a large bias must fit.
            let finest = f64::from(output.scale) / f64::from(1 << 16);
            let least = (bias / bias_max).max(finest) / f64::from(input.scale);
            (largest / WEIGHT_MAX).max(least) as f32
        };
        let channels = weights.channels();
        let weight_scales: Vec<f32> = (0..channels).map(scale).collect();
        let each = weights.weights.len() / channels;
        let quantized = |(index, &weight): (usize, &f32)| {
            let channel = if weights.channels_last { index % channels } else { index / each };
            (f64::from(weight) / f64::from(weight_scales[channel])).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) as i8
        };
        let bias = weights.bias.iter().zip(&weight_scales);
        let bias =
            bias.map(|(&bias, &scale)| (f64::from(bias) / (f64::from(input.scale) * f64::from(scale))).round() as i64);
        Self {
            weights: weights.weights.iter().enumerate().map(quantized).collect(),
            bias: bias.collect(),
            weight_scales,
        }
    }
}

/// What pixels become in elements of type `dtype`.
pub(super) fn pixels(network: &Folded, input: QuantParams, dtype: DType) -> Pixels {
    let entry = |real: f32| quantize(real, input).clamp(dtype.min(), dtype.max()) as i16;
    joined(network, (0..network.input.c as usize).flat_map(|c| network.preprocess.table(c).map(entry)).collect())
}

/// One of the `tables` of all channels when they are the same, else all.
pub(super) fn joined(network: &Folded, mut tables: Vec<i16>) -> Pixels {
    if tables.chunks(256).all(|table| table == &tables[..256]) {
        tables.truncate(256);
    }
    Pixels { order: if network.input.c == 3 { ChannelOrder::Rgb } else { ChannelOrder::Grey }, tables }
}
