//! The operators, one file each: parameters, encoding, shape rule, scratch, in-place rule, cost, and `run`.
//!
//! Adding an operator to the runtime touches its own file and one line in the registry below, which names the element types that
//! its input may have.
//!
//! Every operator file has the same members; `members` has what many of them share:
//!
//! - `encoding!`, its parameters in the order of the file;
//! - `check(&Operands)`: the shape rule, the element types and the quantization of the operands;
//! - `scratch_len(&Operands)`: bytes of scratch that `run` needs, the same on every backend;
//! - `in_place(operand)`: whether the output may lie exactly where that operand lies;
//! - `reach(operand)`: which rows of that operand an output row needs, for row streaming;
//! - `window_mut()`: the window of an operator that reads its input through one;
//! - `macs(&Operands)`: multiply-accumulate operations of one run;
//! - `constants()`: its weights and tables in the file;
//! - `run`, which computes rows `rows` of the output in the arithmetic `N` of the input's elements. It cannot fail: everything was
//!   checked before. Where it chooses between algorithms it asks [`Linked::SET`] first, see [`uses`](crate::uses).
//!
//! All but `run` are `const fn`s, because models are verified in the compiler.

// Every operator's `run` has a backend, also those that need no primitive.
#![allow(clippy::extra_unused_type_parameters)]

use core::ops::Range;

use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::internal::internal;
use crate::kernels::Backend;
use crate::memory::{Memory, Region};
use crate::numbers::{Float16, Int8, Int16, Numbers};
use crate::tensor::Tensor;
use crate::uses::{Codes, Dynamic, Linked, Set};
use crate::window::{Reach, Window};

pub use constant::Function;
pub use conv2d::ConvAlgorithm;
pub use depthwise::DepthwiseAlgorithm;
pub use rearrange::Digit;
pub use sigmoid::Curve;
pub use weights::{Encoding, Weights};

mod elementwise;
mod encoding;
mod lanes;
mod matmul;
mod members;
mod overlay;
mod patch;
mod pooling;
mod rules;
mod weights;

/// The tensors that a step works on: one or two inputs and an output.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Operands {
    /// The first input.
    pub a: Tensor,
    /// The second input, of operators that have two.
    pub b: Option<Tensor>,
    /// The output.
    pub output: Tensor,
}

/// What an operator's `run` works with.
#[derive(Debug)]
pub struct Io<'r, 'a> {
    /// The arena.
    pub memory: &'r mut Memory<'a>,
    /// The tensors.
    pub tensors: Operands,
    /// At least `scratch_len` bytes, 16-byte aligned, that share no byte with a living tensor.
    pub scratch: Region,
}

impl Io<'_, '_> {
    /// The second input, of an operator that has two.
    fn b(&mut self) -> Tensor {
        self.tensors.b.unwrap_or_else(|| {
            self.broken();
            Tensor::EMPTY
        })
    }

    /// `len` bytes of scratch from byte `start` on.
    fn scratch(&mut self, start: u32, len: u32) -> Region {
        let part = self.scratch.part(start, len);
        if part.len != len {
            self.broken();
        }
        part
    }

    /// Notes that a step does not go with what was verified: debug builds stop, others end the inference in a fault.
    #[cold]
    fn broken(&mut self) {
        debug_assert!(false, "a step that was never verified: {:?}", self.tensors);
        self.memory.refuse();
    }
}

