//! From a trained float network to a model file: quantize on held-in images, export.

use anyhow::Result;
use ndarray::{Array4, Axis};

use crate::data::Split;
use crate::export::{self, Exported};
use crate::graph::{Graph, Params};
use crate::network::Network;
use crate::quantize::{self, Prepared, QuantizeError, emit, fold};

/// Calibration images, unless the user says otherwise.
pub const CALIBRATION_IMAGES: usize = 512;

/// Images that are taken through the float network at a time.
const BATCH: usize = 64;

/// How to quantize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Calibration images, at most.
    pub images: usize,
    /// How ranges are chosen.
    pub quantize: quantize::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self { images: CALIBRATION_IMAGES, quantize: quantize::Options::default() }
    }
}

/// Prepares the quantization of a network on images of `held_in`, evenly spaced. Ranges that were trained are kept.
///
/// # Errors
/// When the images are too few or do not fit the network.
pub fn prepare(graph: &Graph, params: &Params, held_in: &Split, options: &Options) -> Result<Prepared, QuantizeError> {
    let chosen = held_in.spaced(options.images);
    let mut failed = None;
    let batches = chosen.chunks(BATCH).map_while(|batch| {
        let pixels = held_in.images.select(Axis(0), batch);
        quantize::reals(&graph.preprocess, pixels.view()).map_err(|error| failed = Some(error)).ok()
    });
    let prepared = Prepared::new(graph, params, batches, &options.quantize);
    match failed {
        Some(error) => Err(error),
        None => prepared,
    }
}

/// The network in float16: nothing is calibrated, and no images are needed.
///
/// # Errors
/// When a parameter is missing, not finite or too large, and when the runtime has no float16 form of an operator.
pub fn float16(graph: &Graph, params: &Params) -> Result<Network, QuantizeError> {
    emit::float16(&fold::fold(graph, params)?)
}

/// A network as it is before training, quantized on made-up images: neither RAM nor instructions depend on the weights, nor on
/// the images that ranges come from.
///
/// # Errors
/// When the network cannot be quantized.
pub fn untrained_network(graph: &Graph) -> Result<Network, QuantizeError> {
    let dims = (2, graph.input.h as usize, graph.input.w as usize, graph.input.c as usize);
    let images = Array4::from_shape_fn(dims, |(n, y, x, c)| ((n + y * 7 + x * 3 + c) % 11) as f32 / 11.0);
    quantize::quantize(graph, &Params::init(graph, 1), [images], &quantize::Options::default())
}

/// Such a network exported.
///
/// # Errors
/// When the network does not export.
pub fn untrained(graph: &Graph) -> Result<Exported> {
    Ok(export::to_bytes(&untrained_network(graph)?, &export::Options::default())?)
}

/// Quantizes and exports.
///
/// # Errors
/// As [`prepare()`], and when the network does not export.
pub fn deploy(
    graph: &Graph,
    params: &Params,
    held_in: &Split,
    quantization: &Options,
    options: &export::Options,
) -> Result<Exported> {
    Ok(export::to_bytes(&prepare(graph, params, held_in, quantization)?.network(), options)?)
}
