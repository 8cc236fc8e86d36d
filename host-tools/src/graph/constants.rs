//! The forms of a graph's constants: dimensions for the trainer, real numbers for the quantizer, and what model files store.

use std::convert::Infallible;
use std::fmt::Debug;

use kinglet::ops::Curve;
use kinglet::{QuantParams, f16};

use super::function::Function;

/// A form of constants: [`Spec`], [`Real`] or [`Stored`].
pub trait Constants: Copy + Debug + PartialEq {
    /// Weights and biases of a layer.
    type Weights: Channels + Clone + Debug + PartialEq;
    /// The constant operand of arithmetic.
    type Constant: Clone + Debug + PartialEq;
    /// A function of one element.
    type Function: Clone + Debug + PartialEq;
    /// The epsilon of a batch normalization, in graphs that may have one.
    type Epsilon: Clone + Debug + PartialEq;
}

/// What all forms of weights tell.
pub trait Channels {
    /// Output channels.
    fn channels(&self) -> usize;
}

/// Names and dimensions: the numbers are in the [`Params`](super::Params), under the node's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec;

impl Constants for Spec {
    type Weights = Dims;
    type Constant = ();
    type Function = Function;
    type Epsilon = f32;
}

/// Real numbers, with batch normalization folded into them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Real;

impl Constants for Real {
    type Weights = Weights;
    type Constant = Vec<f32>;
    type Function = Function;
    type Epsilon = Infallible;
}

/// The integers and half-precision numbers of a model file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored;

impl Constants for Stored {
    type Weights = StoredWeights;
    type Constant = StoredConstant;
    type Function = StoredFunction;
    type Epsilon = Infallible;
}

/// Dimensions of a layer's weights that its input does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Output channels.
    pub channels: u32,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Channels for Dims {
    fn channels(&self) -> usize {
        self.channels as usize
    }
}

/// Weights and a bias per output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The weights, in the operator's layout.
    pub weights: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<f32>,
    /// Whether the output channel is the innermost dimension of the weights, and not the outermost.
    pub channels_last: bool,
    /// The step between the weights of 4 bits of each output channel, where they were trained so.
    pub steps: Option<Vec<f32>>,
}

impl Channels for Weights {
    fn channels(&self) -> usize {
        self.bias.len()
    }
}

impl Weights {
    /// The output channel of the weight at `index`.
    pub fn channel_of(&self, index: usize) -> usize {
        let channels = self.channels();
        if self.channels_last { index % channels } else { index / (self.weights.len() / channels) }
    }

    /// The weights of output channel `channel`.
    pub fn of(&self, channel: usize) -> impl Iterator<Item = f32> + '_ {
        let each = self.weights.len() / self.channels();
        let (start, step) = if self.channels_last { (channel, self.channels()) } else { (channel * each, 1) };
        self.weights.iter().skip(start).step_by(step).take(each).copied()
    }

    /// Multiplies each output channel by its factor and adds its offset.
    pub(crate) fn scale(&mut self, factors: &[f64], offsets: &[f64]) {
        for index in 0..self.weights.len() {
            let factor = factors[self.channel_of(index)];
            let weight = &mut self.weights[index];
            *weight = (f64::from(*weight) * factor) as f32;
        }
        for ((bias, factor), offset) in self.bias.iter_mut().zip(factors).zip(offsets) {
            *bias = (f64::from(*bias) * factor + offset) as f32;
        }
        for (step, factor) in self.steps.iter_mut().flatten().zip(factors) {
            *step = (f64::from(*step) * factor.abs()) as f32;
        }
    }
}

/// Weights and biases of a layer of integers, or of half precision.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredWeights {
    /// For int8 and int16 activations.
    Int8 {
        /// Weights, in the operator's layout.
        weights: Vec<i8>,
        /// Scale of the weights: one for all output channels, or one for each. A dense layer with one for all computes
        /// its multiplier from a product in single precision, as TensorFlow Lite does there.
        scales: Vec<f32>,
        /// One per output channel, in units of input scale times weight scale.
        bias: Vec<i64>,
    },
    /// For int8 activations, of uint8 models of TensorFlow Lite.
    Uint8 {
        /// Weights less their zero point, in the operator's layout.
        weights: Vec<i16>,
        /// Scale of the weights. A convolution computes its multiplier from a product in single precision, as TensorFlow Lite
        /// does there.
        scale: f32,
        /// One per output channel, in units of input scale times weight scale.
        bias: Vec<i64>,
    },
    /// For half-precision activations.
    F16 {
        /// Weights, in the operator's layout.
        weights: Vec<f16>,
        /// One per output channel.
        bias: Vec<f32>,
    },
}

impl StoredWeights {
    /// How many weights there are.
    pub fn len(&self) -> usize {
        match self {
            StoredWeights::Int8 { weights, .. } => weights.len(),
            StoredWeights::Uint8 { weights, .. } => weights.len(),
            StoredWeights::F16 { weights, .. } => weights.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Channels for StoredWeights {
    fn channels(&self) -> usize {
        match self {
            StoredWeights::Int8 { bias, .. } | StoredWeights::Uint8 { bias, .. } => bias.len(),
            StoredWeights::F16 { bias, .. } => bias.len(),
        }
    }
}

/// The constant operand of arithmetic.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredConstant {
    /// One element for each channel, or for each element, of the input's type; in half precision the ordinals.
    pub data: Vec<i16>,
    /// What they stand for.
    pub quant: QuantParams,
}

/// How a function of one element is computed.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredFunction {
    /// Of int8: the 256 output elements, `table[q + 128]`.
    Table(Vec<i8>),
    /// Of int16: TensorFlow Lite's logistic function or hyperbolic tangent.
    Curve(Curve),
    /// Of int16: negative numbers are multiplied by a factor. TensorFlow Lite computes the multipliers of such an
    /// operator in single precision.
    Slope(f32),
    /// In half precision: polynomials.
    Pieces(Pieces),
}

/// A function of half-precision numbers, cut into pieces: what the runtime's PIECEWISE operator takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pieces {
    /// The ordinal of each piece's first number.
    pub starts: Vec<i16>,
    /// Each piece's polynomial, the constant first.
    pub polynomials: Vec<[f32; 4]>,
}
