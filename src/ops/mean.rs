//! The mean over height and width of each channel, with rescaling: TensorFlow Lite's MEAN over both axes.

use core::ops::Range;

use super::patch::Inside;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::blocks::requantize;
use crate::kernels::{BLOCK, Backend};
use crate::quant::{Channel, Clamp, Multiplier, OutputStage, Rounding};
use crate::tensor::{QuantParams, Shape};
use crate::window::{Reach, Window};
use crate::uses::Linked;

/// The mean of all pixels. Unlike an average pool it rescales, and rounds as a requantization does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// How the scaled sum is rounded.
    pub rounding: Rounding,
    /// `input scale / (output scale * pixels)`: the division by the number of pixels is already in it.
    pub factor: Multiplier,
}

impl Mean {
    /// The mean of `pixels` pixels, with the multiplier that TensorFlow Lite computes. `None` when the ratio of the
    /// scales is not a valid factor.
    pub const fn new(input: QuantParams, output: QuantParams, pixels: u32, rounding: Rounding) -> Option<Self> {
        match Multiplier::from_real(input.scale as f64 / output.scale as f64) {
            Some(factor) => Some(Self { rounding, factor: factor.divided_by(pixels) }),
            None => None,
        }
    }

    /// The shape rule: one element for each channel.
    pub const fn output_shape(input: Shape) -> Shape {
        Shape::vector(input.c)
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            rounding: attempt!(params::rounding(&block, 0)),
            factor: attempt!(params::multiplier(&block, 1)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([self.rounding.code(), self.factor.multiplier as u32, self.factor.shift as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(params::same_type(&tensors.a, &tensors.output));
        params::demand(Self::output_shape(tensors.a.shape).same(tensors.output.shape), Fault::ShapeRule)
    }

    pub(super) const fn scratch_len(&self, _tensors: &Operands) -> u32 {
        0
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::WHOLE
    }

    pub(super) const fn macs(&self, _tensors: &Operands) -> u64 {
        0
    }

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        if rows.is_empty() {
            return;
        }
        let Operands { a: input, output, .. } = io.tensors;
        let inside = Inside::of(&Window::global([input.shape.h, input.shape.w]), &input, 0, 0);
        let offset = input.quant.zero_point.wrapping_mul(inside.len() as i32).wrapping_neg();
        let channel = Channel { bias: offset, factor: self.factor };
        let clamp = Clamp::full(output.dtype);
        let stage = OutputStage { rounding: self.rounding, zero_point: output.quant.zero_point, clamp };
        // All channels share the factor: what the five instructions need of it is found once.
        let bound = i64::from(inside.len()) * 256;
        let constants = match self.rounding {
            Rounding::Double => {
                requantize::constants(self.factor.multiplier, self.factor.shift, stage.zero_point, bound)
            }
            _ => None,
        };
        for block in output.channel_blocks(BLOCK as u32) {
            let mut sums = [0; BLOCK];
            let sums = sums.get_mut(..block.len()).unwrap_or_default();
            B::sum(&inside.pixels_of(&input, io.memory.read(input.region()), block.start), sums);
            let out = io.memory.write(output.region().part(block.start, block.len() as u32));
            for (out, &mut sum) in out.iter_mut().zip(sums) {
                *out = match constants {
                    Some((c, s)) => {
                        let doubled = sum.wrapping_add(offset).wrapping_shl(1);
                        requantize::fast(doubled, self.factor.multiplier, c, s)
                    }
                    None => stage.apply(sum, channel),
                };
            }
        }
    }
}
