//! A zero-copy, bounds-checked view of a model file: its header, its sections, and what is neither tensor, step nor port.

use super::about::{About, RoundingSource};
use super::crc::crc32;
use super::layout::{self, LABEL_SIZE, MAX_ARENA, MAX_COUNT, MAX_TEXT, SCRATCH_ALIGN, SECTION_ALIGN, Section, header};
use crate::bytes::{attempt, slice, u32_at};
use crate::error::{Fault, ModelError};

/// A file whose header, checksum and section table are right.
#[derive(Clone, Copy)]
pub(crate) struct File<'m> {
    bytes: &'m [u8],
    pub(crate) arena: u32,
    /// Bytes of the arena that lie in the fast memory, from offset 0 on.
    pub(crate) fast: u32,
    pub(crate) steps: u32,
    pub(crate) tensors: u32,
    pub(super) version: u32,
    /// Where the tensor and step records start.
    pub(super) starts: [u32; 2],
    /// Offset and length of the steps' parameters.
    pub(super) params: [u32; 2],
    pub(crate) weights: &'m [u8],
    /// How many inputs, outputs and states there are, see [`PortKind`](super::PortKind).
    pub(super) counts: [u32; 3],
}

impl<'m> File<'m> {
    /// Whether the file starts at a multiple of 4 bytes, as packed weights are read in words.
    pub(crate) fn is_aligned(&self) -> bool {
        self.bytes.as_ptr().align_offset(4) == 0
    }

    /// Checks magic, version, length, checksum, section table, counts and labels.
    pub(crate) const fn open(bytes: &'m [u8]) -> Result<Self, ModelError> {
        Self::parse(bytes, true)
    }

    /// As [`File::open`], but for the checksum: for a look before that.
    pub(crate) const fn peek(bytes: &'m [u8]) -> Result<Self, ModelError> {
        Self::parse(bytes, false)
    }

    const fn parse(bytes: &'m [u8], summed: bool) -> Result<Self, ModelError> {
        let mut file = Self {
            bytes,
            arena: 0,
            fast: 0,
            steps: 0,
            tensors: 0,
            version: 0,
            starts: [0; 2],
            params: [0; 2],
            weights: &[],
            counts: [1, 1, 0],
        };
        match slice(bytes, 0, layout::MAGIC.len()) {
            Some([b'K', b'N', b'G', b'L']) => {}
            Some(_) => return Err(ModelError::new(Fault::Magic, header::MAGIC)),
            None => return Err(ModelError::new(Fault::Truncated, header::MAGIC)),
        }
        file.version = attempt!(file.word(header::VERSION));
        if file.version == 0 || file.version > layout::VERSION {
            return Err(ModelError::new(Fault::Version, header::VERSION));
        }
        if attempt!(file.word(header::LENGTH)) as usize != bytes.len() {
            return Err(ModelError::new(Fault::Length, header::LENGTH));
        }
        if summed && attempt!(file.word(header::CHECKSUM)) != checksum(bytes) {
            return Err(ModelError::new(Fault::Checksum, header::CHECKSUM));
        }
        attempt!(file.check_reserved());
        file.arena = attempt!(file.word(header::ARENA));
        if file.arena > MAX_ARENA {
            return Err(ModelError::new(Fault::Arena, header::ARENA));
        }
        file.fast = attempt!(file.word(header::FAST));
        if file.fast > file.arena || !file.fast.is_multiple_of(SCRATCH_ALIGN) {
            return Err(ModelError::new(Fault::Arena, header::FAST));
        }
        file.steps = attempt!(file.word(header::STEPS));
        file.tensors = attempt!(file.word(header::TENSORS));
        let mut section = 0;
        while section < Section::ALL.len() {
            attempt!(file.check_section(Section::ALL[section]));
            section += 1;
        }
        attempt!(file.check_count(header::STEPS, file.steps, Section::Steps, layout::step::SIZE));
        attempt!(file.check_count(header::TENSORS, file.tensors, Section::Tensors, layout::tensor::SIZE));
        file.starts = [file.section(Section::Tensors).0, file.section(Section::Steps).0];
        let (params, params_len) = file.section(Section::Params);
        file.params = [params, params_len];
        file.weights = file.section_bytes(Section::Weights);
        if file.version == 1 {
            attempt!(file.check_tensor_at(header::INPUT, Fault::Operand));
            attempt!(file.check_tensor_at(header::OUTPUT, Fault::Operand));
        } else {
            file.counts = attempt!(file.check_ports());
        }
        attempt!(file.string(header::NAME));
        attempt!(file.check_about());
        Ok(file)
    }

