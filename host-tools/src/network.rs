//! The integer network before planning: what the quantizer and the importers make, and the planner and exporter take.
//!
//! Parts of it, or all, may be in half precision, which needs no scales: wherever an integer stands for an element it is
//! the number's ordinal there.
//!
//! It speaks of scales, not of multipliers, and of whole operators, not of steps: a concatenation has all its inputs
//! here, and becomes views or copies only when it is planned.

mod validate;

use std::fmt;

use kinglet::{Activation, ChannelOrder, DType, Place, QuantParams, Rounding, Shape, Tensor};

use crate::graph::{Op, Stored};

pub use validate::NetworkError;

/// Index of a tensor in [`Network::tensors`].
pub type TensorId = usize;

/// A quantized network: nodes in topological order, every tensor written once.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// All activation tensors.
    pub tensors: Vec<TensorInfo>,
    /// The operators in an order in which they can run.
    pub nodes: Vec<Node>,
    /// The tensor that the caller fills.
    pub input: TensorId,
    /// The tensor that the caller reads.
    pub output: TensorId,
    /// One label per class, or none.
    pub labels: Vec<String>,
    /// How pixels become input elements, if known.
    pub pixels: Option<Pixels>,
}

/// How pixels become input elements: 256 elements for all channels, or for each channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// What the channels mean.
    pub order: ChannelOrder,
    /// The tables, one after the other; each element within the input's type.
    pub tables: Vec<i16>,
}

/// An activation tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name, for messages and comparisons.
    pub name: String,
    /// Height, width, channels.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Quantization.
    pub quant: QuantParams,
}

impl TensorInfo {
    /// As the runtime sees it, before it has a place and a life.
    pub(crate) fn dense(&self) -> Tensor {
        let Self { shape, dtype, quant, .. } = *self;
        let place = Place { offset: 0, pitch: shape.c * dtype.size(), rows: shape.h };
        Tensor { shape, dtype, quant, place, first: 0, ready: 0, last: 0, joint: None }
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape: Shape { h, w, c }, dtype, quant: QuantParams { scale, zero_point } } = self;
        write!(f, "`{name}` {h}x{w}x{c} {} (scale {scale}, zero point {zero_point})", dtype.name())
    }
}

/// An operator and the tensors it connects.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, for messages and reports.
    pub name: String,
    /// What it computes.
    pub op: Op<Stored>,
    /// What follows in the same pass.
    pub activation: Activation,
    /// The tensors it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor it writes.
    pub output: TensorId,
    /// How it rounds.
    pub rounding: Rounding,
}
