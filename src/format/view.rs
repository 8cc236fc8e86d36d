//! A zero-copy, bounds-checked view of a model file.

use super::about::{About, RoundingSource};
use super::crc::crc32;
use super::layout::{self, LABEL_SIZE, MAX_ARENA, MAX_COUNT, MAX_PITCH, MAX_PORTS, MAX_TEXT, NONE};
use super::layout::{SECTION_ALIGN, Section, header, port};
use crate::bytes::{Block, attempt, slice, u32_at};
use crate::error::{Fault, ModelError};
use crate::memory::Region;
use crate::plan::SCRATCH_ALIGN;
use crate::tensor::{DType, Place, QuantParams, Shape, Tensor};

/// A file whose header, checksum and section table are right.
#[derive(Clone, Copy)]
pub(crate) struct File<'m> {
    bytes: &'m [u8],
    pub(crate) arena: u32,
    /// Bytes of the arena that lie in the fast memory, from offset 0 on.
    pub(crate) fast: u32,
    pub(crate) steps: u32,
    pub(crate) tensors: u32,
    version: u32,
    /// Where the tensor and step records start.
    starts: [u32; 2],
    /// How many inputs, outputs and states there are, see [`PortKind`].
    counts: [u32; 3],
}

/// What a tensor is to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    Input = 0,
    Output = 1,
    State = 2,
}

/// An input, an output or a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortRecord<'m> {
    /// Where the record, or the header's word, starts in the file.
    pub(crate) at: u32,
    pub(crate) tensor: u32,
    pub(crate) name: &'m str,
    /// Of a state, the tensor that becomes the state when an inference ends.
    pub(crate) next: Option<u32>,
    /// Of a state, its first elements, if they are not zero points.
    pub(crate) initial: &'m [u8],
}

/// A step record: everything but the operator's parameters, undecoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepRecord<'m> {
    /// Where the record starts in the file.
    pub(crate) at: u32,
    pub(crate) op: u32,
    pub(crate) a: u32,
    pub(crate) b: Option<u32>,
    pub(crate) output: u32,
    pub(crate) moment: u32,
    pub(crate) params: Block<'m>,
    pub(crate) scratch: Region,
}

