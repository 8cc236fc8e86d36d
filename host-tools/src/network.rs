//! The integer network before planning: what the quantizer and the importers make, and the planner and exporter take.
//!
//! Parts of it, or all, may be in half precision, which needs no scales: wherever an integer stands for an element it is
//! the number's ordinal there.
//!
//! It speaks of scales, not of multipliers, and of whole operators, not of steps: a concatenation has all its inputs
//! here, and becomes views or copies only when it is planned.

mod validate;

use std::fmt;

use kinglet::format::RoundingSource;
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
    /// The tensors that the caller fills, by whose names it knows them; a valid network has one or more.
    pub inputs: Vec<TensorId>,
    /// The tensors that the caller reads, likewise.
    pub outputs: Vec<TensorId>,
    /// What lasts from inference to inference.
    pub states: Vec<State>,
    /// One label per element of the first output, or none.
    pub labels: Vec<String>,
    /// How pixels become elements of the first input, if known.
    pub pixels: Option<Pixels>,
    /// Whose arithmetic the integers follow; multipliers are computed as it does.
    pub rounding: RoundingSource,
}

/// A tensor that keeps its elements from one inference to the next; no node writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The tensor that nodes read.
    pub tensor: TensorId,
    /// The tensor whose elements it takes over when an inference ends.
    pub next: TensorId,
    /// Its elements before the first inference; none for zero points.
    pub initial: Vec<i16>,
}

impl Network {
    /// The first input.
    pub fn input(&self) -> &TensorInfo {
        &self.tensors[self.inputs[0]]
    }

    /// The first output.
    pub fn output(&self) -> &TensorInfo {
        &self.tensors[self.outputs[0]]
    }

    /// The tensors that are there before the first node runs: inputs and states.
    pub fn given(&self) -> impl Iterator<Item = TensorId> {
        self.inputs.iter().copied().chain(self.states.iter().map(|state| state.tensor))
    }

    /// The tensors that must last until the inference has ended: outputs, states and what they become.
    pub fn kept(&self) -> impl Iterator<Item = TensorId> {
        self.outputs.iter().copied().chain(self.states.iter().flat_map(|state| [state.tensor, state.next]))
    }
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
        Tensor { shape, dtype, quant, place, first: 0, ready: 0, last: 0, parent: None }
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
