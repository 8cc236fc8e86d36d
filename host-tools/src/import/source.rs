//! What a file says, in Kinglet's terms: the one description that the readers of all formats give and that `lower` takes.
//!
//! Maps are height x width x channels here whatever they are in the file, axes are counted in that order, constants are
//! in the operator's layout, and numbers are integers with their scales where the file has these.

use kinglet::ops::ResizeBilinear;
use kinglet::{Activation, DType, QuantParams, Shape, Window};

use super::mirror::Mirror;
use super::problem::{Refusal, refuse};
use crate::graph::{Binary, Function, NodeId, Rearrange, Unary};

/// One operator over values that have been lowered before.
#[derive(Clone, Debug)]
pub(super) struct FileNode {
    pub(super) operator: Operator,
    pub(super) inputs: Vec<Operand>,
    pub(super) output: Output,
}

impl FileNode {
    /// An operator of activations alone.
    pub(super) fn new(operator: Operator, inputs: &[NodeId], output: Output) -> Self {
        Self { operator, inputs: inputs.iter().copied().map(Operand::Value).collect(), output }
    }

    /// Input `index`, which must be an activation.
    pub(super) fn value(&self, index: usize) -> Result<NodeId, Refusal> {
        match self.inputs.get(index) {
            Some(Operand::Value(id)) => Ok(*id),
            Some(Operand::Constant(_)) => refuse("a constant where an activation is needed", ""),
            None => refuse(format!("input {index} is missing"), ""),
        }
    }

    /// All inputs, which must be activations.
    pub(super) fn values(&self) -> Result<Vec<NodeId>, Refusal> {
        (0..self.inputs.len()).map(|index| self.value(index)).collect()
    }
}

/// What an operator reads.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// A value that is computed from the input.
    Value(NodeId),
    /// Numbers of the file: one, one for each channel, or one for each element.
    Constant(List),
}

/// What a file says of a node's output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    /// Its elements; `None` where the file computes in floats.
    pub(super) elements: Option<Elements>,
    /// What follows in the same pass.
    pub(super) activation: Activation,
}

impl From<Option<Elements>> for Output {
    fn from(elements: Option<Elements>) -> Self {
        Self { elements, activation: Activation::None }
    }
}

/// What integers stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Elements {
    pub(super) dtype: DType,
    pub(super) quant: QuantParams,
}

impl Elements {
    /// Whether the same integers stand for the same numbers.
    pub(super) fn same(self, other: Self) -> bool {
        self.dtype == other.dtype && self.quant.same(other.quant)
    }
}

/// Constants: real numbers, or the file's integers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum List {
    Reals(Vec<f32>),
    Integers(Vec<i16>, Elements),
}

impl List {
    pub(super) fn len(&self) -> usize {
        match self {
            List::Reals(reals) => reals.len(),
            List::Integers(integers, _) => integers.len(),
        }
    }
}

/// Weights and biases.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) weights: Numbers,
    pub(super) bias: Bias,
}

/// Weights: real numbers, or the file's integers with one scale or one for each output channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    Reals(Vec<f32>),
    Integers {
        values: Vec<i8>,
        scales: Vec<f32>,
    },
    /// uint8 less its zero point.
    Unsigned {
        values: Vec<i16>,
        scale: f32,
    },
}

impl Numbers {
    /// The weights at these places, zeros where there is none; the scales of the output channels for each of several groups.
    pub(super) fn at(self, places: &[Option<usize>], groups: usize) -> Self {
        fn picked<T: Copy + Default>(numbers: &[T], places: &[Option<usize>]) -> Vec<T> {
            places.iter().map(|place| place.map_or(T::default(), |at| numbers[at])).collect()
        }
        match self {
            Numbers::Reals(reals) => Numbers::Reals(picked(&reals, places)),
            Numbers::Integers { values, scales } => {
                let scales = if scales.len() == 1 { scales } else { scales.repeat(groups) };
                Numbers::Integers { values: picked(&values, places), scales }
            }
            Numbers::Unsigned { values, scale } => Numbers::Unsigned { values: picked(&values, places), scale },
        }
    }

