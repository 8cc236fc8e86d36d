//! ONNX files: float networks, and networks with QuantizeLinear/DequantizeLinear pairs.
//!
//! ONNX is channels-first; everything here is channels-last. Maps change order as they are built; a vector that was
//! flattened from a map keeps our order, and the dense layer that reads it gets its weights permuted.

mod apart;
mod arrays;
mod constants;
mod context;
mod dense;
mod elementwise;
mod external;
mod moves;
mod norms;
mod ops;
mod proto;
mod qoperator;
mod quantized;
mod resize;
mod tensor;
mod windows;

use prost::Message;

use super::finish::ImportedFloat;
use super::{ImportError, Options};

/// Whether `bytes` look like an ONNX model: a protobuf message with a graph.
pub(super) fn is_onnx(bytes: &[u8]) -> bool {
    // Field 1, the IR version, comes first in what every writer makes; a graph there must be.
    bytes.first() == Some(&0x08)
}

/// Imports a model.
pub(super) fn import(bytes: &[u8], options: &Options) -> Result<ImportedFloat, ImportError> {
    let mut model = proto::ModelProto::decode(bytes).map_err(|error| ImportError::Protobuf(error.to_string()))?;
    external::load(&mut model, options.folder.as_deref()).map_err(ImportError::Unsupported)?;
    if let Some(graph) = &mut model.graph {
        qoperator::expand(graph);
    }
    context::Context::import(&model, options)
}
