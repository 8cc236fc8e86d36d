//! Ranges of activations that quantization-aware training found. They lie among the parameters, as `range/LAYER`: the
//! least and the greatest number of the layer's output; and, as `bits/LAYER`, how many bits its weights have where they are not 8.

use kinglet::QuantParams;
use ndarray::arr1;

use super::QuantizeError;
use super::observe::Histogram;
use super::ranges::Method;
use super::scales::{self, Calibration, affine};
use crate::graph::{Graph, Node, Params, Real};

/// The least and the greatest number of a value; 0 lies between them.
pub type Range = [f32; 2];

/// What the names of ranges begin with.
const PREFIX: &str = "range/";

/// Adds the range of a value to the parameters, or replaces it.
pub fn insert(params: &mut Params, value: &str, range: Range) {
    params.insert(format!("{PREFIX}{value}"), arr1(&range).into_dyn());
}

/// What the names of bits begin with.
const BITS: &str = "bits/";

/// Adds to the parameters that the weights of layer `layer` have 4 bits.
pub fn insert_nibbles(params: &mut Params, layer: &str) {
    params.insert(format!("{BITS}{layer}"), arr1(&[4.0]).into_dyn());
}

/// The layers that were trained with weights of 4 bits.
pub fn nibbles(network: &Graph<Real>, params: &Params) -> Vec<String> {
    let names = network.nodes.iter().map(|node| &node.name);
    names.filter(|name| params.get(&format!("{BITS}{name}")).is_some()).cloned().collect()
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