    /// One scale, or one for each output channel; of real numbers none.
    pub(super) fn scales(&self) -> Option<&[f32]> {
        match self {
            Numbers::Reals(_) => None,
            Numbers::Integers { scales, .. } => Some(scales),
            Numbers::Unsigned { scale, .. } => Some(std::slice::from_ref(scale)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Numbers::Reals(reals) => reals.len(),
            Numbers::Integers { values, .. } => values.len(),
            Numbers::Unsigned { values, .. } => values.len(),
        }
    }
}

/// One bias for each output channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bias {
    Reals(Vec<f32>),
    /// In units of input scale times weight scale; whether the file has them in 64 bits.
    Integers(Vec<i64>, bool),
}

impl Bias {
    pub(super) fn len(&self) -> usize {
        match self {
            Bias::Reals(reals) => reals.len(),
            Bias::Integers(integers, _) => integers.len(),
        }
    }
}

/// The numbers of a batch normalization, one for each channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) epsilon: f32,
}

/// A function of one element: those that TensorFlow Lite computes in ways of its own, and all others.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Curve {
    /// The same number; of integers with another scale or type.
    Same,
    Relu,
    Relu6,
    ReluN1To1,
    LeakyRelu(f32),
    Logistic,
    Tanh,
    HardSwish,
    Elu,
    Abs,
    Rsqrt,
    Gelu {
        approximate: bool,
    },
    Other(Function),
}

impl Curve {
    /// What it is of real numbers.
    pub(super) fn real(&self) -> Function {
        match self {
            Curve::Same => Function::X,
            Curve::Relu => Function::relu(),
            Curve::Relu6 => Function::relu6(),
            Curve::ReluN1To1 => Function::X.clip(-1.0, 1.0),
            Curve::LeakyRelu(slope) => Function::leaky_relu((*slope).into()),
            Curve::Logistic => Function::X.then(Unary::Sigmoid),
            Curve::Tanh => Function::X.then(Unary::Tanh),
            Curve::HardSwish => Function::hard_swish(),
            Curve::Elu => Function::elu(1.0),
            Curve::Abs => Function::X.then(Unary::Abs),
            Curve::Rsqrt => Function::Constant(1.0) / Function::X.then(Unary::Sqrt),
            Curve::Gelu { approximate } => Function::gelu(*approximate),
            Curve::Other(function) => function.clone(),
        }
    }
}

/// A transposed convolution, pairs as `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transposed {
    pub(super) kernel: [u32; 2],
    pub(super) stride: [u32; 2],
    /// What is cut off the output before its first row and column.
    pub(super) before: [u32; 2],
    /// Rows and columns of the output.
    pub(super) size: [u32; 2],
}

/// What is computed of all numbers that are reduced to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
}

/// What is asked of two numbers; the answer is 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

impl Comparison {
    /// The answer, by the first number less the second.
    pub(super) fn of_difference(self) -> Function {
        let above = || Function::X.then(Unary::Step);
        let below = || Function::negated().then(Unary::Step);
        let not = |function| Function::Constant(1.0) - function;
        match self {
            Comparison::Greater => above(),
            Comparison::GreaterOrEqual => not(below()),
            Comparison::Less => below(),
            Comparison::LessOrEqual => not(above()),
            Comparison::Equal => not(above() + below()),
            Comparison::NotEqual => above() + below(),
        }
    }

    /// The answer for integers.
    pub(super) fn holds(self, a: i32, b: i32) -> bool {
        match self {
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
        }
    }
}

/// What a pool computes of the numbers under its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    Max,
    /// The mean of what lies within the map.
    Average,
    /// Zeros around the map count, but for this many rows and columns at its end.
    AverageWithPadding([u32; 2]),
}

/// First element, number of elements, and step along height, width and channels.
pub(super) type Part = [[u32; 3]; 3];

