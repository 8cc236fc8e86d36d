//! The integer network before planning: what the quantizer and the importers make, and the planner and exporter take.
//!
//! Parts of it, or all, may be in float16, which needs no scales: then nodes with numbers are [`NodeOp::Float`] and
//! [`NodeOp::FloatConstant`], and wherever an integer stands for an element it is the half's ordinal.
//!
//! It speaks of scales, not of multipliers, and of whole operators, not of steps: a concatenation has all its inputs
//! here, and becomes views or copies only when it is planned.

mod validate;

use kinglet::ops::Curve;
use kinglet::{Activation, ChannelOrder, DType, QuantParams, Rounding, Shape, Window, f16};

use crate::quantize::pieces::Pieces;

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

/// An operator and the tensors it connects.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, for messages and reports.
    pub name: String,
    /// What it computes.
    pub op: NodeOp,
    /// The tensors it reads.
    pub inputs: Vec<TensorId>,
    /// The tensor it writes.
    pub output: TensorId,
    /// How it rounds.
    pub rounding: Rounding,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeOp {
    /// 2-D convolution.
    Conv2d {
        /// Kernel, stride, padding.
        window: Window,
        /// Weights, `[out][kernel row][kernel column][in]`.
        weights: Vec<i8>,
        /// Scale of the weights: one for all output channels, or one for each.
        weight_scales: Vec<f32>,
        /// One per output channel, in units of input scale times weight scale.
        bias: Vec<i64>,
        /// Fused activation.
        activation: Activation,
    },
    /// Convolution of each channel by itself; output channel `c * multiplier + m` comes from input channel `c`.
    DepthwiseConv2d {
        /// Kernel, stride, padding.
        window: Window,
        /// Weights, `[kernel row][kernel column][out]`.
        weights: Vec<i8>,
        /// Scale of the weights: one for all output channels, or one for each.
        weight_scales: Vec<f32>,
        /// One per output channel, in units of input scale times weight scale.
        bias: Vec<i64>,
        /// Fused activation.
        activation: Activation,
    },
    /// Fully connected layer over all elements. With one scale for all channels its multiplier is computed from a
    /// product in single precision, as TensorFlow Lite does there.
    Dense {
        /// Weights, `[out][in]`.
        weights: Vec<i8>,
        /// Scale of the weights: one for all output channels, or one for each.
        weight_scales: Vec<f32>,
        /// One per output channel, in units of input scale times weight scale.
        bias: Vec<i64>,
        /// Fused activation.
        activation: Activation,
    },
    /// Maximum over a window.
    MaxPool {
        /// Kernel, stride, padding.
        window: Window,
        /// Fused activation.
        activation: Activation,
    },
    /// Average over a window.
    AveragePool {
        /// Kernel, stride, padding.
        window: Window,
        /// Fused activation.
        activation: Activation,
    },
    /// Mean over height and width.
    Mean,
    /// Sum of two tensors.
    Add {
        /// Fused activation.
        activation: Activation,
    },
    /// Difference of two tensors.
    Sub {
        /// Fused activation.
        activation: Activation,
    },
    /// Product of two tensors.
    Mul {
        /// Fused activation.
        activation: Activation,
    },
    /// All inputs side by side, along the channels.
    Concat,
    /// Softmax over channels.
    Softmax {
        /// What the inputs are multiplied with.
        beta: f32,
    },
    /// Any function of one int8 element: `table[q + 128]`.
    Lookup {
        /// The 256 output elements.
        table: Vec<i8>,
    },
    /// The same number with another scale or type, from or to int16.
    Rescale {
        /// What negative numbers are multiplied with, if that is not 1. TensorFlow Lite computes the factors of such an
        /// operator in single precision.
        slope: Option<f32>,
        /// Fused activation.
        activation: Activation,
    },
    /// The logistic function or the hyperbolic tangent, of int16 elements.
    Sigmoid {
        /// Which function.
        curve: Curve,
    },
    /// Arithmetic with a constant.
    Constant {
        /// What is computed.
        function: ConstantFunction,
        /// One element for each channel, or for each element.
        data: Vec<i16>,
        /// Quantization of the constant.
        quant: QuantParams,
        /// Fused activation.
        activation: Activation,
    },
    /// A layer of float16 activations and weights.
    Float {
        /// Which layer.
        layer: FloatLayer,
        /// Weights, in the order of the int8 layer.
        weights: Vec<f16>,
        /// One per output channel.
        bias: Vec<f32>,
        /// Fused activation.
        activation: Activation,
    },
    /// Arithmetic of float16 activations with a constant.
    FloatConstant {
        /// What is computed.
        function: ConstantFunction,
        /// One element for each channel, or for each element.
        data: Vec<f16>,
        /// Fused activation.
        activation: Activation,
    },
    /// Any function of one float16 element.
    Piecewise(Pieces),
    /// From integers to float16, or back.
    Convert,
    /// The same elements under another shape.
    Reshape,
    /// Padding with a constant.
    Pad {
        /// Elements before, `[h, w, c]`.
        before: [u32; 3],
        /// Elements after, `[h, w, c]`.
        after: [u32; 3],
        /// What they are; the zero point stands for 0.
        value: i16,
    },
}

/// The layers that have weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloatLayer {
    /// 2-D convolution.
    Conv2d(Window),
    /// Convolution of each channel by itself.
    DepthwiseConv2d(Window),
    /// Fully connected layer over all elements.
    Dense,
}

/// What [`NodeOp::Constant`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstantFunction {
    /// `input * constant`.
    Mul,
    /// `input + constant`.
    Add,
    /// `input - constant`.
    Sub,
    /// `constant - input`.
    SubFrom,
}

impl ConstantFunction {
    /// The real result.
    pub fn of(self, input: f32, constant: f32) -> f32 {
        match self {
            ConstantFunction::Mul => input * constant,
            ConstantFunction::Add => input + constant,
            ConstantFunction::Sub => input - constant,
            ConstantFunction::SubFrom => constant - input,
        }
    }
}