/// The registry: `module::Type = code, inputs, "NAME", [types of the first input]`.
macro_rules! operators {
    ($($(#[$doc:meta])* $module:ident :: $op:ident $(<$life:lifetime>)? = $code:literal, $inputs:literal, $name:literal,
        [$($numbers:ident),*];)*) => {
        $(mod $module;)*
        $(pub use $module::$op;)*
        const _: () = assert!(Codes::distinct(&[$($code),*]), "two operators with one code, or one that has no place in a set");

        /// An operator with its parameters; weights and tables borrow the model file.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Op<'m> {
            $($(#[$doc])* $op($op $(<$life>)?),)*
        }

        /// Which operator, without its parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum OpKind {
            $($(#[$doc])* $op,)*
        }

        impl OpKind {
            internal! {
                /// Every operator.
                const ALL: &'static [OpKind] = &[$(OpKind::$op),*];
            }

            /// The name in reports, TensorFlow Lite's where it has the operator.
            pub const fn name(self) -> &'static str {
                match self { $(OpKind::$op => $name,)* }
            }

            internal! {
                /// The code in a model file.
                const fn code(self) -> u32 {
                    match self { $(OpKind::$op => $code,)* }
                }

                /// Number of input tensors, 1 or 2.
                const fn inputs(self) -> u32 {
                    match self { $(OpKind::$op => $inputs,)* }
                }
            }
        }

        impl<'m> Op<'m> {
            /// Which operator this is.
            pub const fn kind(&self) -> OpKind {
                match self { $(Op::$op(_) => OpKind::$op,)* }
            }

            /// Reads operator `code`, if the program links it, with the parameters in `block`.
            #[allow(clippy::manual_range_patterns)]
            pub(crate) const fn decode<L: Linked>(
                code: u32,
                code_at: u32,
                mut block: Block<'m>,
            ) -> Result<Self, ModelError> {
                match code {
                    $($code if L::SET.operators.has($code) => Ok(Op::$op(attempt!($op::decode(&mut block)))),)*
                    $($code)|* => Err(ModelError::new(Fault::NotLinked, code_at)),
                    _ => Err(ModelError::new(Fault::Operator, code_at)),
                }
            }

            /// Appends the parameters to a file that is being written.
            #[cfg(feature = "std")]
            pub fn encode(&self, writer: &mut crate::bytes::Writer) {
                match self { $(Op::$op(op) => op.encode(writer),)* }
            }

            /// Checks the operands against the operator's shape, element type and quantization rules.
            ///
            /// # Errors
            /// [`Fault::ShapeRule`], [`Fault::QuantRule`], [`Fault::Weights`] and the like.
            pub const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
                if tensors.b.is_some() != (self.kind().inputs() == 2) {
                    return Err(Fault::Operand);
                }
                match self {
                    $(Op::$op(op) => {
                        let known = false $(|| tensors.a.dtype.same($numbers::DTYPE))*;
                        if known { op.check(tensors) } else { Err(Fault::QuantRule) }
                    })*
                }
            }

            /// Bytes of scratch that a run needs, the same on every backend.
            pub const fn scratch_len(&self, tensors: &Operands) -> u32 {
                match self { $(Op::$op(op) => op.scratch_len(tensors),)* }
            }

            /// Whether the output may lie exactly where input `operand` (0 or 1) lies.
            pub const fn in_place(&self, operand: u32) -> bool {
                match self { $(Op::$op(op) => op.in_place(operand),)* }
            }

            /// Which rows of input `operand` (0 or 1) an output row needs.
            pub const fn reach(&self, operand: u32) -> Reach {
                match self { $(Op::$op(op) => op.reach(operand),)* }
            }

            /// Multiply-accumulate operations of one run.
            pub const fn macs(&self, tensors: &Operands) -> u64 {
                match self { $(Op::$op(op) => op.macs(tensors),)* }
            }

            /// Its weights and tables, as they lie in the file.
            pub const fn constants(&self) -> [&'m [u8]; 2] {
                match self { $(Op::$op(op) => op.constants(),)* }
            }

            /// Bytes of weights and tables in the file.
            pub const fn weight_bytes(&self) -> u32 {
                let [first, second] = self.constants();
                (first.len() as u32).saturating_add(second.len() as u32)
            }

            /// The window through which it reads its input, if it has one.
            const fn window_mut(&mut self) -> Option<&mut Window> {
                match self { $(Op::$op(op) => op.window_mut(),)* }
            }

            fn run_rows<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
                match self {
                    $(Op::$op(op) if L::SET.operators.has($code) => match io.tensors.a.dtype {
                        $($numbers::DTYPE if L::SET.dtypes.has($numbers::DTYPE.code()) => {
                            op.run::<$numbers, B, L>(io, rows);
                        })*
                        _ => io.broken(),
                    },)*
                    _ => io.broken(),
                }
            }
        }
    };
}

impl Op<'_> {
    /// Computes rows `rows` of the output.
    pub fn run<B: Backend>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        self.run_one_of::<B, Dynamic>(io, rows);
    }

    /// The same in a program that links no more than `L` says.
    pub fn run_one_of<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        if L::SET.overlays
            && let Some((op, tensors)) = overlay::narrowed(self, &io.tensors, &rows)
        {
            let rows = 0..tensors.output.shape.h;
            op.run_rows::<B, L>(&mut Io { memory: &mut *io.memory, tensors, scratch: io.scratch }, rows);
        } else {
            self.run_rows::<B, L>(io, rows);
        }
    }

    /// What the operator needs of the runtime to work on `tensors`.
    pub(crate) const fn uses(&self, tensors: &Operands) -> Set {
        let Operands { a, b, output } = tensors;
        let mut set = Set {
            operators: Codes::of(self.kind().code()),
            dtypes: Codes::of(a.dtype.code()).union(Codes::of(output.dtype.code())),
            ..Set::NONE
        };
        if let Some(b) = b {
            set.dtypes = set.dtypes.union(Codes::of(b.dtype.code()));
        }
        match self {
            Op::Conv2d(op) => {
                set.convolutions = Codes::of(op.algorithm.id());
                set.exact = op.is_exact();
                set.encodings = Codes::of(op.weights.encoding.code());
            }
            Op::DepthwiseConv2d(op) => {
                set.depthwise = Codes::of(op.algorithm.code());
                set.encodings = Codes::of(op.weights.encoding.code());
            }
            Op::Dense(op) => {
                set.gather = !a.is_contiguous();
                set.encodings = Codes::of(op.weights.encoding.code());
            }
            Op::Add(op) => set.scaled_add = op.linear.is_none(),
            _ => {}
        }
        set
    }

    /// Rows of the output that `run` prefers to compute at a time; line buffers keep a multiple of them.
    pub const fn row_block(&self) -> u32 {
        match self {
            Op::Conv2d(op) => op.algorithm.row_block(),
            _ => 1,
        }
    }
}

