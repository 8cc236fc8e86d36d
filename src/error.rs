//! Errors: faults of a model file, and of the memory that is given to run it.

use core::fmt;

/// A model file that was refused: what is wrong, and at which byte of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ModelError {
    /// What is wrong.
    pub fault: Fault,
    /// Byte offset in the file of the field that shows it.
    pub offset: u32,
}

/// Everything that [`Model::new`](crate::Model::new) checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
// As wide as a word: steps are decoded at each call, into results that may hold a fault in its place, and are moved by words then.
#[repr(u32)]
pub enum Fault {
    /// The file ends before the structure that starts here.
    Truncated,
    /// The file does not start with the four bytes `KNGL`.
    Magic,
    /// The format version is not one that this build reads.
    Version,
    /// The length in the header is not the length of the file.
    Length,
    /// The CRC-32 over the file is not the one in the header.
    Checksum,
    /// A section is not 16-byte aligned or leaves the file.
    Section,
    /// A reserved field is not zero.
    Reserved,
    /// There are no steps or no tensors, or more than the format allows.
    Count,
    /// A shape has an extent of zero or above the limit.
    Shape,
    /// An unknown element type.
    DType,
    /// A scale that is not positive and finite.
    Scale,
    /// A zero point outside the element type's range.
    ZeroPoint,
    /// An unknown operator.
    Operator,
    /// An operator, algorithm or element type that this program does not link, because the models of its
    /// [`model!`](crate::model!)s do not use it: a [`Model<'_>`](crate::Model) links everything.
    NotLinked,
    /// An unknown algorithm or weight packing of an operator.
    Algorithm,
    /// An unknown rounding mode.
    Rounding,
    /// A tensor index that names no tensor, or an operand that must be absent.
    Operand,
    /// Shapes of operands that do not follow the operator's shape rule.
    ShapeRule,
    /// Element types or quantization of operands that the operator does not take together.
    QuantRule,
    /// Kernel or stride of zero or above the limit, or padding not smaller than the kernel.
    Window,
    /// Dilated convolution, which is not supported.
    Dilation,
    /// An activation range that is empty or outside the element type's range.
    Clamp,
    /// A requantization multiplier or shift out of range.
    Multiplier,
    /// Weights or a table that leave their section, are misaligned, or have the wrong length.
    Weights,
    /// A tensor is used before it is written, after its lifetime, or is written twice.
    Lifetime,
    /// Two tensors that live at the same time share bytes.
    Overlap,
    /// A tensor or scratch buffer leaves the arena, or crosses the border between its two memories.
    Arena,
    /// A tensor or scratch buffer is misaligned for its element type.
    Alignment,
    /// The scratch buffer is smaller than the operator needs.
    Scratch,
    /// The steps of a chain wait for each other, are too many, or a line buffer does not hold whole blocks of rows.
    Chain,
    /// A string is not UTF-8 or too long, or the number of labels is not the number of classes.
    Text,
    /// The preprocessing does not fit the input tensor.
    Preprocess,
    /// An input, an output or a state that is out of order, has no tensor, or another shape than its next value.
    Port,
    /// More calls, operations or bytes of constants than [`Work`](crate::Work) allows.
    Work,
}

impl ModelError {
    pub(crate) const fn new(fault: Fault, offset: u32) -> Self {
        Self { fault, offset }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {} of the model file)", self.fault, self.offset)
    }
}

impl Fault {
    /// What is wrong, in words.
    pub const fn message(self) -> &'static str {
        match self {
            Fault::Truncated => "the file ends inside a structure: it is truncated",
            Fault::Magic => "not a Kinglet model: the file does not start with `KNGL`",
            Fault::Version => "format version not supported by this build",
            Fault::Length => "the length in the header is not the file's length: it is truncated or padded",
            Fault::Checksum => "CRC-32 mismatch: the file is corrupt",
            Fault::Section => "a section is misaligned or leaves the file",
            Fault::Reserved => "a reserved field is not zero",
            Fault::Count => "no steps or tensors, or more than the format allows",
            Fault::Shape => "a shape has an extent of zero or above the limit",
            Fault::DType => "unknown element type",
            Fault::Scale => "scale is not positive and finite",
            Fault::ZeroPoint => "zero point outside the element type's range",
            Fault::Operator => "unknown operator",
            Fault::NotLinked => "uses an operator, algorithm or element type that this program does not link",
            Fault::Algorithm => "unknown algorithm or weight packing",
            Fault::Rounding => "unknown rounding mode",
            Fault::Operand => "operand names no tensor, or should be absent",
            Fault::ShapeRule => "operand shapes do not follow the operator's shape rule",
            Fault::QuantRule => "element types or quantization of the operands do not go together",
            Fault::Window => "kernel, stride or padding out of range",
            Fault::Dilation => "dilated convolution is not supported",
            Fault::Clamp => "activation range is empty or outside the element type's range",
            Fault::Multiplier => "requantization multiplier or shift out of range",
            Fault::Weights => "weights leave their section, are misaligned, or have the wrong length",
            Fault::Lifetime => "tensor used before it is written, after its lifetime, or written twice",
            Fault::Overlap => "two tensors that live at the same time share bytes",
            Fault::Arena => "tensor or scratch leaves the arena, or crosses the border of its two memories",
            Fault::Alignment => "tensor or scratch misaligned for its element type",
            Fault::Scratch => "scratch smaller than the operator needs",
            Fault::Chain => "steps of a chain wait for each other, or are too many",
            Fault::Text => "text is not UTF-8 or too long, or labels do not match the classes",
            Fault::Preprocess => "preprocessing does not fit the input tensor",
            Fault::Port => "input, output or state out of order, without a tensor, or unlike its next value",
            Fault::Work => "more calls, operations or bytes of constants than the format allows",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// Memory that does not fit a (valid) model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError {
    /// The arena is shorter than [`Model::arena_len`](crate::Model::arena_len), or, where it is split, one of its memories
    /// than [`Model::fast_len`](crate::Model::fast_len) or [`Model::slow_len`](crate::Model::slow_len).
    ArenaTooSmall {
        /// Bytes that the model needs.
        needed: u32,
        /// Bytes that were given.
        given: u32,
    },
    /// The arena does not start at a multiple of 16 bytes.
    ArenaMisaligned,
    /// The model does not start at a multiple of 4 bytes.
    ModelMisaligned,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::ArenaTooSmall { needed, given } => {
                write!(f, "the model needs an arena of {needed} bytes, this one has {given}")
            }
            SessionError::ArenaMisaligned => f.write_str("the arena must start at a multiple of 16 bytes"),
            SessionError::ModelMisaligned => f.write_str("the model must start at a multiple of 4 bytes"),
        }
    }
}

impl core::error::Error for ModelError {}
impl core::error::Error for SessionError {}
