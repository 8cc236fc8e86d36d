//! Little-endian reads that a `const fn` can do and that cannot panic.

use crate::error::{Fault, ModelError};

/// The little-endian word at `at`, or `None` when it does not lie within `bytes`.
pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    match slice(bytes, at, 4) {
        Some(word) => match word.first_chunk::<4>() {
            Some(word) => Some(u32::from_le_bytes(*word)),
            None => None,
        },
        None => None,
    }
}

/// `len` bytes from `at`, or `None` when they do not lie within `bytes`.
pub(crate) const fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.split_at_checked(len) {
            Some((found, _)) => Some(found),
            None => None,
        },
        None => None,
    }
}

/// A part of a model file that knows where in the file it lies, so that its errors can say so.
#[derive(Clone, Copy, Debug)]
pub struct Block<'m> {
    file: &'m [u8],
    offset: u32,
    len: u32,
    weights: &'m [u8],
}

impl<'m> Block<'m> {
    /// `len` bytes from `offset` of `file`, whose weights section is `weights`.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when they do not lie within the file.
    pub(crate) const fn new(file: &'m [u8], offset: u32, len: u32, weights: &'m [u8]) -> Result<Self, ModelError> {
        match slice(file, offset as usize, len as usize) {
            Some(_) => Ok(Self { file, offset, len, weights }),
            None => Err(ModelError::new(Fault::Truncated, offset)),
        }
    }

    /// The bytes of the block.
    pub(crate) const fn bytes(&self) -> &'m [u8] {
        match slice(self.file, self.offset as usize, self.len as usize) {
            Some(bytes) => bytes,
            None => &[],
        }
    }

    /// Byte offset in the file of word `index`.
    pub(crate) const fn offset_of(&self, index: u32) -> u32 {
        self.offset.saturating_add(index.saturating_mul(4))
    }

    /// Word `index` of the block.
    ///
    /// # Errors
    /// [`Fault::Truncated`] past the end of the block.
    pub(crate) const fn word(&self, index: u32) -> Result<u32, ModelError> {
        let at = self.offset_of(index);
        if index >= self.len / 4 {
            return Err(ModelError::new(Fault::Truncated, at));
        }
        match u32_at(self.file, at as usize) {
            Some(word) => Ok(word),
            None => Err(ModelError::new(Fault::Truncated, at)),
        }
    }

    /// An error about word `index`.
    pub(crate) const fn error(&self, index: u32, fault: Fault) -> ModelError {
        ModelError::new(fault, self.offset_of(index))
    }

    /// The weights that words `index` (offset in the weights section) and `index + 1` (bytes) name, aligned to
    /// `align`.
    ///
    /// # Errors
    /// [`Fault::Weights`] when they are misaligned or leave the section.
    pub(crate) const fn data(&self, index: u32, align: u32) -> Result<&'m [u8], ModelError> {
        let (offset, len) = match (self.word(index), self.word(index + 1)) {
            (Ok(offset), Ok(len)) => (offset, len),
            (Err(e), _) | (_, Err(e)) => return Err(e),
        };
        if align == 0 || offset % align != 0 {
            return Err(self.error(index, Fault::Weights));
        }
        match slice(self.weights, offset as usize, len as usize) {
            Some(data) => Ok(data),
            None => Err(self.error(index, Fault::Weights)),
        }
    }
}

/// `match` on a `Result` inside a `const fn`, where `?` is not allowed.
macro_rules! attempt {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
pub(crate) use attempt;
