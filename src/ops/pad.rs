//! Padding with a constant.

use core::ops::Range;

use super::patch::copy;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::{Backend, float16};
use crate::sys::cast;
use crate::quant::Clamp;
use crate::tensor::{DType, Shape};
use crate::window::Reach;
use crate::uses::Linked;

/// Padding with a constant, normally the zero point, in height, width and channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad {
    /// Elements before, `[h, w, c]`.
    pub before: [u32; 3],
    /// Elements after, `[h, w, c]`.
    pub after: [u32; 3],
    /// What they are; of halves the ordinal.
    pub value: i16,
}

impl Pad {
    /// The shape rule.
    pub const fn output_shape(input: Shape, before: [u32; 3], after: [u32; 3]) -> Shape {
        let ([top, left, front], [bottom, right, back]) = (before, after);
        Shape::new(
            input.h.saturating_add(top).saturating_add(bottom),
            input.w.saturating_add(left).saturating_add(right),
            input.c.saturating_add(front).saturating_add(back),
        )
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        let before = [attempt!(block.word(0)), attempt!(block.word(1)), attempt!(block.word(2))];
        let after = [attempt!(block.word(3)), attempt!(block.word(4)), attempt!(block.word(5))];
        let value = attempt!(block.word(6)) as i32;
        if value < i16::MIN as i32 || value > i16::MAX as i32 {
            return Err(block.error(6, Fault::Clamp));
        }
        Ok(Self { before, after, value: value as i16 })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words(self.before);
        writer.words(self.after);
        writer.words([i32::from(self.value) as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(params::same_quant(input, output));
        let value = Clamp { min: self.value as i32, max: self.value as i32 };
        attempt!(params::demand(value.is_valid(output.dtype), Fault::Clamp));
        let shape = Self::output_shape(input.shape, self.before, self.after);
        params::demand(shape.same(output.shape), Fault::ShapeRule)
    }

    pub(super) const fn scratch_len(&self, _tensors: &Operands) -> u32 {
        0
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        let [top, ..] = self.before;
        Reach::shifted(top)
    }

    pub(super) const fn macs(&self, _tensors: &Operands) -> u64 {
        0
    }

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let [top, left, front] = self.before;
        for y in rows.start..rows.end.min(output.shape.h) {
            for x in 0..output.shape.w {
                let pixel = io.memory.write(output.pixels(y, x, 1));
                match output.dtype {
                    DType::I8 => pixel.fill(self.value as i8),
                    DType::I16 => cast::as_i16_mut(pixel).fill(self.value),
                    DType::F16 => cast::as_f16_mut(pixel).fill(float16::from_ordinal(self.value.into())),
                }
                let (from_y, from_x) = (y.wrapping_sub(top), x.wrapping_sub(left));
                if from_y < input.shape.h && from_x < input.shape.w {
                    let to = output.pixels(y, x, 1).part(front.wrapping_mul(output.dtype.size()), input.pixel_bytes());
                    let (from, to) = io.memory.read_write(input.pixels(from_y, from_x, 1), to);
                    copy(to, from);
                }
            }
        }
    }
}
