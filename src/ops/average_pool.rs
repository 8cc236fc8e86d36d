//! The average over a window of each channel.

use core::ops::Range;

use super::patch::Inside;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::{BLOCK, Backend};
use crate::quant::Clamp;
use crate::tensor::Shape;
use crate::window::{Reach, Window};
use crate::uses::Linked;

/// The average over a window, rounded half away from zero; positions outside the input are not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2d {
    /// Kernel, stride and padding.
    pub window: Window,
    /// The activation range.
    pub clamp: Clamp,
}

impl AveragePool2d {
    /// The shape rule, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window) -> Option<Shape> {
        params::pooled(input, window)
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            window: attempt!(params::window(&block, 0)),
            clamp: attempt!(params::clamp(&block, params::WINDOW_WORDS)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words(params::window_words(&self.window));
        writer.words([self.clamp.min as u32, self.clamp.max as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        params::check_pool(tensors, &self.window, self.clamp)
    }

    pub(super) const fn scratch_len(&self, _tensors: &Operands) -> u32 {
        0
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::of(&self.window)
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
        for y in rows.start..rows.end.min(output.shape.h) {
            for x in 0..output.shape.w {
                let inside = Inside::of(&self.window, &input, y, x);
                for block in output.channel_blocks(BLOCK as u32) {
                    let mut sums = [0; BLOCK];
                    let sums = sums.get_mut(..block.len()).unwrap_or_default();
                    B::sum(&inside.pixels_of(&input, io.memory.read(input.region()), block.start), sums);
                    let out = io.memory.write(output.pixels(y, x, 1).part(block.start, block.len() as u32));
                    for (out, &mut sum) in out.iter_mut().zip(sums) {
                        *out = self.clamp.apply(average(sum, inside.len())) as i8;
                    }
                }
            }
        }
    }
}

/// `sum / count`, half away from zero; `count = 0` counts as 1.
pub(super) const fn average(sum: i32, count: u32) -> i32 {
    let count = if count == 0 { 1 } else { count };
    let size = sum.unsigned_abs().wrapping_add(count / 2) / count;
    if sum < 0 { (size as i32).wrapping_neg() } else { size as i32 }
}
