//! From a folded network and the quantization of its values to the integer network.

use std::convert::Infallible;

use kinglet::quant::quantize;
use kinglet::{ChannelOrder, DType, QuantParams, Rounding, Shape};

use super::lookup;
use super::scales::affine;
use crate::graph::{Convert, Function, Graph, Node, Op, Real, Stored, StoredConstant, StoredFunction, StoredWeights};
use crate::graph::{Unary, Weights};
use crate::network::{self, Network, Pixels, TensorInfo};

/// The largest magnitude of a weight: symmetric, as TensorFlow Lite has it.
const WEIGHT_MAX: f64 = 127.0;

/// The largest magnitude of a bias: far enough from the accumulator's ends.
const BIAS_MAX: f64 = (1 << 29) as f64;

/// The same of an accumulator of 64 bits, which is multiplied by one of 15 bits.
const INT16_BIAS_MAX: f64 = (1u64 << 45) as f64;

/// The integer network; `quants` has the quantization of every value.
pub fn emit(network: &Graph<Real>, quants: &[QuantParams]) -> Network {
    let tensor = |(node, quant): (&Node<Real>, &QuantParams)| TensorInfo {
        name: node.name.clone(),
        shape: node.shape,
        dtype: DType::I8,
        quant: *quant,
    };
    let node = |(output, node): (usize, &Node<Real>)| network::Node {
        name: node.name.clone(),
        op: op(node, quants[node.inputs[0].0], quants[output]),
        activation: node.activation,
        inputs: node.inputs.iter().map(|input| input.0).collect(),
        output,
        rounding: Rounding::Double,
    };
    Network {
        name: network.name.clone(),
        tensors: network.nodes.iter().zip(quants).map(tensor).collect(),
        nodes: network.nodes.iter().enumerate().skip(1).map(node).collect(),
        input: 0,
        output: network.output().0,
        labels: network.labels.clone(),
        pixels: Some(pixels(network, quants[0], DType::I8)),
    }
}

/// The int8 form of a node.
pub(super) fn op(node: &Node<Real>, input: QuantParams, output: QuantParams) -> Op<Stored> {
    match node.op {
        Op::Activate(_) => Op::Function(StoredFunction::Table(table(node, input, output))),
        _ => infallible(node.op.convert(&Int8 { node, input, output })),
    }
}

/// What cannot fail.
pub(super) fn infallible<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// Constants for int8 activations of these quantizations.
struct Int8<'n> {
    node: &'n Node<Real>,
    input: QuantParams,
    output: QuantParams,
}

impl Convert<Real, Stored> for Int8<'_> {
    type Error = Infallible;

    fn weights(&self, weights: &Weights) -> Result<StoredWeights, Infallible> {
        Ok(Quantized::new(weights, self.input, self.output, BIAS_MAX).stored())
    }

    fn constant(&self, numbers: &Vec<f32>) -> Result<StoredConstant, Infallible> {
        let (min, max) = numbers.iter().fold((0f32, 0f32), |(min, max), &x| (min.min(x), max.max(x)));
        let quant = affine(min.into(), max.into());
        Ok(StoredConstant { data: numbers.iter().map(|&x| element(x, quant).into()).collect(), quant })
    }

    fn function(&self, _function: &Function) -> Result<StoredFunction, Infallible> {
        Ok(StoredFunction::Table(table(self.node, self.input, self.output)))
    }
}

/// The element that stands for a real number.
fn element(real: f32, quant: QuantParams) -> i8 {
    quantize(real, quant).clamp(DType::I8.min(), DType::I8.max()) as i8
}

/// A function of one element, as the table of all inputs: TensorFlow Lite's, where it has the function, so that the network
/// can be written as a file of its; else every entry is the nearest.
fn table(node: &Node<Real>, input: QuantParams, output: QuantParams) -> Vec<i8> {
    let is = |unary| matches!(&node.op, Op::Function(f) if *f == Function::X.then(unary));
    let theirs = match () {
        () if is(Unary::Sigmoid) => lookup::logistic(input, output, Rounding::Double).ok(),
        () if is(Unary::Tanh) => lookup::tanh(input, output, Rounding::Double).ok(),
        () => None,
    };
    let entry = |q: i32| element(node.forward(&[(&[input.dequantize(q)], Shape::vector(1))])[0], output);
    theirs.unwrap_or_else(|| (DType::I8.min()..=DType::I8.max()).map(entry).collect())
}

