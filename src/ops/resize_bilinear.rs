//! Resizing by linear interpolation.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::{Io, Operands, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::memory::{Element, Region, part};
use crate::numbers::Numbers;
use crate::tensor::Shape;
use crate::uses::Linked;
use crate::window::{Between, Reach};

/// Between the four pixels around each pixel of an output of another size, with weights of 2^-20, as TensorFlow Lite interpolates
/// integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeBilinear {
    /// Rows and columns of the output.
    pub size: [u32; 2],
    /// From a row and a column of the output to the next, in 2^-20 of the input's.
    pub step: [u32; 2],
    /// Where the first row and the first column lie, in the same unit.
    pub origin: [i32; 2],
}

encoding!(ResizeBilinear { size: pair, step: pair, origin: integers });

impl ResizeBilinear {
    /// TensorFlow Lite's, whose steps are rounded to 2^-10. With `align_corners` the first and the last positions fall on each other;
    /// with `half_pixel_centers` positions are those of pixels' centers. `None` when the input is over 4,000 times larger.
    pub const fn new(
        input: Shape,
        size: [u32; 2],
        align_corners: bool,
        half_pixel_centers: bool,
    ) -> Option<Self> {
        let (mut step, mut origin) = ([0; 2], [0; 2]);
        let from = [input.h, input.w];
        let mut axis = 0;
        while axis < 2 {
            let corners = (align_corners && size[axis] > 1) as u32;
            let (from, to) = (from[axis].saturating_sub(corners) as u64, size[axis].saturating_sub(corners) as u64);
            // A step in 2^-10.
            let Some(unit) = ((from << Between::BITS) + to / 2).checked_div(to) else { return None };
            if unit >> 22 != 0 {
                return None;
            }
            step[axis] = (unit as u32) << (20 - Between::BITS);
            if half_pixel_centers {
                origin[axis] = ((unit as i32 / 2) - (1 << (Between::BITS - 1))) << (20 - Between::BITS);
            }
            axis += 1;
        }
        Some(Self { size, step, origin })
    }

    /// The shape rule: as many channels.
    pub const fn output_shape(&self, input: Shape) -> Shape {
        let [h, w] = self.size;
        Shape::new(h, w, input.c)
    }

    /// Where positions of the output lie along `axis`, 0 vertical and 1 horizontal.
    pub const fn between(&self, axis: usize) -> Between {
        Between { step: self.step[axis & 1], origin: self.origin[axis & 1] }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::same_quant(&tensors.a, &tensors.output));
        rules::shape(Some(self.output_shape(tensors.a.shape)), &tensors.output)
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::Between(self.between(0))
    }

    /// Four for each element.
    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        4 * tensors.output.shape.len() as u64
    }

    without!(scratch_len, in_place, window_mut, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        const ONE: i32 = 1 << Between::BITS;
        let Operands { a: input, output, .. } = io.tensors;
        let [vertical, horizontal] = [self.between(0), self.between(1)];
        for y in rows.start..rows.end.min(output.shape.h) {
            let (top, down) = vertical.source(y, input.shape.h);
            for x in 0..output.shape.w {
                let (left, right) = horizontal.source(x, input.shape.w);
                // What has weight 0 need not be there.
                let pixels = 1u32.wrapping_add((right > 0).into());
                let above = input.pixels(top, left, pixels);
                let below = if down > 0 { input.pixels(top.wrapping_add(1), left, pixels) } else { Region::EMPTY };
                let (above, below, out) = io.memory.read2_write(above, below, output.pixels(y, x, 1));
                let below = if down > 0 { below } else { above };
                // The pixel on the right is the same one, or begins a pitch behind it.
                let (len, pitch) = (output.pixel_bytes() as usize, if right > 0 { input.place.pitch as usize } else { 0 });
                let both = |row| [part(row, 0, len), part(row, pitch, len)].map(N::Element::of);
                let [[a, b], [c, d]] = [both(above), both(below)];
                let [down, right] = [down as i32, right as i32];
                let [up, near] = [ONE.wrapping_sub(down), ONE.wrapping_sub(right)];
                let weights = [(up, near), (up, right), (down, near), (down, right)];
                let blend = N::blend(weights.map(|(row, column)| row.wrapping_mul(column)));
                let (above, below) = (a.iter().zip(b), c.iter().zip(d));
                for ((out, (&a, &b)), (&c, &d)) in N::Element::of_mut(out).iter_mut().zip(above).zip(below) {
                    *out = blend([a, b, c, d]);
                }
            }
        }
    }
}
