//! Quantizing a float network with the scales that its file gives (ONNX with QuantizeLinear/DequantizeLinear pairs).
//!
//! A file has no scales for what the importer puts together from several operators (PRELU with a slope for each channel,
//! a maximum of two maps), nor for what its quantizer left out. Calibration images give the ranges of these, or, where a
//! range follows from those of the operands, arithmetic.

use kinglet::{Activation, QuantParams};
use ndarray::Array4;
use thiserror::Error;

use super::ImportedFloat;
use super::draft::quant_bounds;
use crate::graph::{Graph, Node, NodeId, Op, Real, StoredWeights, Weights};
use crate::network::Network;
use crate::quantize::observe::Histogram;
use crate::quantize::{Calibration, Method, Options, Prepared, QuantizeError, fold, scales};

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

/// The network of a float network with given scales: int8, or 16x8 where those are of int16 activations.
///
/// Weights that the file has as integers are these, unless something was folded in that makes other numbers of them.
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
    let prepared = Prepared { corrected: folded.clone(), float: folded, quants, nibbles: Vec::new() };
    network(&prepared, imported)
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
    network(&Prepared::with_given(folded, &given, batches, options)?, imported)
}

fn network(prepared: &Prepared, imported: &ImportedFloat) -> Result<Network, GivenError> {
    let network = if imported.int16 { prepared.int16()? } else { prepared.network() };
    Ok(with_integers(network, &prepared.float, imported))
}

/// The network with the weights that the file has as integers, where those are still what its real weights stand for.
fn with_integers(mut network: Network, folded: &Graph<Real>, imported: &ImportedFloat) -> Network {
    let Network { tensors, nodes, .. } = &mut network;
    let most = if imported.int16 { WIDE_BIAS_MAX } else { BIAS_MAX };
    for node in nodes {
        let Some(given) = imported.weight_scales.get(&node.name) else { continue };
        let Some(from) = folded.nodes.iter().find(|from| from.name == node.name) else { continue };
        let (Op::Conv2d { weights: real, .. } | Op::DepthwiseConv2d { weights: real, .. } | Op::Dense(real)) = &from.op
        else {
            continue;
        };
        let (Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights)) = &mut node.op
        else {
            continue;
        };
        let integers = real.weights.iter().enumerate();
        let integers = integers.map(|(at, &weight)| integer(weight, given[real.channel_of(at)])).collect();
        let input = f64::from(tensors[node.inputs[0]].quant.scale);
        let biases = real.bias.iter().zip(given).map(|(&bias, &scale)| {
            let units = (f64::from(bias) / (input * f64::from(scale))).round();
            (units.abs() < most).then_some(units as i64)
        });
        if let (Some(integers), Some(bias)) = (integers, biases.collect()) {
            *weights = StoredWeights::Int8 { weights: integers, scales: given.clone(), bias };
        }
    }
    network
}

/// The largest bias that is taken: far enough from the accumulator's ends.
const BIAS_MAX: f64 = (1 << 30) as f64;
/// The same of one with 64 bits.
const WIDE_BIAS_MAX: f64 = (1u64 << 40) as f64;

/// The integer that a weight is in units of `scale`.
fn integer(weight: f32, scale: f32) -> Option<i8> {
    let units = f64::from(weight) / f64::from(scale);
    let is_integer = (units - units.round()).abs() < 1e-3 && (-128.0..=127.0).contains(&units.round());
    is_integer.then_some(units.round() as i8)
}

/// The values for which the file gives no scale, nor for what shares theirs.
///
/// # Errors
/// As [`quantize()`](crate::quantize::quantize()).
pub fn without_scale(imported: &ImportedFloat) -> Result<Vec<String>, GivenError> {
    let folded = fold::fold(&imported.graph, &imported.params)?;
    let given = given(imported, &folded);
    let missing = folded.nodes.iter().zip(&given).filter(|(_, quant)| quant.is_none());
    Ok(missing.map(|(node, _)| node.name.clone()).collect())
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
        Op::L2Norm => (-1.0, 1.0),
        Op::Rearrange(rearrange) => around(&mut rearrange.constant().map(f64::from).into_iter().chain(ends(all))),
        Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::ResizeBilinear(_)
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