/// The weights and the bias that a layer has after rounding, as real numbers.
pub fn rounded(weights: &Weights, input: QuantParams, output: QuantParams) -> Weights {
    Quantized::new(weights, input, output, BIAS_MAX).reals(weights, input)
}

/// Weights per output channel, and the bias in units of input scale times weight scale.
pub(super) struct Quantized {
    pub(super) weights: Vec<i8>,
    pub(super) scales: Vec<f32>,
    pub(super) bias: Vec<i64>,
}

impl Quantized {
    /// For int16 activations, of these quantizations.
    pub(super) fn int16(weights: &Weights, input: QuantParams, output: QuantParams) -> Self {
        Self::new(weights, input, output, INT16_BIAS_MAX)
    }

    /// As a network has them.
    pub(super) fn stored(self) -> StoredWeights {
        let Self { weights, scales, bias } = self;
        StoredWeights::Int8 { weights, scales, bias }
    }

    /// The numbers that the integers stand for, in the layout of `weights`.
    pub(super) fn reals(self, weights: &Weights, input: QuantParams) -> Weights {
        let mut rounded = weights.clone();
        for (index, (weight, q)) in rounded.weights.iter_mut().zip(self.weights).enumerate() {
            *weight = f32::from(q) * self.scales[weights.channel_of(index)];
        }
        for ((real, q), scale) in rounded.bias.iter_mut().zip(self.bias).zip(self.scales) {
            *real = (q as f64 * f64::from(scale) * f64::from(input.scale)) as f32;
        }
        rounded
    }

    fn new(weights: &Weights, input: QuantParams, output: QuantParams, bias_max: f64) -> Self {
        let scale = |(channel, bias): (usize, &f32)| {
            let largest = weights.of(channel).fold(0.0, |max: f64, w| max.max(f64::from(w).abs()));
            // A zero channel still needs a bias with enough resolution, and a large bias must fit.
            let finest = f64::from(output.scale) / f64::from(1 << 16);
            let least = (f64::from(*bias).abs() / bias_max).max(finest) / f64::from(input.scale);
            (largest / WEIGHT_MAX).max(least) as f32
        };
        let scales: Vec<f32> = weights.bias.iter().enumerate().map(scale).collect();
        let quantized = |(index, &weight): (usize, &f32)| {
            let scale = scales[weights.channel_of(index)];
            (f64::from(weight) / f64::from(scale)).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) as i8
        };
        let in_units = |(&bias, &scale): (&f32, &f32)| {
            (f64::from(bias) / (f64::from(input.scale) * f64::from(scale))).round() as i64
        };
        Self {
            weights: weights.weights.iter().enumerate().map(quantized).collect(),
            bias: weights.bias.iter().zip(&scales).map(in_units).collect(),
            scales,
        }
    }
}

/// What pixels become in elements of type `dtype`.
pub(super) fn pixels(network: &Graph<Real>, input: QuantParams, dtype: DType) -> Pixels {
    let entry = |real: f32| quantize(real, input).clamp(dtype.min(), dtype.max()) as i16;
    joined(network, (0..network.input.c as usize).flat_map(|c| network.preprocess.table(c).map(entry)).collect())
}

/// One of the `tables` of all channels when they are the same, else all.
pub(super) fn joined(network: &Graph<Real>, mut tables: Vec<i16>) -> Pixels {
    if tables.chunks(256).all(|table| table == &tables[..256]) {
        tables.truncate(256);
    }
    Pixels { order: if network.input.c == 3 { ChannelOrder::Rgb } else { ChannelOrder::Grey }, tables }
}
