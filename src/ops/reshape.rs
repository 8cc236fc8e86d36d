//! The same elements under another shape.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::patch::copy;
use super::{Io, Operands, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::memory::Region;
use crate::numbers::Numbers;
use crate::tensor::Tensor;
use crate::window::Reach;
use crate::uses::Linked;

/// The same elements, in the same order, under another shape.
///
/// It does nothing when input and output are contiguous and start at the same byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reshape;

encoding!(Reshape {});

impl Reshape {
    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::same_quant(&tensors.a, &tensors.output));
        rules::demand(tensors.a.shape.len() == tensors.output.shape.len(), Fault::ShapeRule)
    }

    /// In place when both are contiguous: elements then keep their bytes.
    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand == 0
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::WHOLE
    }

    without!(scratch_len, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        let row = output.shape.w.wrapping_mul(output.pixel_bytes());
        let mut at = rows.start.wrapping_mul(row);
        let end = rows.end.min(output.shape.h).wrapping_mul(row);
        while at < end {
            let (from, to) = (stretch(&a, at), stretch(&output, at));
            let len = from.len.min(to.len).min(end - at);
            if len == 0 {
                return io.broken();
            }
            let (from, to) = (from.part(0, len), to.part(0, len));
            // In place, the elements are there already.
            if from != to {
                let (from, to) = io.memory.read_write(from, to);
                copy(to, from);
            }
            at += len;
        }
    }
}

/// The longest stretch of elements from byte `at` of all of them on.
const fn stretch(tensor: &Tensor, at: u32) -> Region {
    if tensor.is_contiguous() {
        return tensor.region().part(at, u32::MAX);
    }
    let (w, c) = (tensor.shape.w, tensor.pixel_bytes());
    if w == 0 || c == 0 {
        return Region { offset: 0, len: 0 };
    }
    let (pixel, channel) = (at / c, at % c);
    tensor.pixels(pixel / w, pixel % w, 1).part(channel, c)
}
