//! Quantizing a float network with the scales that its file gives (ONNX with QuantizeLinear/DequantizeLinear pairs).
//!
//! A file has no scales for what the importer puts together from several operators (PRELU with a slope for each channel,
//! a maximum of two maps), nor for what its quantizer left out. Calibration images give the ranges of these, or, where a
//! range follows from those of the operands, arithmetic.

use kinglet::{Activation, QuantParams};
use ndarray::Array4;
use thiserror::Error;

use super::ImportedFloat;
use super::float::quant_bounds;
use crate::graph::{Graph, Node, NodeId, Op, Real, Weights};
use crate::network::Network;
use crate::quantize::observe::Histogram;
use crate::quantize::{Calibration, Method, Options, Prepared, QuantizeError, emit, fold, scales};

/// Why the given scales do not make an int8 network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GivenError {
    /// Not a network that can be quantized at all.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// A value for which the file gives no scale.
    #[error(
        "the file gives no scale for the output of `{0}`, and none follows from its operands': give calibration images (--calibration)"
    )]
    Missing(String),
    /// Equalization would change what the given scales are for.
    #[error("the file gives scales, which --equalize would make wrong: leave it out")]
    Equalized,
}

/// The int8 network of a float network with given scales.
///
/// Weights are quantized anew from the numbers that the file's integers stand for, with batch normalization folded in:
/// that keeps the integers of every channel whose largest weight uses the whole range.
///
/// # Errors
/// When a value has no scale, and its range does not follow from its operands'.
pub fn quantize(imported: &ImportedFloat) -> Result<Network, GivenError> {
    let folded = fold::fold(&imported.graph, &imported.params)?;
    let given = given(imported, &folded);
    let mut ranges: Vec<(f64, f64)> = Vec::with_capacity(given.len());
    let mut histograms = vec![Histogram::default(); given.len()];
    for (value, quant) in given.iter().enumerate() {
        let node = &folded.nodes[value];
        let range = quant.map_or_else(|| range(node, &ranges), |quant| Some(quant_bounds(quant)));
        let Some((min, max)) = range else { return Err(GivenError::Missing(node.name.clone())) };
        histograms[value].add(&[min as f32, max as f32]);
        ranges.push((min, max));
    }
    let quants = scales::choose(&folded, &histograms, Calibration::Fixed(Method::MinMax), &[], &given)?;
    Ok(emit::emit(&folded, &quants))
}

/// As [`quantize`], with calibration images for what the file gives no scale for.
///
/// # Errors
/// As [`quantize()`](crate::quantize::quantize()), and when `options` ask for equalization.
pub fn quantize_on(
    imported: &ImportedFloat,
    batches: impl IntoIterator<Item = Array4<f32>>,
    options: &Options,
) -> Result<Network, GivenError> {
    if options.equalize {
        return Err(GivenError::Equalized);
    }
    let folded = fold::fold(&imported.graph, &imported.params)?;
    let given = given(imported, &folded);
    Ok(Prepared::with_given(folded, &given, batches, options)?.network())
}

/// The quantization of every value for which the file has one, or has one for what shares it.
fn given(imported: &ImportedFloat, folded: &Graph<Real>) -> Vec<Option<QuantParams>> {
    let mut given: Vec<Option<QuantParams>> = vec![None; folded.nodes.len()];
    for id in imported.graph.ids() {
        if let Some(&quant) = imported.quants.get(&imported.graph.node(id).name) {
            // Of several operators that were folded into one the last one's output counts.
            given[value_of(&imported.graph, folded, id)] = Some(quant);
        }
    }
    scales::settle(folded, &mut given);
    given
}

/// The folded value that holds the output of `id`: that of the node it was merged into.
fn value_of(graph: &Graph, folded: &Graph<Real>, mut id: NodeId) -> usize {
    loop {
        let node = graph.node(id);
        if let Some(at) = folded.nodes.iter().position(|folded| folded.name == node.name) {
            return at;
        }
        id = *node.inputs.first().expect("the input is in both");
    }
}

/// The range of a node's output when it follows from those of the values before it: of sums of many products the bounds
/// are far from what occurs, and worth nothing.
fn range(node: &Node<Real>, ranges: &[(f64, f64)]) -> Option<(f64, f64)> {
    let inputs: Vec<(f64, f64)> = node.inputs.iter().map(|&input| ranges[input.0]).collect();
    let around = |numbers: &mut dyn Iterator<Item = f64>| {
        numbers.fold((0.0, 0.0), |(min, max): (f64, f64), x| (min.min(x), max.max(x)))
    };
    let ends = |(min, max): (f64, f64)| [min, max];
    let all = around(&mut inputs.iter().flat_map(|&input| ends(input)));
    let pairs = |of: fn(f64, f64) -> f64| match inputs[..] {
        [a, b] => Some(around(&mut ends(a).into_iter().flat_map(|a| ends(b).map(|b| of(a, b))))),
        _ => None,
    };
    let (min, max) = match &node.op {
        Op::Input => return None,
        Op::BatchNorm(never) => match *never {},
        Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights) => {
            let (factors, bias) = (single(weights)?, weights.bias.iter().map(|&bias| f64::from(bias)));
            // Beyond the border there are zeros, which `all` has in it.
            around(&mut factors.zip(bias).flat_map(|(factor, bias)| ends(all).map(|x| x * factor + bias)))
        }
        Op::Add => pairs(|a, b| a + b)?,
        Op::Sub => pairs(|a, b| a - b)?,
        Op::Mul => pairs(|a, b| a * b)?,
        Op::Constant { function, data: numbers } => {
            let of = |x: f64, c: &f32| f64::from(function.of(x as f32, *c));
            around(&mut numbers.iter().flat_map(|c| ends(all).map(|x| of(x, c))))
        }
        // At every number that 8 bits can tell apart.
        Op::Function(function) => {
            around(&mut (0..=255).map(|step| function.at(all.0 + (all.1 - all.0) * f64::from(step) / 255.0)))
        }
        Op::Softmax { .. } => (0.0, 1.0),
        Op::Pad { value, .. } => around(&mut [all.0, all.1, (*value).into()].into_iter()),
        Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::Mean
        | Op::Concat
        | Op::Reshape(_)
        | Op::Activate(Activation::None) => all,
        Op::Activate(activation) => bounded(*activation, all),
    };
    let (least, most) = bounded(node.activation, (min, max));
    (least.is_finite() && most.is_finite()).then_some((least, most))
}

/// What an activation leaves of a range.
fn bounded(activation: Activation, (min, max): (f64, f64)) -> (f64, f64) {
    match activation {
        Activation::None => (min, max),
        Activation::Relu => (0.0, max),
        Activation::Relu6 => (0.0, max.min(6.0)),
        Activation::ReluN1To1 => (min.max(-1.0), max.min(1.0)),
    }
}

/// The weight of each output channel, when none has more than one that is not 0.
fn single(weights: &Weights) -> Option<impl Iterator<Item = f64> + '_> {
    let used = |channel: usize| weights.of(channel).filter(|&weight| weight != 0.0);
    let alone = (0..weights.bias.len()).all(|channel| used(channel).nth(1).is_none());
    alone.then(|| (0..weights.bias.len()).map(move |channel| used(channel).next().unwrap_or(0.0).into()))
}