/// The elements along an axis of `extent` that a slice takes, from `start` on until before `end`, both counted from the end where they
/// are negative and open where they are `None`: the first of them in the axis's order, their number, their distance, and whether they
/// are taken in the opposite order. `None` where there are none.
pub(super) fn sliced(extent: u32, start: Option<i64>, end: Option<i64>, step: i64) -> Option<([u32; 3], bool)> {
    let (extent, backward) = (i64::from(extent), step < 0);
    let (least, most) = if backward { (-1, extent - 1) } else { (0, extent) };
    let place = |at: i64| (if at < 0 { at.saturating_add(extent) } else { at }).clamp(least, most);
    let (from, to) = if backward { (most, least) } else { (least, most) };
    let (start, end) = (start.map_or(from, place), end.map_or(to, place));
    let (span, by) = (if backward { start - end } else { end - start }, step.unsigned_abs().min(extent as u64) as i64);
    if by == 0 || span <= 0 {
        return None;
    }
    let count = (span - 1) / by + 1;
    let first = if backward { start - (count - 1) * by } else { start };
    let by = if count == 1 { 1 } else { by };
    Some(([first, count, by].map(|number| number as u32), backward))
}

/// An operator of a file. A variant is what both formats can say, in whatever words.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// Convolution; weights `[out][kernel row][kernel column][in of the group]`. The window is that of the dilated kernel.
    Conv { window: Window, dilation: [u32; 2], groups: u32, filter: Filter },
    /// Convolution of each channel by itself; weights `[kernel row][kernel column][out]`.
    Depthwise { window: Window, dilation: [u32; 2], filter: Filter },
    /// Transposed convolution; weights `[out][kernel row][kernel column][in]`.
    TransposedConv { transposed: Transposed, filter: Filter },
    /// Weights `[out][in]`, over all elements, or over the channels of each pixel if there are as many.
    Dense { inputs: u32, filter: Filter },
    /// Batch normalization.
    Norm(Norm),
    /// A function of one element.
    Function(Curve),
    /// One slope for all, one for each channel, or for each element, below zero.
    Prelu(List),
    /// Arithmetic with two operands, which are broadcast.
    Arithmetic(Binary),
    /// The difference of two operands, which are broadcast, times itself.
    SquaredDifference,
    /// 1 where it holds for two operands, else 0.
    Comparison(Comparison),
    /// The second operand where the first is 1, the third where it is 0.
    Choice,
    /// The sum of any number of maps of one shape, rounded once.
    Sum,
    /// Along an axis, the sum of all elements up to each one; without that one if `exclusive`, from the end if `reverse`.
    CumulativeSum { axis: usize, exclusive: bool, reverse: bool },
    /// A pool.
    Pool(Pool, Window),
    /// Over some of height, width and channels.
    Reduce { reduction: Reduction, axes: [bool; 3] },
    /// Along the channels.
    Softmax { beta: f32 },
    /// Every pixel over the length of the vector of its channels.
    L2Norm,
    /// Along the height (0), the width (1) or the channels (2).
    Concat(usize),
    /// The same elements in the same order, with the output's scale if the file gives another.
    Reshape(Shape),
    /// Some of the elements.
    Part(Part),
    /// Rows (0), columns (1) or channels (2) by their numbers.
    Pick(usize, Vec<u32>),
    /// Channels by their numbers, zeros where there is none.
    Channels(Vec<Option<u32>>),
    /// Elements of the input in other places, as the runtime's operators move them.
    Rearrange(Rearrange),
    /// Another height and width, by linear interpolation.
    ResizeBilinear(ResizeBilinear),
    /// Padding that repeats what is inside.
    Mirror { mirror: Mirror, before: [u32; 2], after: [u32; 2] },
}

/// Numbers of dimensions `dims` for every element of `extents`, whose trailing dimensions are theirs or where theirs are 1;
/// `None` when they are not.
pub(super) fn broadcast<T: Copy>(numbers: &[T], dims: &[usize], extents: &[usize]) -> Option<Vec<T>> {
    let missing = extents.len().checked_sub(dims.len())?;
    let dims: Vec<usize> = std::iter::repeat_n(1, missing).chain(dims.iter().copied()).collect();
    if dims.iter().zip(extents).any(|(&dim, &extent)| dim != 1 && dim != extent) {
        return None;
    }
    let place = |index: usize| {
        let (mut rest, mut at, mut stride) = (index, 0, 1);
        for (&dim, &extent) in dims.iter().zip(extents).rev() {
            at += if dim == 1 { 0 } else { rest % extent * stride };
            rest /= extent;
            stride *= dim;
        }
        at
    };
    (0..extents.iter().product()).map(|index| numbers.get(place(index)).copied()).collect()
}