impl StepRecord<'_> {
    /// The index of input `operand` (0 or 1), if the step has it.
    pub(crate) const fn input(&self, operand: usize) -> Option<u32> {
        match operand {
            0 => Some(self.a),
            1 => self.b,
            _ => None,
        }
    }
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
        let mut file =
            Self { bytes, arena: 0, fast: 0, steps: 0, tensors: 0, version: 0, starts: [0; 2], counts: [1, 1, 0] };
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
    const fn check_tensor_at(&self, at: u32, fault: Fault) -> Result<(), ModelError> {
        if attempt!(self.word(at)) < self.tensors { Ok(()) } else { Err(ModelError::new(fault, at)) }
    }

    /// Checks the list of ports; how many of each kind it has.
    const fn check_ports(&self) -> Result<[u32; 3], ModelError> {
        let (mut counts, mut before, mut index) = ([0; 3], 0, 0);
        let (start, len) = self.section(Section::Ports);
        if !len.is_multiple_of(port::SIZE) || len / port::SIZE > MAX_PORTS {
            return Err(ModelError::new(Fault::Count, header::PORTS));
        }
        while index < len / port::SIZE {
            let at = start + index * port::SIZE;
            let kind = attempt!(self.word(at + port::KIND));
            if kind < before || kind > PortKind::State as u32 {
                return Err(ModelError::new(Fault::Port, at + port::KIND));
            }
            attempt!(self.check_tensor_at(at + port::TENSOR, Fault::Port));
            attempt!(self.string(at + port::NAME));
            let is_state = kind == PortKind::State as u32;
            let lone = attempt!(self.word(at + port::NEXT)) == NONE && attempt!(self.word(at + port::INITIAL + 4)) == 0;
            if is_state {
                attempt!(self.check_tensor_at(at + port::NEXT, Fault::Port));
                attempt!(self.initial(at));
            } else if !lone {
                return Err(ModelError::new(Fault::Port, at + port::NEXT));
            }
            if attempt!(self.word(at + port::RESERVED)) != 0 {
                return Err(ModelError::new(Fault::Reserved, at + port::RESERVED));
            }
            counts[(kind % 3) as usize] += 1;
            before = kind;
            index += 1;
        }
        if counts[0] == 0 || counts[1] == 0 {
            return Err(ModelError::new(Fault::Count, header::PORTS));
        }
        Ok(counts)
    }

    /// The first elements of the state whose record is at `at`.
    const fn initial(&self, at: u32) -> Result<&'m [u8], ModelError> {
        let (offset, len) = (attempt!(self.word(at + port::INITIAL)), attempt!(self.word(at + port::INITIAL + 4)));
        match slice(self.section_bytes(Section::Weights), offset as usize, len as usize) {
            Some(bytes) => Ok(bytes),
            None => Err(ModelError::new(Fault::Weights, at + port::INITIAL)),
        }
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
    const fn checked_word(&self, at: u32) -> u32 {
        match self.word(at) {
            Ok(word) => word,
            Err(_) => 0,
        }
    }

    /// How many ports of a kind there are.
    pub(crate) const fn port_count(&self, kind: PortKind) -> u32 {
        self.counts[kind as usize % 3]
    }

    /// Port `index` of a kind.
    pub(crate) const fn port(&self, kind: PortKind, index: u32) -> Result<PortRecord<'m>, ModelError> {
        if index >= self.port_count(kind) {
            return Err(ModelError::new(Fault::Port, header::PORTS));
        }
        let at = self.port_at(kind, index);
        if self.version == 1 {
            let name = if matches!(kind, PortKind::Input) { "input" } else { "output" };
            return Ok(PortRecord { at, tensor: attempt!(self.word(at)), name, next: None, initial: &[] });
        }
        Ok(PortRecord {
            at,
            tensor: attempt!(self.word(at + port::TENSOR)),
            name: attempt!(self.string(at + port::NAME)),
            next: match attempt!(self.word(at + port::NEXT)) {
                NONE => None,
                next => Some(next),
            },
            initial: attempt!(self.initial(at)),
        })
    }

    /// Where the record of port `index` of a kind starts; in version 1, the header's word.
    const fn port_at(&self, kind: PortKind, index: u32) -> u32 {
        let [inputs, outputs, _] = self.counts;
        let before = match (self.version, kind) {
            (1, PortKind::Input) => return header::INPUT,
            (1, _) => return header::OUTPUT,
            (_, PortKind::Input) => 0,
            (_, PortKind::Output) => inputs,
            (_, PortKind::State) => inputs.saturating_add(outputs),
        };
        self.record_at(Section::Ports, before.saturating_add(index), port::SIZE)
    }

    /// The index of the first input or output tensor, which every model has.
    pub(crate) const fn first(&self, kind: PortKind) -> u32 {
        let at = self.port_at(kind, 0);
        self.checked_word(if self.version == 1 { at } else { at + port::TENSOR })
    }

    /// All of it.
    pub(crate) const fn bytes(&self) -> &'m [u8] {
        self.bytes
    }

    const fn word(&self, at: u32) -> Result<u32, ModelError> {
        match u32_at(self.bytes, at as usize) {
            Some(word) => Ok(word),
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
    const fn section(&self, section: Section) -> (u32, u32) {
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
    const fn record_at(&self, section: Section, index: u32, size: u32) -> u32 {
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

    /// Where tensor record `index` starts in the file.
    pub(crate) const fn tensor_at(&self, index: u32) -> u32 {
        self.starts[0].saturating_add(index.saturating_mul(layout::tensor::SIZE))
    }

    /// Where step record `index` starts in the file.
    const fn step_at(&self, index: u32) -> u32 {
        self.starts[1].saturating_add(index.saturating_mul(layout::step::SIZE))
    }

    /// The moments (first, last) of tensor `index`, undecoded; `(1, 0)`, which meets no other, past the end.
    pub(crate) const fn moments(&self, index: u32) -> (u32, u32) {
        let at = self.tensor_at(index);
        match (self.word(at + layout::tensor::FIRST), self.word(at + layout::tensor::LAST)) {
            (Ok(first), Ok(last)) => (first, last),
            _ => (1, 0),
        }
    }

    /// The joint tensor that tensor `index` is a part of, undecoded; [`NONE`] for one that is none, and past the end.
    pub(crate) const fn joint(&self, index: u32) -> u32 {
        match self.word(self.tensor_at(index) + layout::tensor::JOINT) {
            Ok(joint) if index < self.tensors => joint,
            _ => NONE,
        }
    }

    /// The outermost joint tensor that tensor `index` lies in, or itself. Joint tensors come behind their parts.
    pub(crate) const fn root(&self, index: u32) -> u32 {
        let mut root = index;
        while self.joint(root) != NONE && self.joint(root) > root {
            root = self.joint(root);
        }
        root
    }

    /// Decodes tensor record `index` and checks each field by itself.
    pub(crate) const fn tensor(&self, index: u32) -> Result<Tensor, ModelError> {
        use layout::tensor as record;
        let at = self.tensor_at(index);
        if index >= self.tensors {
            return Err(ModelError::new(Fault::Operand, at));
        }
        let shape = Shape::new(
            attempt!(self.word(at + record::SHAPE)),
            attempt!(self.word(at + record::SHAPE + 4)),
            attempt!(self.word(at + record::SHAPE + 8)),
        );
        if !shape.is_valid() {
            return Err(ModelError::new(Fault::Shape, at + record::SHAPE));
        }
        let Some(dtype) = DType::from_code(attempt!(self.word(at + record::DTYPE))) else {
            return Err(ModelError::new(Fault::DType, at + record::DTYPE));
        };
        let scale = f32::from_bits(attempt!(self.word(at + record::SCALE)));
        if !dtype.has_scale(scale) {
            return Err(ModelError::new(Fault::Scale, at + record::SCALE));
        }
        let zero_point = attempt!(self.word(at + record::ZERO_POINT)) as i32;
        if !dtype.has_zero_point(zero_point) {
            return Err(ModelError::new(Fault::ZeroPoint, at + record::ZERO_POINT));
        }
        let tensor = Tensor {
            shape,
            dtype,
            quant: QuantParams { scale, zero_point },
            place: Place {
                offset: attempt!(self.word(at + record::OFFSET)),
                pitch: attempt!(self.word(at + record::PITCH)),
                rows: attempt!(self.word(at + record::ROWS)),
            },
            first: attempt!(self.word(at + record::FIRST)),
            ready: attempt!(self.word(at + record::READY)),
            last: attempt!(self.word(at + record::LAST)),
            joint: match attempt!(self.word(at + record::JOINT)) {
                NONE => None,
                joint => Some(joint),
            },
        };
        let mut reserved = record::RESERVED;
        while reserved < record::SIZE {
            if attempt!(self.word(at + reserved)) != 0 {
                return Err(ModelError::new(Fault::Reserved, at + reserved));
            }
            reserved += 4;
        }
        if tensor.place.rows == 0 || tensor.place.rows > shape.h {
            return Err(ModelError::new(Fault::Shape, at + record::ROWS));
        }
        if !tensor.place.offset.is_multiple_of(dtype.size()) || !tensor.place.pitch.is_multiple_of(dtype.size()) {
            return Err(ModelError::new(Fault::Alignment, at + record::OFFSET));
        }
        if tensor.place.pitch > MAX_PITCH {
            return Err(ModelError::new(Fault::Arena, at + record::PITCH));
        }
        if tensor.place.pitch < tensor.pixel_bytes() || !self.holds(tensor.region()) {
            return Err(ModelError::new(Fault::Arena, at + record::OFFSET));
        }
        Ok(tensor)
    }

    /// Whether a region lies in the arena, and in one of its two memories as a whole.
    pub(crate) const fn holds(&self, region: Region) -> bool {
        region.end() <= self.arena && (region.offset >= self.fast || region.end() <= self.fast)
    }

    /// Decodes step record `index`.
    pub(crate) const fn step(&self, index: u32) -> Result<StepRecord<'m>, ModelError> {
        use layout::step as record;
        let at = self.step_at(index);
        if index >= self.steps {
            return Err(ModelError::new(Fault::Count, at));
        }
        if attempt!(self.word(at + record::RESERVED)) != 0 {
            return Err(ModelError::new(Fault::Reserved, at + record::RESERVED));
        }
        let (params, params_len) =
            (attempt!(self.word(at + record::PARAMS)), attempt!(self.word(at + record::PARAMS + 4)));
        let (start, len) = self.section(Section::Params);
        if !params.is_multiple_of(4) || params > len || params_len > len - params {
            return Err(ModelError::new(Fault::Section, at + record::PARAMS));
        }
        let weights = self.section_bytes(Section::Weights);
        Ok(StepRecord {
            at,
            op: attempt!(self.word(at + record::OP)),
            a: attempt!(self.word(at + record::A)),
            b: match attempt!(self.word(at + record::B)) {
                NONE => None,
                b => Some(b),
            },
            output: attempt!(self.word(at + record::OUTPUT)),
            moment: attempt!(self.word(at + record::MOMENT)),
            params: attempt!(Block::new(self.bytes, start + params, params_len, weights)),
            scratch: Region {
                offset: attempt!(self.word(at + record::SCRATCH)),
                len: attempt!(self.word(at + record::SCRATCH + 4)),
            },
        })
    }

    /// Checks that the operands of a step are tensors of the file.
    pub(crate) const fn check_operands(&self, step: &StepRecord<'_>) -> Result<(), ModelError> {
        use layout::step as record;
        if step.a >= self.tensors {
            return Err(ModelError::new(Fault::Operand, step.at + record::A));
        }
        if matches!(step.b, Some(b) if b >= self.tensors) {
            return Err(ModelError::new(Fault::Operand, step.at + record::B));
        }
        if step.output >= self.tensors {
            return Err(ModelError::new(Fault::Operand, step.at + record::OUTPUT));
        }
        Ok(())
    }

    /// The name of step `index`.
    pub(crate) const fn step_name(&self, index: u32) -> Result<&'m str, ModelError> {
        self.string(self.step_at(index) + layout::step::NAME)
    }

    /// The moment of step `index`; 0 past the end.
    pub(crate) const fn moment(&self, index: u32) -> u32 {
        let at = self.step_at(index);
        match self.word(at + layout::step::MOMENT) {
            Ok(moment) if index < self.steps => moment,
            _ => 0,
        }
    }

    /// The moment at which the caller reads the output: the one after the last step's.
    pub(crate) const fn end(&self) -> u32 {
        self.moment(self.steps.saturating_sub(1)).saturating_add(1)
    }

    /// Where the preprocess section starts, and its bytes.
    pub(crate) const fn preprocess(&self) -> (u32, &'m [u8]) {
        (self.section(Section::Preprocess).0, self.section_bytes(Section::Preprocess))
    }

    /// The header's CRC-32, which was compared when the file was opened.
    pub(crate) const fn checksum(&self) -> u32 {
        match self.word(header::CHECKSUM) {
            Ok(word) => word,
            Err(_) => 0,
        }
    }

    /// Bytes of the whole file.
    pub(crate) const fn len(&self) -> u32 {
        self.bytes.len() as u32
    }
}

/// CRC-32 of a file, its checksum word left out.
pub(super) const fn checksum(bytes: &[u8]) -> u32 {
    let word = header::CHECKSUM as usize;
    match bytes.split_at_checked(word) {
        Some((head, rest)) => match rest.split_at_checked(4) {
            Some((_, tail)) => crc32(crc32(0, head), tail),
            None => 0,
        },
        None => 0,
    }
}
