//! TensorFlow Lite files (`.tflite`): flatbuffers of schema version 3.

mod ends;
mod extras;
mod extrema;
pub mod file;
mod float;
mod float_ops;
mod fold;
mod functions;
mod lower;
mod mirror;
mod names;
mod ops;
mod options;
mod pads;
mod schema;
mod shuffle;
mod slice;
mod spread;
mod weights;
mod write;

pub use write::{Inexpressible, to_bytes};

use super::{ImportError, Options};

/// Whether `bytes` claims to be a TensorFlow Lite file.
pub(super) fn is_tflite(bytes: &[u8]) -> bool {
    schema::Model::is_tflite(bytes)
}

/// Imports a model, int8 or float.
pub(super) fn import(bytes: &[u8], options: &Options) -> Result<super::Model, ImportError> {
    let mut model = schema::Model::read(bytes)?;
    let folded = fold::constants(&model, 64 * bytes.len() + (1 << 20));
    for (&tensor, data) in &folded {
        model.tensors[tensor].data = Some(data);
    }
    if float::is_float(&model) {
        return float::import(&model, options, bytes.len()).map(super::Model::Float);
    }
    let mut imported = lower::lower(&model, options, bytes.len())?;
    if let Some(extras) = model.extras.and_then(extras::Extras::read) {
        extras.apply(&mut imported.network, options.rounding.is_some());
    }
    if !options.labels.is_empty() {
        imported.network.labels.clone_from(&options.labels);
    }
    Ok(super::Model::Int8(imported))
}
