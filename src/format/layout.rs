//! Offsets, sizes and limits of the model file, versions 1 and 2. `models/FORMAT.md` explains them.

/// The first four bytes of every model file.
pub const MAGIC: [u8; 4] = *b"KNGL";
/// The format version that this build writes. It reads all from 1 on.
pub const VERSION: u32 = 2;
/// Sections start at multiples of this many bytes.
pub const SECTION_ALIGN: u32 = 16;
/// Scratch starts at multiples of this many bytes.
pub const SCRATCH_ALIGN: u32 = 16;
/// The index that stands for "no tensor".
pub const NONE: u32 = u32::MAX;
/// The most steps, and the most tensors, of a model.
pub const MAX_COUNT: u32 = 4096;
/// The most inputs, outputs and states of a model together.
pub const MAX_PORTS: u32 = 256;
/// The most bytes of arena. With [`MAX_PITCH`], no offset that is computed from a checked tensor wraps in 32 bits.
pub const MAX_ARENA: u32 = 1 << 30;
/// The most bytes from one pixel to the next: those of the most channels.
pub const MAX_PITCH: u32 = 1 << 21;
/// The most bytes of a name or label.
pub const MAX_TEXT: u32 = 1024;

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
    /// Version 1: index of the input tensor. Zero in version 2, which has a list, as the next one.
    pub const INPUT: u32 = 28;
    /// Version 1: index of the output tensor.
    pub const OUTPUT: u32 = 32;
    /// The model's name: offset in the strings section, length.
    pub const NAME: u32 = 36;
    /// The section table: offset and length of each [`Section`](super::Section), in its order.
    pub const SECTIONS: u32 = 48;
    /// Bytes of arena that lie in the fast memory, from offset 0 on; a multiple of [`SCRATCH_ALIGN`](super::SCRATCH_ALIGN).
    pub const FAST: u32 = 104;
    /// Version 1: words from here to the end of the header are zero. Version 2: offset and length of
    /// [`Section::Ports`](super::Section::Ports).
    pub const PORTS: u32 = 108;
    /// Whose arithmetic the model has, see [`RoundingSource`](crate::format::RoundingSource).
    pub const ROUNDING: u32 = 116;
    /// The version of that which was compared with: a date as the number yyyymmdd, or 0.
    pub const ROUNDING_VERSION: u32 = 120;
    /// The generation of a model, for protection against going back to an older one.
    pub const GENERATION: u32 = 124;
    /// Bytes of the header of version 1, at which the words begin that only version 2 has.
    pub const SIZE: u32 = 128;
    /// What the scores are divided by before their probabilities are told: an IEEE 754 single.
    pub const TEMPERATURE: u32 = 128;
    /// The least probability of an answer: an IEEE 754 single.
    pub const THRESHOLD: u32 = 132;
    /// Words from here to the end of the header of version 2 are zero.
    pub const RESERVED: u32 = 136;
    /// Bytes of the header of version 2.
    pub const SIZE_2: u32 = 160;
}

/// The sections of a model file, in the order of the file.
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
    /// Inputs, outputs and states; version 2.
    Ports = 7,
}

impl Section {
    /// All of version 2; those of version 1 are all but the last.
    pub const ALL: [Self; 8] = [
        Self::Tensors,
        Self::Steps,
        Self::Params,
        Self::Weights,
        Self::Strings,
        Self::Labels,
        Self::Preprocess,
        Self::Ports,
    ];

    /// Byte offset of the header's words that say where the section lies: offset, length.
    pub const fn entry(self) -> u32 {
        match self {
            Self::Ports => header::PORTS,
            _ => header::SECTIONS + 8 * self as u32,
        }
    }
}

/// Byte offsets of the words of a port record: an input, an output or a state.
pub mod port {
    /// 0 = input, 1 = output, 2 = state; in this order.
    pub const KIND: u32 = 0;
    /// Index of the tensor.
    pub const TENSOR: u32 = 4;
    /// Name: offset in the strings section, length.
    pub const NAME: u32 = 8;
    /// Of a state: index of the tensor that becomes the state when an inference ends. Else [`NONE`](super::NONE).
    pub const NEXT: u32 = 16;
    /// Of a state: its first elements, offset in the weights section and length; none for zero points.
    pub const INITIAL: u32 = 20;
    /// Zero.
    pub const RESERVED: u32 = 28;
    /// Bytes of a record.
    pub const SIZE: u32 = 32;
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
    /// Time slot of the first write.
    pub const FIRST: u32 = 32;
    /// Time slot of the last write.
    pub const READY: u32 = 36;
    /// Time slot of the last use.
    pub const LAST: u32 = 40;
    /// Index of the parent tensor, or [`NONE`](super::NONE).
    pub const PARENT: u32 = 44;
    /// Rows that are kept in the arena.
    pub const ROWS: u32 = 48;
    /// Zeros.
    pub const RESERVED: u32 = 52;
    /// Bytes of a record.
    pub const SIZE: u32 = 64;
    /// Its words.
    pub const WORDS: usize = SIZE as usize / 4;
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
    /// The time slot at which it runs.
    pub const TIME_SLOT: u32 = 40;
    /// Zero.
    pub const RESERVED: u32 = 44;
    /// Bytes of a record.
    pub const SIZE: u32 = 48;
    /// Its words.
    pub const WORDS: usize = SIZE as usize / 4;
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
