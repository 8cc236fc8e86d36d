//! The weights of an operator, as they lie in a file.

pub use crate::kernels::algorithms::nibbles::Encoding;
use crate::numbers::Numbers;
use crate::sys::cast;
use crate::tensor::DType;
use crate::uses::Linked;

/// Weights in the order of an operator's algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights<'m> {
    /// As they lie in the file.
    pub bytes: &'m [i8],
    /// How they are stored.
    pub encoding: Encoding,
}

impl<'m> Weights<'m> {
    /// Weights of one byte, or of two.
    pub const fn plain(bytes: &'m [i8]) -> Self {
        Self { bytes, encoding: Encoding::Plain }
    }

    /// Weights of 4 bits.
    pub const fn nibbles(bytes: &'m [i8]) -> Self {
        Self { bytes, encoding: Encoding::Nibbles }
    }

    pub(crate) const fn is_nibbles(&self) -> bool {
        matches!(self.encoding, Encoding::Nibbles)
    }

    /// Whether they are of 4 bits, in a program that has such weights.
    #[inline(always)]
    pub(super) const fn are_linked<N: Numbers, L: Linked>(&self) -> bool {
        L::SET.nibbles && !matches!(N::DTYPE, DType::F16) && self.is_nibbles()
    }

    /// As words; none when they do not start at a multiple of 4 bytes.
    pub(super) fn words(&self) -> &'m [u32] {
        cast::i8_as_words(self.bytes)
    }

    /// Whether they are as many as `rows` rows of `len` weights, of an operator on elements of type `dtype`.
    pub(super) const fn has_rows(&self, rows: u64, len: u64, dtype: DType) -> bool {
        let row = match self.encoding {
            Encoding::Nibbles => len.div_ceil(8).saturating_mul(4),
            Encoding::Plain if dtype.same(DType::F16) => len.saturating_mul(2),
            Encoding::Plain => len,
        };
        self.bytes.len() as u64 == rows.saturating_mul(row)
    }
}

impl<'m, B: AsRef<[i8]> + ?Sized> From<&'m B> for Weights<'m> {
    /// Weights of one byte, or of two.
    fn from(bytes: &'m B) -> Self {
        Self::plain(bytes.as_ref())
    }
}
