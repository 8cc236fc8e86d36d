//! int8 weights and activations: the constants of a folded network's layers.

use std::convert::Infallible;

use kinglet::{DType, QuantParams, Rounding};

use super::forward::elementwise;
use super::scales::affine;
use super::{emit, lookup};
use crate::elements;
use crate::graph::{
    Convert, Function, Node, Op, Real, Stored, StoredConstant, StoredFunction, StoredWeights, Unary, Weights,
};

/// How finely a step is looked for that serves weights of few bits best.
const STEPS: usize = 28;

/// The largest magnitude of a weight of 4 bits: symmetric, as TensorFlow Lite has it.
pub const NIBBLE_MAX: i8 = 7;

/// The largest magnitude of a bias: far enough from the accumulator's ends.
const BIAS_MAX: f64 = (1 << 29) as f64;

/// The same of an accumulator of 64 bits, which is multiplied by one of 15 bits.
const INT16_BIAS_MAX: f64 = (1u64 << 45) as f64;

/// The int8 form of a node, with weights of so many bits.
pub(super) fn op(node: &Node<Real>, input: QuantParams, output: QuantParams, bits: u32) -> Op<Stored> {
    match node.op {
        Op::Activate(_) => Op::Function(StoredFunction::Table(table(node, input, output))),
        _ => emit::infallible(node.op.convert(&Int8 { node, input, output, bits })),
    }
}

/// Constants for int8 activations of these quantizations.
struct Int8<'n> {
    node: &'n Node<Real>,
    input: QuantParams,
    output: QuantParams,
    bits: u32,
}

impl Convert<Real, Stored> for Int8<'_> {
    type Error = Infallible;

    fn weights(&self, weights: &Weights) -> Result<StoredWeights, Infallible> {
        Ok(Quantized::new(weights, self.input, self.output, BIAS_MAX, self.bits).stored())
    }

    fn constant(&self, numbers: &Vec<f32>) -> Result<StoredConstant, Infallible> {
        let (min, max) = numbers.iter().fold((0f32, 0f32), |(min, max), &x| (min.min(x), max.max(x)));
        let quant = affine(min.into(), max.into());
        Ok(StoredConstant { data: numbers.iter().map(|&x| elements::of(x, quant, DType::I8)).collect(), quant })
    }

    fn function(&self, _function: &Function) -> Result<StoredFunction, Infallible> {
        Ok(StoredFunction::Table(table(self.node, self.input, self.output)))
    }
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
    theirs.unwrap_or_else(|| {
        let inputs: Vec<f32> = (DType::I8.min()..=DType::I8.max()).map(|q| input.dequantize(q)).collect();
        elementwise(node, &inputs).into_iter().map(|real| elements::of(real, output, DType::I8) as i8).collect()
    })
}

/// The weights and the bias that a layer has after rounding, as real numbers.
pub fn rounded(weights: &Weights, input: QuantParams, output: QuantParams) -> Weights {
    Quantized::new(weights, input, output, BIAS_MAX, 8).reals(weights, input)
}

/// Weights per output channel, and the bias in units of input scale times weight scale.
pub(super) struct Quantized {
    pub(super) weights: Vec<i8>,
    pub(super) scales: Vec<f32>,
    pub(super) bias: Vec<i64>,
}

impl Quantized {
    /// For int16 activations, of these quantizations.
    pub(super) fn int16(weights: &Weights, input: QuantParams, output: QuantParams, bits: u32) -> Self {
        Self::new(weights, input, output, INT16_BIAS_MAX, bits)
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

    fn new(weights: &Weights, input: QuantParams, output: QuantParams, bias_max: f64, bits: u32) -> Self {
        let most = f64::from(if bits == 8 { i8::MAX } else { NIBBLE_MAX });
        let scale = |(channel, bias): (usize, &f32)| {
            let step = match &weights.steps {
                _ if bits == 8 => largest(weights, channel) / most,
                Some(steps) => steps[channel].into(),
                None => best_step(weights, channel, most),
            };
            // A zero channel still needs a bias with enough resolution, and a large bias must fit.
            let finest = f64::from(output.scale) / f64::from(1 << 16);
            let least = (f64::from(*bias).abs() / bias_max).max(finest) / f64::from(input.scale);
            step.max(least) as f32
        };
        let scales: Vec<f32> = weights.bias.iter().enumerate().map(scale).collect();
        let quantized = |(index, &weight): (usize, &f32)| {
            let scale = scales[weights.channel_of(index)];
            (f64::from(weight) / f64::from(scale)).round().clamp(-most, most) as i8
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

/// For each channel the step between weights of 4 bits that serves them best.
pub fn best_steps(weights: &Weights) -> Vec<f32> {
    (0..weights.bias.len()).map(|channel| best_step(weights, channel, NIBBLE_MAX.into()) as f32).collect()
}

/// The largest magnitude of a channel's weights.
fn largest(weights: &Weights, channel: usize) -> f64 {
    weights.of(channel).fold(0.0, |max: f64, w| max.max(f64::from(w).abs()))
}

/// The step between a channel's weights with the least square error when they are rounded to multiples up to `most`. With few of
/// them it pays to cut off the largest weights, for the others are nearer then.
fn best_step(weights: &Weights, channel: usize, most: f64) -> f64 {
    let largest = largest(weights, channel);
    let error = |step: f64| -> f64 {
        let rounded = |w: f64| (w / step).round().clamp(-most, most) * step;
        weights.of(channel).map(|w| (f64::from(w) - rounded(w.into())).powi(2)).sum()
    };
    let steps = (0..STEPS).map(|i| largest / most * (1.0 - 0.025 * i as f64));
    steps.map(|step| (error(step), step)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(largest, |(_, step)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many small weights and one large one: its own error is the price of theirs.
    #[test]
    fn few_bits_cut_off_what_costs_the_others_more() {
        let channel: Vec<f32> = (0..200).map(|i| ((i * 37 % 199) as f32 / 199.0 - 0.5) * 0.8).chain([0.7]).collect();
        let weights = Weights {
            weights: [channel.clone(), vec![0.0; 201]].concat(),
            bias: vec![0.1; 2],
            channels_last: false,
            steps: None,
        };
        let quant = QuantParams { scale: 0.05, zero_point: 3 };
        let error = |bits| {
            let quantized = Quantized::new(&weights, quant, quant, BIAS_MAX, bits);
            let most = (1 << (bits - 1)) - 1;
            assert!(quantized.weights.iter().all(|&w| i32::from(w).abs() <= most));
            let scale = quantized.scales[0];
            let errors = quantized.weights.iter().zip(&channel).map(|(&q, w)| (f32::from(q) * scale - w).powi(2));
            (scale, errors.sum::<f32>())
        };
        let ((eight, _), (four, found)) = (error(8), error(4));
        assert_eq!(eight, 0.7 / 127.0);
        let plain: f32 = channel.iter().map(|w| ((w * 10.0).round() / 10.0 - w).powi(2)).sum();
        assert!(four < 0.1 && found < 0.9 * plain, "a step of {four}: {found}, and {plain} with all in range");
    }
}