    /// Whether all words of the header that have no meaning in its version are zero.
    const fn check_reserved(&self) -> Result<(), ModelError> {
        let mut at = header::INPUT;
        while at < self.header_len() {
            let reserved = if self.version == 1 {
                at >= header::PORTS
            } else {
                at == header::INPUT || at == header::OUTPUT || at >= header::RESERVED
            };
            if reserved && attempt!(self.word(at)) != 0 {
                return Err(ModelError::new(Fault::Reserved, at));
            }
            at += 4;
        }
        Ok(())
    }

    /// Bytes of the header.
    const fn header_len(&self) -> u32 {
        if self.version == 1 { header::SIZE } else { header::SIZE_2 }
    }

    /// Whether the word at `at` is the index of a tensor.
    pub(super) const fn check_tensor_at(&self, at: u32, fault: Fault) -> Result<(), ModelError> {
        if attempt!(self.word(at)) < self.tensors { Ok(()) } else { Err(ModelError::new(fault, at)) }
    }

    /// Checks what the header says about the model beside its network.
    const fn check_about(&self) -> Result<(), ModelError> {
        if self.version == 1 {
            return Ok(());
        }
        if RoundingSource::from_code(attempt!(self.word(header::ROUNDING))).is_none() {
            return Err(ModelError::new(Fault::Rounding, header::ROUNDING));
        }
        let about = self.about();
        if !(about.temperature.is_finite() && about.temperature > 0.0) {
            return Err(ModelError::new(Fault::Scale, header::TEMPERATURE));
        }
        if !(about.threshold >= 0.0 && about.threshold <= 1.0) {
            return Err(ModelError::new(Fault::Scale, header::THRESHOLD));
        }
        Ok(())
    }

    /// What the header says about the model beside its network.
    pub(crate) const fn about(&self) -> About {
        if self.version == 1 {
            return About::UNKNOWN;
        }
        About {
            rounding: match RoundingSource::from_code(self.checked_word(header::ROUNDING)) {
                Some(source) => source,
                None => RoundingSource::Unknown,
            },
            rounding_version: self.checked_word(header::ROUNDING_VERSION),
            generation: self.checked_word(header::GENERATION),
            temperature: f32::from_bits(self.checked_word(header::TEMPERATURE)),
            threshold: f32::from_bits(self.checked_word(header::THRESHOLD)),
        }
    }

    /// A word that was checked; 0 past the end of the file.
    pub(super) const fn checked_word(&self, at: u32) -> u32 {
        match self.word(at) {
            Ok(word) => word,
            Err(_) => 0,
        }
    }

    /// All of it.
    pub(crate) const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    pub(super) const fn word(&self, at: u32) -> Result<u32, ModelError> {
        match u32_at(self.bytes, at as usize) {
            Some(word) => Ok(word),
            None => Err(ModelError::new(Fault::Truncated, at)),
        }
    }

