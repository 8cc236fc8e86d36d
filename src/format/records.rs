//! The records of tensors and steps in a model file.

use super::file::File;
use super::layout::{self, MAX_PITCH, NONE};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::memory::Region;
use crate::tensor::{DType, Place, QuantParams, Shape, Tensor};

/// A step record: everything but the operator's parameters, undecoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepRecord<'m> {
    /// Where the record starts in the file.
    pub(crate) at: u32,
    pub(crate) op: u32,
    pub(crate) a: u32,
    pub(crate) b: Option<u32>,
    pub(crate) output: u32,
    pub(crate) time_slot: u32,
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
    /// Where tensor record `index` starts in the file.
    pub(crate) const fn tensor_at(&self, index: u32) -> u32 {
        self.starts[0].saturating_add(index.saturating_mul(layout::tensor::SIZE))
    }

    /// Where step record `index` starts in the file.
    const fn step_at(&self, index: u32) -> u32 {
        self.starts[1].saturating_add(index.saturating_mul(layout::step::SIZE))
    }

    /// The time slots (first, last) of tensor `index`, undecoded; `(1, 0)`, which meets no other, past the end.
    pub(crate) const fn time_slots(&self, index: u32) -> (u32, u32) {
        let at = self.tensor_at(index);
        match (self.word(at + layout::tensor::FIRST), self.word(at + layout::tensor::LAST)) {
            (Ok(first), Ok(last)) => (first, last),
            _ => (1, 0),
        }
    }

    /// The parent tensor that tensor `index` is a part of, undecoded; [`NONE`] for one that is none, and past the end.
    pub(crate) const fn parent(&self, index: u32) -> u32 {
        match self.word(self.tensor_at(index) + layout::tensor::PARENT) {
            Ok(parent) if index < self.tensors => parent,
            _ => NONE,
        }
    }

    /// The outermost parent tensor that tensor `index` lies in, or itself. Parent tensors come behind their parts.
    pub(crate) const fn root(&self, index: u32) -> u32 {
        let mut root = index;
        while self.parent(root) != NONE && self.parent(root) > root {
            root = self.parent(root);
        }
        root
    }

    /// Decodes tensor record `index`, and bounds the loops over it. [`File::check_tensor`] has judged all of them, once, for steps are
    /// decoded before every run.
    pub(crate) const fn tensor(&self, index: u32) -> Result<Tensor, ModelError> {
        let at = self.tensor_at(index);
        if index >= self.tensors {
            return Err(ModelError::new(Fault::Operand, at));
        }
        let [h, w, c, code, scale, zero_point, offset, pitch, first, ready, last, parent, rows, ..] =
            attempt!(self.record::<{ layout::tensor::WORDS }>(at));
        let shape = Shape::new(word(h), word(w), word(c));
        if !shape.is_valid() {
            return Err(ModelError::new(Fault::Shape, at + layout::tensor::SHAPE));
        }
        let Some(dtype) = DType::from_code(word(code)) else {
            return Err(ModelError::new(Fault::DType, at + layout::tensor::DTYPE));
        };
        Ok(Tensor {
            shape,
            dtype,
            quant: QuantParams { scale: f32::from_bits(word(scale)), zero_point: word(zero_point) as i32 },
            place: Place { offset: word(offset), pitch: word(pitch), rows: word(rows) },
            first: word(first),
            ready: word(ready),
            last: word(last),
            parent: index_or_none(parent),
        })
    }

    /// Checks every field of tensor record `index` by itself.
    pub(crate) const fn check_tensor(&self, index: u32) -> Result<(), ModelError> {
        use layout::tensor as record;
        let at = self.tensor_at(index);
        let tensor = attempt!(self.tensor(index));
        let Tensor { shape, dtype, quant, place, .. } = tensor;
        if !dtype.has_scale(quant.scale) {
            return Err(ModelError::new(Fault::Scale, at + record::SCALE));
        }
        if !dtype.has_zero_point(quant.zero_point) {
            return Err(ModelError::new(Fault::ZeroPoint, at + record::ZERO_POINT));
        }
        let mut reserved = at + record::ROWS + 4;
        while reserved < at + record::SIZE {
            if attempt!(self.word(reserved)) != 0 {
                return Err(ModelError::new(Fault::Reserved, reserved));
            }
            reserved += 4;
        }
        if place.rows == 0 || place.rows > shape.h {
            return Err(ModelError::new(Fault::Shape, at + record::ROWS));
        }
        if !place.offset.is_multiple_of(dtype.size()) || !place.pitch.is_multiple_of(dtype.size()) {
            return Err(ModelError::new(Fault::Alignment, at + record::OFFSET));
        }
        if place.pitch > MAX_PITCH {
            return Err(ModelError::new(Fault::Arena, at + record::PITCH));
        }
        if place.pitch < tensor.pixel_bytes() || !self.holds(tensor.region()) {
            return Err(ModelError::new(Fault::Arena, at + record::OFFSET));
        }
        Ok(())
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
        let [op, a, b, output, params, params_len, scratch, scratch_len, _, _, time_slot, reserved] =
            attempt!(self.record::<{ record::WORDS }>(at));
        if word(reserved) != 0 {
            return Err(ModelError::new(Fault::Reserved, at + record::RESERVED));
        }
        let (params, params_len) = (word(params), word(params_len));
        let [start, len] = self.params;
        if !params.is_multiple_of(4) || params > len || params_len > len - params {
            return Err(ModelError::new(Fault::Section, at + record::PARAMS));
        }
        Ok(StepRecord {
            at,
            op: word(op),
            a: word(a),
            b: index_or_none(b),
            output: word(output),
            time_slot: word(time_slot),
            params: attempt!(Block::new(self.bytes(), start + params, params_len, self.weights)),
            scratch: Region { offset: word(scratch), len: word(scratch_len) },
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

    /// The time slot of step `index`; 0 past the end.
    pub(crate) const fn time_slot(&self, index: u32) -> u32 {
        let at = self.step_at(index);
        match self.word(at + layout::step::TIME_SLOT) {
            Ok(time_slot) if index < self.steps => time_slot,
            _ => 0,
        }
    }

    /// The time slot at which the caller reads the output: the one after the last step's.
    pub(crate) const fn end(&self) -> u32 {
        self.time_slot(self.steps.saturating_sub(1)).saturating_add(1)
    }
}

/// A little-endian word.
const fn word(bytes: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*bytes)
}

/// A word that is an index, or [`NONE`].
const fn index_or_none(bytes: &[u8; 4]) -> Option<u32> {
    match word(bytes) {
        NONE => None,
        index => Some(index),
    }
}
