//! The weights of an operator, as they lie in a file.

pub use crate::kernels::blocks::narrow::Encoding;
use crate::kernels::blocks::narrow::Narrow;
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

    pub(crate) const fn is_halfwords(&self) -> bool {
        matches!(self.encoding, Encoding::Halfwords)
    }

    /// Whether they are of two bytes beside int8 elements, in a program that has such weights.
    #[inline(always)]
    pub(super) const fn are_halfwords<N: Numbers, L: Linked>(&self) -> bool {
        L::SET.encodings.has(Encoding::Halfwords.code()) && matches!(N::DTYPE, DType::I8) && self.is_halfwords()
    }

    /// Weights of two units of a fully connected layer together.
    pub const fn paired(bytes: &'m [i8]) -> Self {
        Self { bytes, encoding: Encoding::Paired }
    }

    pub(crate) const fn is_paired(&self) -> bool {
        matches!(self.encoding, Encoding::Paired)
    }

    /// Whether they are of fewer bits than eight, in a program that has such weights.
    #[inline(always)]
    pub(super) const fn are_narrow<N: Numbers, L: Linked>(&self) -> bool {
        !matches!(N::DTYPE, DType::F16) && self.encoding.is_linked_narrow::<L>()
    }

    /// As words; none when they do not start at a multiple of 4 bytes.
    pub(super) fn words(&self) -> &'m [u32] {
        cast::i8_as_words(self.bytes)
    }

    /// Those of fewer bits than eight.
    pub(super) fn narrow(&self) -> Narrow<'m> {
        Narrow::new(self.encoding, self.words())
    }

    /// Whether they are as many as `rows` rows of `len` weights, of an operator on elements of type `dtype`.
    pub(super) const fn has_rows(&self, rows: u64, len: u64, dtype: DType) -> bool {
        let row = match self.encoding {
            Encoding::Plain if dtype.same(DType::F16) => len.saturating_mul(2),
            Encoding::Halfwords => len.saturating_mul(2),
            Encoding::Plain => len,
            // Of two units at a time.
            Encoding::Paired => return false,
            // More than that are not in a file.
            _ if len > u32::MAX as u64 => return false,
            narrow => (narrow.words(len as usize) as u64).saturating_mul(4),
        };
        let palette = self.encoding.palette_words() as u64 * 4;
        self.bytes.len() as u64 == rows.saturating_mul(row).saturating_add(palette)
    }
}

impl<'m, B: AsRef<[i8]> + ?Sized> From<&'m B> for Weights<'m> {
    /// Weights of one byte, or of two.
    fn from(bytes: &'m B) -> Self {
        Self::plain(bytes.as_ref())
    }
}
