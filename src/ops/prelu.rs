//! Rectification with slopes below zero.

use core::ops::Range;

use super::encoding::encoding;
use super::members::pointwise;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::float16;
use crate::kernels::Backend;
use crate::memory::Element;
use crate::numbers::{Numbers, combine};
use crate::quant::{Clamp, Multiplier, OutputStage, Rounding};
use crate::sys::cast;
use crate::tensor::{DType, QuantParams, Shape};
use crate::uses::Linked;

/// `x` where it is not negative, else `x` times a slope: TensorFlow Lite's PRELU, with a slope for each channel or for each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prelu<'m> {
    /// How the scaled elements are rounded.
    pub rounding: Rounding,
    /// `input scale / output scale`, of numbers that are not negative.
    pub factor: Multiplier,
    /// `input scale * slope scale / output scale`, of negative ones.
    pub negative_factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
    /// The slopes' zero point.
    pub zero_point: i32,
    /// The slopes: `c` elements, or `h * w * c`; little-endian bytes of those that have more than one.
    pub slopes: &'m [i8],
}

encoding!(Prelu<'m> {
    rounding: rounding,
    factor: multiplier,
    negative_factor: multiplier,
    clamp: clamp,
    zero_point: integer,
    slopes: bytes,
});

impl<'m> Prelu<'m> {
    /// With slopes quantized with `slopes`, but for their elements; with the multipliers that TensorFlow Lite computes. `None` when a
    /// ratio of scales is not a valid factor.
    pub const fn new(
        input: QuantParams,
        slopes: QuantParams,
        output: QuantParams,
        rounding: Rounding,
        clamp: Clamp,
    ) -> Option<Self> {
        let (from, to) = (input.scale as f64, output.scale as f64);
        match (Multiplier::from_real(from / to), Multiplier::from_real(from * slopes.scale as f64 / to)) {
            (Some(factor), Some(negative_factor)) => {
                let zero_point = slopes.zero_point;
                Some(Self { rounding, factor, negative_factor, clamp, zero_point, slopes: &[] })
            }
            _ => None,
        }
    }

    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(rules::same_type(input, output));
        attempt!(rules::demand(output.dtype.has_zero_point(self.zero_point), Fault::ZeroPoint));
        attempt!(rules::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        let (len, whole) = (self.slopes.len() as u64, input.shape.len() as u64 * input.dtype.size() as u64);
        attempt!(rules::demand(len == input.pixel_bytes() as u64 || len == whole, Fault::Weights));
        let halves = output.dtype.same(DType::F16);
        attempt!(rules::demand(!halves || float16::are_finite(self.slopes), Fault::Weights));
        rules::shape(Some(Self::output_shape(input.shape)), output)
    }

    pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [cast::as_u8(self.slopes), &[]]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let stage = OutputStage { rounding: self.rounding, zero_point: output.quant.zero_point, clamp: self.clamp };
        let factors = [self.factor, self.negative_factor];
        let bend = N::bend([input.quant.zero_point, self.zero_point], factors, stage);
        elementwise::combine_constants(io, self.slopes, rows, &mut |x: &mut [i8], slopes: &[i8]| {
            combine(N::Element::of_mut(x), N::Element::of(slopes), &bend);
        });
    }
}
