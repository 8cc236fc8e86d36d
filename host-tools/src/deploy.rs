//! From a trained float network to a model file: quantize on held-in images, export.

use anyhow::Result;
use ndarray::{Axis, Slice};

use crate::data::Split;
use crate::export::{self, Exported};
use crate::graph::{Graph, Params};
use crate::network::Network;
use crate::quantize;

/// Calibration images, unless the user says otherwise.
pub const CALIBRATION_IMAGES: usize = 512;

/// Images that are taken through the float network at a time.
const BATCH: usize = 64;

/// Quantizes a network on the first `images` of `held_in`, in its order: a set that is sorted by class should be taken
/// whole, or the ranges are those of its first classes.
///
/// # Errors
/// When the images are too few or do not fit the network.
pub fn quantize(graph: &Graph, params: &Params, held_in: &Split, images: usize) -> Result<Network> {
    let count = held_in.len().min(images);
    let mut failed = None;
    let batches = (0..count).step_by(BATCH).map_while(|start| {
        let end = count.min(start + BATCH);
        let pixels = held_in.images.slice_axis(Axis(0), Slice::from(start..end));
        quantize::reals(&graph.preprocess, pixels).map_err(|error| failed = Some(error)).ok()
    });
    let network = quantize::quantize(graph, params, batches, &quantize::Options::default());
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(network?),
    }
}

/// Quantizes and exports.
///
/// # Errors
/// As [`quantize()`], and when the network does not export.
pub fn deploy(
    graph: &Graph,
    params: &Params,
    held_in: &Split,
    images: usize,
    options: &export::Options,
) -> Result<Exported> {
    Ok(export::to_bytes(&quantize(graph, params, held_in, images)?, options)?)
}
