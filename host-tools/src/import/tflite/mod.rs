//! TensorFlow Lite files (`.tflite`): flatbuffers of schema version 3.

mod ends;
mod lower;
mod names;
mod ops;
mod schema;
mod weights;

use super::{ImportError, Imported, Options};

/// Whether `bytes` claims to be a TensorFlow Lite file.
pub(super) fn is_tflite(bytes: &[u8]) -> bool {
    schema::Model::is_tflite(bytes)
}

/// Imports an int8 model.
pub(super) fn import(bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let model = schema::Model::read(bytes)?;
    lower::lower(&model, &options.name, bytes.len(), options.rounding)
}
