//! Little-endian reads that a `const fn` can do and that cannot panic.

use crate::error::{Fault, ModelError};

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

/// The little-endian word at `at`, or `None` when it does not lie within `bytes`.
///
/// Two calls, since the compiler interprets this some hundred thousand times for an embedded model; by slices, since four
/// indices cost more instructions and leave panics behind.
pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    match bytes.split_at_checked(at) {
        Some((_, rest)) => match rest.first_chunk() {
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

/// The lowest bit of the code in the length word of weights, and the bits of the length.
const CODE: u32 = 28;
const LENGTH: u32 = (1 << CODE) - 1;

/// A part of a model file that is read word by word, and knows where in the file it is, so that errors can say so.
#[derive(Clone, Copy, Debug)]
pub struct Block<'m> {
    offset: u32,
    bytes: &'m [u8],
    rest: &'m [u8],
    weights: &'m [u8],
}

impl<'m> Block<'m> {
    /// `len` bytes from `offset` of `file`, whose weights section is `weights`.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when they do not lie within the file.
    pub(crate) const fn new(file: &'m [u8], offset: u32, len: u32, weights: &'m [u8]) -> Result<Self, ModelError> {
        match slice(file, offset as usize, len as usize) {
            Some(bytes) => Ok(Self { offset, bytes, rest: bytes, weights }),
            None => Err(ModelError::new(Fault::Truncated, offset)),
        }
    }

    /// The bytes of the block.
    pub(crate) const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    /// Byte offset in the file of the next word.
    pub(crate) const fn at(&self) -> u32 {
        self.offset.wrapping_add(self.bytes.len().wrapping_sub(self.rest.len()) as u32)
    }

    /// The next word.
    ///
    /// # Errors
    /// [`Fault::Truncated`] past the end of the block.
    #[inline]
    pub(crate) const fn word(&mut self) -> Result<u32, ModelError> {
        match self.rest.split_first_chunk() {
            Some((word, rest)) => {
                self.rest = rest;
                Ok(u32::from_le_bytes(*word))
            }
            None => Err(ModelError::new(Fault::Truncated, self.at())),
        }
    }

    /// The next `N` words.
    ///
    /// # Errors
    /// [`Fault::Truncated`] past the end of the block.
    #[inline]
    pub(crate) const fn words<const N: usize>(&mut self) -> Result<[u32; N], ModelError> {
        let (mut words, mut index) = ([0; N], 0);
        while index < N {
            words[index] = attempt!(self.word());
            index += 1;
        }
        Ok(words)
    }

    /// The weights that the next two words name, offset in the weights section and bytes, aligned to `align`.
    ///
    /// # Errors
    /// [`Fault::Weights`] when they are misaligned or leave the section.
    #[inline]
    pub(crate) const fn data(&mut self, align: u32) -> Result<&'m [u8], ModelError> {
        let at = self.at();
        let [offset, len] = attempt!(self.words());
        self.named(at, offset, len, align)
    }

    /// As [`Block::data`] of words that have a code in the upper four bits of the length: how the weights are stored.
    ///
    /// # Errors
    /// As [`Block::data`].
    #[inline]
    pub(crate) const fn coded(&mut self, align: u32) -> Result<(&'m [u8], u32), ModelError> {
        let at = self.at();
        let [offset, len] = attempt!(self.words());
        let data = attempt!(self.named(at, offset, len & LENGTH, align));
        Ok((data, len >> CODE))
    }

    #[inline]
    const fn named(&self, at: u32, offset: u32, len: u32, align: u32) -> Result<&'m [u8], ModelError> {
        match slice(self.weights, offset as usize, len as usize) {
            Some(data) if offset.is_multiple_of(align) => Ok(data),
            _ => Err(ModelError::new(Fault::Weights, at)),
        }
    }
}

/// The parameter blocks and weights of a model file that is being written: what [`Block`]s are read from.
#[cfg(feature = "std")]
#[derive(Debug, Default)]
pub struct Writer {
    pub(crate) params: Vec<u8>,
    pub(crate) weights: Vec<u8>,
}

#[cfg(feature = "std")]
impl Writer {
    /// Every weights entry starts at a multiple of this many bytes, so that kernels may load words.
    pub const WEIGHT_ALIGN: usize = 16;

    /// Appends words to the current parameter block.
    pub fn words<const N: usize>(&mut self, words: [u32; N]) {
        self.params.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// Appends `data` to the weights section, 16-byte aligned, and its offset there and length to the current
    /// parameter block.
    pub fn data(&mut self, data: &[u8]) {
        let at = self.store(data);
        self.words(at);
    }

    /// The same of weights that are stored as `code` says.
    pub(crate) fn coded(&mut self, data: &[u8], code: u32) {
        let [offset, len] = self.store(data);
        self.words([offset, len | code << CODE]);
    }

    /// Appends `data` to the weights section, 16-byte aligned; its offset there and length.
    pub(crate) fn store(&mut self, data: &[u8]) -> [u32; 2] {
        self.weights.resize(self.weights.len().next_multiple_of(Self::WEIGHT_ALIGN), 0);
        let at = [self.weights.len() as u32, data.len() as u32];
        self.weights.extend_from_slice(data);
        at
    }
}
