//! TensorFlow Lite files (`.tflite`): flatbuffers of schema version 3.

mod constants;
mod dims;
mod elementwise;
mod ends;
mod extras;
pub mod file;
mod fold;
mod moves;
mod names;
mod operators;
mod parts;
mod read;
mod resize;
mod schema;
mod state;
mod windows;
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
    model.cut(&options.inputs, &options.outputs).map_err(|name| ImportError::NoSuchTensor {
        name,
        names: model.tensors.iter().filter(|tensor| tensor.data.is_none()).map(|tensor| tensor.name.clone()).collect(),
    })?;
    let count = model.one_image();
    let folded = fold::constants(&model, 64 * bytes.len() + (1 << 20));
    for (&tensor, data) in &folded {
        model.tensors[tensor].data = Some(data);
    }
    read::import(&model, options, bytes.len(), count)
}
