//! The mean over height and width of each channel, with rescaling: TensorFlow Lite's MEAN over both axes.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::{Io, Operands, pooling, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::quant::{Clamp, Multiplier, OutputStage, Rounding};
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

encoding!(Mean { rounding: rounding, factor: multiplier });

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

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::same_type(&tensors.a, &tensors.output));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::WHOLE
    }

    without!(scratch_len, in_place, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let clamp = Clamp::full(output.dtype);
        let stage = OutputStage { rounding: self.rounding, zero_point: output.quant.zero_point, clamp };
        let mean = N::mean(&input, self.factor, stage);
        let whole = Window::global([input.shape.h, input.shape.w]);
        pooling::sums::<N, B>(io, &whole, rows, &|sum, _| mean(sum));
    }
}
