//! What quantization-aware training found. It lies among the parameters: as `range/LAYER` the least and the greatest number of the
//! layer's output, and as `LAYER.step` the steps between its weights, where they have 4 bits.

use kinglet::QuantParams;
use ndarray::{Array1, arr1};

use super::observe::Histogram;
use super::ranges::Method;
use super::scales::{self, Calibration, affine};
use super::{QuantizeError, int8};
use crate::graph::{Graph, GraphError, Node, Op, Params, Real, Weights};

/// The least and the greatest number of a value; 0 lies between them.
pub type Range = [f32; 2];

/// What the names of ranges begin with.
const PREFIX: &str = "range/";

/// Adds the range of a value to the parameters, or replaces it.
pub fn insert(params: &mut Params, value: &str, range: Range) {
    params.insert(format!("{PREFIX}{value}"), arr1(&range).into_dyn());
}

/// The name of the parameter with the steps between the weights of layer `layer`, one for each output channel. They are in units of
/// the layer's own weights, before what batch normalization makes of them.
pub fn steps_name(layer: &str) -> String {
    format!("{layer}.step")
}

/// Adds to the parameters of `graph` the steps that weights of 4 bits in layer `layer` start to be trained from: those with the least
/// square error.
///
/// # Errors
/// When the layer has no weights among them.
pub fn insert_steps(params: &mut Params, graph: &Graph, layer: &str) -> Result<(), GraphError> {
    let array = params.require(&format!("{layer}.weight"))?;
    let node = graph.nodes.iter().find(|node| node.name == layer);
    let channels_last = node.is_some_and(|node| matches!(node.op, Op::DepthwiseConv2d { .. }));
    let channels = array.shape()[if channels_last { array.ndim() - 1 } else { 0 }];
    let weights =
        Weights { weights: array.iter().copied().collect(), bias: vec![0.0; channels], channels_last, steps: None };
    params.insert(steps_name(layer), Array1::from(int8::best_steps(&weights)).into_dyn());
    Ok(())
}

/// The layers whose weights were trained with 4 bits.
pub fn nibbles(network: &Graph<Real>) -> Vec<String> {
    let trained = network.nodes.iter().filter(|node| node.op.weights().is_some_and(|weights| weights.steps.is_some()));
    trained.map(|node| node.name.clone()).collect()
}

/// What an element of the int8 value of that name stands for, beside its zero point, where its range is among the parameters.
pub fn scale(params: &Params, value: &str) -> Option<f32> {
    let range = params.get(&format!("{PREFIX}{value}"))?;
    let (min, max) = range.iter().fold((0f32, 0f32), |(min, max), &end| (min.min(end), max.max(end)));
    Some((max - min) / 255.0)
}

/// Whether there are ranges among the parameters.
pub fn has_ranges(params: &Params) -> bool {
    params.iter().any(|(name, _)| name.starts_with(PREFIX))
}

/// The range of each value; `None` when there are none at all.
///
/// # Errors
/// Names the value whose range is missing or is none.
pub fn ranges(network: &Graph<Real>, params: &Params) -> Result<Option<Vec<Range>>, QuantizeError> {
    if !has_ranges(params) {
        return Ok(None);
    }
    let range = |node: &Node<Real>| {
        let name = format!("{PREFIX}{}", node.name);
        let numbers: Vec<f32> = params.get(&name).into_iter().flatten().copied().collect();
        match numbers[..] {
            [min, max] if min.is_finite() && max.is_finite() && min <= 0.0 && max >= 0.0 => Ok([min, max]),
            _ => Err(QuantizeError::TrainedRange(name)),
        }
    };
    network.nodes.iter().map(range).collect::<Result<_, _>>().map(Some)
}

/// The quantization of each value by its range; `None` when there are no ranges.
///
/// # Errors
/// As [`ranges`], and as [`scales::choose`].
pub fn quants(network: &Graph<Real>, params: &Params) -> Result<Option<Vec<QuantParams>>, QuantizeError> {
    let Some(ranges) = ranges(network, params)? else { return Ok(None) };
    let given: Vec<_> = ranges.iter().map(|[min, max]| Some(affine((*min).into(), (*max).into()))).collect();
    // Where a range is given, nothing that was seen counts.
    let unseen = vec![Histogram::default(); network.nodes.len()];
    scales::choose(network, &unseen, Calibration::Fixed(Method::MinMax), &[], &given).map(Some)
}
