//! Reading networks that other tools made: TensorFlow Lite and ONNX files.
//!
//! A file is hostile until proven otherwise: no bytes make an importer panic, recurse without bound or allocate more
//! than a small multiple of the file. What a network needs and Kinglet lacks is listed all at once
//! ([`problem::Problems`]), and nothing is written then.

pub mod calibration;
mod draft;
mod finish;
pub mod flat;
pub mod flat_write;
pub mod foreign;
pub mod given;
mod lower;
mod mirror;
mod onnx;
pub mod problem;
mod simplify;
mod source;
pub mod tflite;

use std::path::{Path, PathBuf};

use kinglet::Rounding;
use kinglet::format::RoundingSource;
use thiserror::Error;

use crate::graph::{Op, Stored};
use crate::network::Network;
pub use finish::ImportedFloat;
use flat::Malformed;
use problem::Problems;

/// How the operators of an imported network round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RoundingMode {
    /// Twice everywhere, multipliers from products in double precision: TensorFlow Lite Micro since October 2026.
    #[default]
    #[value(alias = "double")]
    Tflm,
    /// Twice everywhere, multipliers of FULLY_CONNECTED with one weight scale, of SUB and of LEAKY_RELU from products in
    /// single precision: TensorFlow Lite Micro before.
    #[value(name = "tflm-2025")]
    Tflm2025,
    /// Once in FULLY_CONNECTED, twice elsewhere: the reference kernels of desktop TensorFlow Lite. Multipliers of SUB and of
    /// LEAKY_RELU are from products in single precision, as are those of a uint8 model's convolutions.
    Reference,
    /// Once everywhere.
    Single,
}

impl RoundingMode {
    /// How an operator rounds in this mode.
    pub fn of(self, op: &Op<Stored>) -> Rounding {
        match (self, op) {
            (RoundingMode::Single, _) | (RoundingMode::Reference, Op::Dense(_)) => Rounding::Single,
            _ => Rounding::Double,
        }
    }

    /// What a model file says of it.
    pub fn source(self) -> RoundingSource {
        match self {
            RoundingMode::Tflm => RoundingSource::Tflm,
            RoundingMode::Tflm2025 => RoundingSource::Tflm2025,
            RoundingMode::Reference => RoundingSource::Reference,
            RoundingMode::Single => RoundingSource::Single,
        }
    }

    /// Whether all multipliers come from products in double precision.
    fn is_double(self) -> bool {
        self == RoundingMode::Tflm
    }

    /// Whether everything is rounded twice, as TensorFlow Lite Micro does.
    fn is_micro(self) -> bool {
        matches!(self, RoundingMode::Tflm | RoundingMode::Tflm2025)
    }
}

/// What RELU6 does that no operator before it could take in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Relu6 {
    /// Clamps the numbers, whatever the scales: TensorFlow Lite.
    #[default]
    Rescale,
    /// Clamps the input's integers, and hands them on under the output's scale: TensorFlow Lite Micro.
    Tflm,
}

/// What to make of a file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The network's name.
    pub name: String,
    /// How operators round; if not given, as the file says, else [`RoundingMode::Tflm`].
    pub rounding: Option<RoundingMode>,
    /// What RELU6 does that stands alone.
    pub relu6: Relu6,
    /// Class names, over those that the file may have.
    pub labels: Vec<String>,
    /// The tensors that the network begins with, by name, instead of the file's inputs.
    pub inputs: Vec<String>,
    /// The tensors that the network ends with, by name, instead of the file's outputs.
    pub outputs: Vec<String>,
    /// The folder with the files that the model says its weights are in.
    pub folder: Option<PathBuf>,
    /// Bytes of constants that may be made beside 64 times those of the file; 2 GiB if not given.
    pub constants: Option<usize>,
}

/// An imported int8 network, ready for export.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub network: Network,
    /// What the user should know: conversions that were left to the caller, and the like.
    pub notes: Vec<String>,
}

/// Why a file could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Neither TensorFlow Lite nor ONNX.
    #[error("not a model that kinglet reads: expected a TensorFlow Lite (.tflite) or ONNX (.onnx) file")]
    Format,
    /// The file breaks its format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The file is not a protobuf message.
    #[error("the file is damaged: {0}")]
    Protobuf(String),
    /// The model is not quantized.
    #[error(
        "the model computes in floats: give calibration images to quantize it (--calibration), or keep floats (--dtype f16)"
    )]
    Float,
    /// The network is to begin or end at a tensor that there is not.
    #[error("the model has no tensor `{name}`: it has {}", names.join(", "))]
    NoSuchTensor {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        names: Vec<String>,
    },
    /// The model needs what Kinglet does not have.
    #[error("{0}")]
    Unsupported(Problems),
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Model {
    /// An int8 network.
    Int8(Imported),
    /// A float network, to be quantized.
    Float(ImportedFloat),
}

/// Reads the model in `bytes`.
///
/// # Errors
/// When the file is damaged, of another kind, or needs something unsupported.
pub fn read(bytes: &[u8], options: &Options) -> Result<Model, ImportError> {
    if tflite::is_tflite(bytes) {
        return tflite::import(bytes, options);
    }
    if onnx::is_onnx(bytes) {
        return onnx::import(bytes, options).map(Model::Float);
    }
    Err(ImportError::Format)
}

/// Imports the int8 model in `bytes`.
///
/// # Errors
/// As [`read`], and when the model is not quantized.
pub fn import(bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    match read(bytes, options)? {
        Model::Int8(imported) => Ok(imported),
        Model::Float(_) => Err(ImportError::Float),
    }
}

/// A network's name: that of its file.
pub fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
