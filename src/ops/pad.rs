//! Padding with a constant.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::patch::copy;
use super::{Io, Operands, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::memory::Element;
use crate::numbers::Numbers;
use crate::quant::Clamp;
use crate::tensor::Shape;
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

encoding!(Pad { before: triple, after: triple, value: element });

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

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(rules::same_quant(input, output));
        let value = Clamp { min: self.value as i32, max: self.value as i32 };
        attempt!(rules::demand(value.is_valid(output.dtype), Fault::Clamp));
        rules::shape(Some(Self::output_shape(input.shape, self.before, self.after)), output)
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        let [top, ..] = self.before;
        Reach::shifted(top)
    }

    without!(scratch_len, in_place, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let [top, left, front] = self.before;
        for y in rows.start..rows.end.min(output.shape.h) {
            for x in 0..output.shape.w {
                let pixel = output.pixels(y, x, 1);
                N::Element::of_mut(io.memory.write(pixel)).fill(N::Element::from_ordinal(self.value.into()));
                let (from_y, from_x) = (y.wrapping_sub(top), x.wrapping_sub(left));
                if from_y < input.shape.h && from_x < input.shape.w {
                    let to = pixel.part(front.wrapping_mul(output.dtype.size()), input.pixel_bytes());
                    let (from, to) = io.memory.read_write(input.pixels(from_y, from_x, 1), to);
                    copy(to, from);
                }
            }
        }
    }
}