operators! {
    /// 2-D convolution.
    conv2d::Conv2d<'m> = 1, 1, "CONV_2D", [Int8, Int16, Float16];
    /// Convolution of each channel by itself.
    depthwise::DepthwiseConv2d<'m> = 2, 1, "DEPTHWISE_CONV_2D", [Int8, Int16, Float16];
    /// Fully connected layer.
    dense::Dense<'m> = 3, 1, "FULLY_CONNECTED", [Int8, Int16, Float16];
    /// Maximum over a window.
    max_pool::MaxPool2d = 4, 1, "MAX_POOL_2D", [Int8, Int16, Float16];
    /// Average over a window.
    average_pool::AveragePool2d = 5, 1, "AVERAGE_POOL_2D", [Int8, Int16, Float16];
    /// Mean over height and width, with rescaling.
    mean::Mean = 6, 1, "MEAN", [Int8, Int16, Float16];
    /// Sum of two tensors, with rescaling.
    add::Add = 7, 2, "ADD", [Int8, Int16, Float16];
    /// One part of a concatenation, copied into its channels of the parent tensor. Parts that a kernel writes
    /// in place need no step.
    concat::Concat = 8, 1, "CONCATENATION", [Int8, Int16, Float16];
    /// Softmax over the channels of every pixel.
    softmax::Softmax = 9, 1, "SOFTMAX", [Int8];
    /// The same elements under another shape.
    reshape::Reshape = 10, 1, "RESHAPE", [Int8, Int16, Float16];
    /// Padding with a constant, normally the zero point.
    pad::Pad = 11, 1, "PAD", [Int8, Int16, Float16];
    /// Any function of one element, as a table.
    lookup::Lookup<'m> = 12, 1, "LOOKUP", [Int8];
    /// Product of two tensors, with rescaling.
    mul::Mul = 13, 2, "MUL", [Int8, Int16, Float16];
    /// Difference of two tensors, with rescaling.
    sub::Sub = 14, 2, "SUB", [Int8, Int16, Float16];
    /// Product, sum or difference of a tensor and a constant.
    constant::Constant<'m> = 15, 1, "CONSTANT", [Int8, Int16, Float16];
    /// The same numbers with another scale or type, times a slope where they are negative.
    rescale::Rescale = 16, 1, "RESCALE", [Int8, Int16];
    /// The logistic function or the hyperbolic tangent of int16 elements.
    sigmoid::Sigmoid<'m> = 17, 1, "SIGMOID", [Int16];
    /// Softmax over the channels of every pixel, of int16 elements.
    softmax_int16::SoftmaxInt16<'m> = 18, 1, "SOFTMAX_INT16", [Int16];
    /// The same numbers as halves, or halves as quantized integers.
    convert::Convert = 19, 1, "CONVERT", [Int8, Int16, Float16];
    /// Softmax over the channels of every pixel, of halves.
    softmax_float16::SoftmaxFloat16 = 20, 1, "SOFTMAX_FLOAT16", [Float16];
    /// Any function of one half, as a polynomial for each of several pieces.
    piecewise::Piecewise<'m> = 21, 1, "PIECEWISE", [Float16];
    /// Another height and width, by the nearest neighbor.
    resize_nearest::ResizeNearest = 22, 1, "RESIZE_NEAREST_NEIGHBOR", [Int8, Int16, Float16];
    /// Elements in another order, by strides.
    rearrange::Rearrange<'m> = 23, 1, "REARRANGE", [Int8, Int16, Float16];
    /// Another height and width, by linear interpolation.
    resize_bilinear::ResizeBilinear = 24, 1, "RESIZE_BILINEAR", [Int8, Int16, Float16];
    /// Rectification with several slopes below zero.
    prelu::Prelu<'m> = 25, 1, "PRELU", [Int8, Int16, Float16];
    /// Every pixel over the length of the vector of its channels.
    l2_norm::L2Norm = 26, 1, "L2_NORMALIZATION", [Int8, Int16, Float16];
}
