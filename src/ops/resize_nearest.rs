//! Resizing by the nearest neighbor.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::patch::copy;
use super::{Io, Operands, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::tensor::Shape;
use crate::uses::Linked;
use crate::window::{Nearest, Reach};

/// The input's pixels at the rows and columns nearest to those of an output of another size, by TensorFlow Lite's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeNearest {
    /// Rows and columns of the output.
    pub size: [u32; 2],
    /// The first and the last positions fall on each other, and positions are rounded; else they are cut off.
    pub align_corners: bool,
    /// Positions are those of pixels' centers.
    pub half_pixel_centers: bool,
}

encoding!(ResizeNearest { size: pair, align_corners: flag, half_pixel_centers: flag });

impl ResizeNearest {
    /// The shape rule: as many channels.
    pub const fn output_shape(&self, input: Shape) -> Shape {
        let [h, w] = self.size;
        Shape::new(h, w, input.c)
    }

    /// Which position of the input is nearest to one of the output along `axis`, 0 vertical and 1 horizontal.
    pub const fn nearest(&self, axis: usize) -> Nearest {
        let &Self { align_corners, half_pixel_centers, .. } = self;
        Nearest { extent: self.size[axis & 1], align_corners, half_pixel_centers }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::same_quant(&tensors.a, &tensors.output));
        rules::shape(Some(self.output_shape(tensors.a.shape)), &tensors.output)
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::Nearest(self.nearest(0))
    }

    without!(scratch_len, in_place, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let [vertical, horizontal] = [self.nearest(0), self.nearest(1)];
        for y in rows.start..rows.end.min(output.shape.h) {
            let from_y = vertical.source(y, input.shape.h);
            for x in 0..output.shape.w {
                let from = input.pixels(from_y, horizontal.source(x, input.shape.w), 1);
                let (from, to) = io.memory.read_write(from, output.pixels(y, x, 1));
                copy(to, from);
            }
        }
    }
}
