//! Offsets and sizes of the model file, version 1. `models/FORMAT.md` explains them.

/// The first four bytes of every model file.
pub const MAGIC: [u8; 4] = *b"KNGL";
/// The format version that this build reads and writes.
pub const VERSION: u32 = 1;
/// Sections start at multiples of this many bytes.
pub const SECTION_ALIGN: u32 = 16;
/// The index that stands for "no tensor".
pub const NONE: u32 = u32::MAX;
/// The most steps, and the most tensors, of a model.
pub const MAX_COUNT: u32 = 4096;

/// Byte offsets of the header's words.
pub mod header {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: u32 = 0;
    /// [`VERSION`](super::VERSION).
    pub const VERSION: u32 = 4;
    /// Length of the file in bytes.
    pub const LENGTH: u32 = 8;
    /// CRC-32 of the whole file, this word left out.
    pub const CHECKSUM: u32 = 12;
    /// Bytes of arena.
    pub const ARENA: u32 = 16;
    /// Number of steps.
    pub const STEPS: u32 = 20;
    /// Number of tensors.
    pub const TENSORS: u32 = 24;
    /// Index of the input tensor.
    pub const INPUT: u32 = 28;
    /// Index of the output tensor.
    pub const OUTPUT: u32 = 32;
    /// The model's name: offset in the strings section, length.
    pub const NAME: u32 = 36;
    /// The section table: offset and length of each [`Section`](super::Section), in its order.
    pub const SECTIONS: u32 = 48;
    /// Bytes of arena that lie in the fast memory, from offset 0 on; a multiple of [`SCRATCH_ALIGN`](crate::plan::SCRATCH_ALIGN).
    pub const FAST: u32 = 104;
    /// Words from here to the end of the header are zero.
    pub const RESERVED: u32 = 108;
    /// Bytes of the header.
    pub const SIZE: u32 = 128;
}

/// The sections of a model file, in the order of the section table and of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Tensor records.
    Tensors = 0,
    /// Step records.
    Steps = 1,
    /// Parameter blocks of the steps.
    Params = 2,
    /// Weights and tables that parameter blocks point to.
    Weights = 3,
    /// UTF-8 text that other sections point to.
    Strings = 4,
    /// One string (offset, length) per class, or empty.
    Labels = 5,
    /// How pixels become input elements, or empty.
    Preprocess = 6,
}

impl Section {
    /// Number of sections.
    pub const COUNT: u32 = 7;
}

/// Byte offsets of the words of a tensor record.
pub mod tensor {
    /// Height, width, channels.
    pub const SHAPE: u32 = 0;
    /// Element type code.
    pub const DTYPE: u32 = 12;
    /// Scale, an IEEE 754 single.
    pub const SCALE: u32 = 16;
    /// Zero point, signed.
    pub const ZERO_POINT: u32 = 20;
    /// Byte offset in the arena.
    pub const OFFSET: u32 = 24;
    /// Bytes from pixel to pixel.
    pub const PITCH: u32 = 28;
    /// Moment of the first write.
    pub const FIRST: u32 = 32;
    /// Moment of the last write.
    pub const READY: u32 = 36;
    /// Moment of the last use.
    pub const LAST: u32 = 40;
    /// Index of the joint tensor, or [`NONE`](super::NONE).
    pub const JOINT: u32 = 44;
    /// Rows that are kept in the arena.
    pub const ROWS: u32 = 48;
    /// Zeros.
    pub const RESERVED: u32 = 52;
    /// Bytes of a record.
    pub const SIZE: u32 = 64;
}

/// Byte offsets of the words of a step record.
pub mod step {
    /// Operator code.
    pub const OP: u32 = 0;
    /// Index of the first input tensor.
    pub const A: u32 = 4;
    /// Index of the second input tensor, or [`NONE`](super::NONE).
    pub const B: u32 = 8;
    /// Index of the output tensor.
    pub const OUTPUT: u32 = 12;
    /// Parameter block: offset in the params section, length.
    pub const PARAMS: u32 = 16;
    /// Scratch: offset in the arena, length.
    pub const SCRATCH: u32 = 24;
    /// Name: offset in the strings section, length.
    pub const NAME: u32 = 32;
    /// The moment at which it runs.
    pub const MOMENT: u32 = 40;
    /// Zero.
    pub const RESERVED: u32 = 44;
    /// Bytes of a record.
    pub const SIZE: u32 = 48;
}

/// Byte offsets in the preprocess section.
pub mod preprocess {
    /// Channel order of the pixels: 0 grey, 1 RGB, 2 BGR.
    pub const ORDER: u32 = 0;
    /// Number of tables: 1 for all channels, or one per channel.
    pub const TABLES: u32 = 4;
    /// The tables: 256 input elements each, indexed by the pixel's byte.
    pub const DATA: u32 = 16;
}

/// Bytes of one label entry: offset and length of a string.
pub const LABEL_SIZE: u32 = 8;