    /// The record of `N` words at `at`.
    pub(super) const fn record<const N: usize>(&self, at: u32) -> Result<&'m [[u8; 4]; N], ModelError> {
        match self.bytes.split_at_checked(at as usize) {
            Some((_, rest)) => match rest.as_chunks().0.first_chunk() {
                Some(words) => Ok(words),
                None => Err(ModelError::new(Fault::Truncated, at)),
            },
            None => Err(ModelError::new(Fault::Truncated, at)),
        }
    }

    const fn check_section(&self, section: Section) -> Result<(), ModelError> {
        let (offset, len) = self.section(section);
        let at = section.entry();
        if matches!(section, Section::Ports) && self.version == 1 {
            return Ok(());
        }
        let aligned = offset.is_multiple_of(SECTION_ALIGN) && offset >= self.header_len();
        if !aligned || slice(self.bytes, offset as usize, len as usize).is_none() {
            return Err(ModelError::new(Fault::Section, at));
        }
        Ok(())
    }

    /// Whether the records of a section are as many as the header says.
    const fn check_count(&self, at: u32, count: u32, section: Section, record: u32) -> Result<(), ModelError> {
        if count == 0 || count > MAX_COUNT || self.section(section).1 != count * record {
            return Err(ModelError::new(Fault::Count, at));
        }
        Ok(())
    }

    /// Offset and length of a section whose table entry was checked; `(0, 0)` otherwise.
    pub(super) const fn section(&self, section: Section) -> (u32, u32) {
        let at = section.entry();
        match (self.word(at), self.word(at + 4)) {
            (Ok(offset), Ok(len)) => (offset, len),
            _ => (0, 0),
        }
    }

    /// The bytes of a section.
    pub(crate) const fn section_bytes(&self, section: Section) -> &'m [u8] {
        let (offset, len) = self.section(section);
        match slice(self.bytes, offset as usize, len as usize) {
            Some(bytes) => bytes,
            None => &[],
        }
    }

    /// Where record `index` of a section starts in the file.
    pub(super) const fn record_at(&self, section: Section, index: u32, size: u32) -> u32 {
        self.section(section).0.saturating_add(index.saturating_mul(size))
    }

    /// The string that the words at `at` (offset in the strings section) and `at + 4` (length) name.
    pub(crate) const fn string(&self, at: u32) -> Result<&'m str, ModelError> {
        let (offset, len) = (attempt!(self.word(at)), attempt!(self.word(at + 4)));
        if len > MAX_TEXT {
            return Err(ModelError::new(Fault::Text, at));
        }
        match slice(self.section_bytes(Section::Strings), offset as usize, len as usize) {
            Some(text) => match core::str::from_utf8(text) {
                Ok(text) => Ok(text),
                Err(_) => Err(ModelError::new(Fault::Text, at)),
            },
            None => Err(ModelError::new(Fault::Text, at)),
        }
    }

    /// The model's name.
    pub(crate) const fn name(&self) -> &'m str {
        match self.string(header::NAME) {
            Ok(name) => name,
            Err(_) => "",
        }
    }

    /// Number of labels, 0 when the model has none.
    pub(crate) const fn labels(&self) -> u32 {
        self.section(Section::Labels).1 / LABEL_SIZE
    }

    /// Label of class `index`.
    pub(crate) const fn label(&self, index: u32) -> Result<&'m str, ModelError> {
        if index >= self.labels() {
            return Err(ModelError::new(Fault::Text, Section::Labels.entry()));
        }
        self.string(self.record_at(Section::Labels, index, LABEL_SIZE))
    }

    /// Where the preprocess section starts, and its bytes.
    pub(crate) const fn preprocess(&self) -> (u32, &'m [u8]) {
        (self.section(Section::Preprocess).0, self.section_bytes(Section::Preprocess))
    }

    /// The header's CRC-32, which was compared when the file was opened.
    pub(crate) const fn checksum(&self) -> u32 {
        self.checked_word(header::CHECKSUM)
    }

    /// Bytes of the whole file.
    pub(crate) const fn len(&self) -> u32 {
        self.bytes.len() as u32
    }
}

/// CRC-32 of a file, its checksum word left out.
pub(crate) const fn checksum(bytes: &[u8]) -> u32 {
    let word = header::CHECKSUM as usize;
    match bytes.split_at_checked(word) {
        Some((head, rest)) => match rest.split_at_checked(4) {
            Some((_, tail)) => crc32(crc32(0, head), tail),
            None => 0,
        },
        None => 0,
    }
}
