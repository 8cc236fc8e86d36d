//! The sum of two tensors, rescaled.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::algorithms::add::linear;
use crate::kernels::{AddTerms, Backend};
use crate::memory::Element;
use crate::numbers::Numbers;
use crate::quant::{Clamp, Multiplier, OutputStage, Rounding};
use crate::tensor::{DType, QuantParams, Shape};
use crate::uses::Linked;
use crate::window::Reach;

/// The sum of two tensors, each with its own scale, and an activation. Along an axis of extent 1 an operand is spread over the
/// other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Add {
    /// How scaled terms are rounded.
    pub rounding: Rounding,
    /// The factors of both inputs: `scale / (2 * larger scale)`.
    pub factors: [Multiplier; 2],
    /// The factor of the sum: `2 * larger scale / (2^20 * output scale)`, for int16 with `2^15`.
    pub output_factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
    /// Constants of the linear form that gives the same bytes in a fifth of the instructions, where there are such:
    /// see [`Add::linearized`].
    pub linear: Option<[i32; 3]>,
}

encoding!(Add {
    rounding: rounding,
    factors: multipliers,
    output_factor: multiplier,
    clamp: clamp,
    linear: linear,
});

impl Add {
    /// The addition of tensors of type `dtype` quantized with `a` and `b` into one quantized with `output`, with the multipliers that
    /// TensorFlow Lite computes. `None` when a ratio of scales is not a valid factor.
    pub const fn new(
        a: QuantParams,
        b: QuantParams,
        output: QuantParams,
        dtype: DType,
        rounding: Rounding,
        clamp: Clamp,
    ) -> Option<Self> {
        let (a, b, output) = (a.scale as f64, b.scale as f64, output.scale as f64);
        let twice = 2.0 * if a > b { a } else { b };
        let shifted = (1u32 << AddTerms::left_shift(dtype)) as f64 * output;
        match (
            Multiplier::from_real(a / twice),
            Multiplier::from_real(b / twice),
            Multiplier::from_real(twice / shifted),
        ) {
            (Some(a), Some(b), Some(output_factor)) => Some(Self {
                rounding,
                factors: [a, b],
                output_factor,
                clamp,
                linear: None,
            }),
            _ => None,
        }
    }

    /// The shape rule: along each axis both have one extent, or one of them has 1. `None` when they have not.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        elementwise::broadcast(a, b)
    }

    /// The same addition with the constants of its linear form, when some exist that are right for all 65,536 pairs of
    /// inputs quantized with `a` and `b`.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn linearized(self, a: QuantParams, b: QuantParams, output: QuantParams) -> Self {
        let terms = self.terms([a.zero_point, b.zero_point], output.zero_point);
        Self { linear: crate::kernels::algorithms::add_linear::find(&terms), ..self }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let dtype = tensors.output.dtype;
        attempt!(rules::demand(self.linear.is_none() || dtype.same(DType::I8), Fault::Algorithm));
        attempt!(rules::demand(self.clamp.is_valid(dtype), Fault::Clamp));
        elementwise::check(tensors)
    }

    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand < 2
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::POINT
    }

    /// The constants of the block primitive, for operands and an output with these zero points.
    pub(super) const fn terms(&self, zero_points: [i32; 2], output_zero_point: i32) -> AddTerms {
        AddTerms {
            zero_points,
            factors: self.factors,
            output_factor: self.output_factor,
            stage: OutputStage { rounding: self.rounding, zero_point: output_zero_point, clamp: self.clamp },
            linear: self.linear,
        }
    }

    /// `left = left + right`, the bytes of elements.
    pub(super) fn apply<N: Numbers, B: Backend>(terms: &AddTerms) -> impl Fn(&mut [i8], &[i8]) {
        move |left, right| N::sum::<B>(N::Element::of_mut(left), N::Element::of(right), terms)
    }

    without!(scratch_len, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let (a, b, output) = (io.tensors.a, io.b(), io.tensors.output);
        let mut terms = self.terms([a.quant.zero_point, b.quant.zero_point], output.quant.zero_point);
        let mut operands = (&a, &b);
        if elementwise::is_over_b(&a, &b, &output) {
            (terms, operands) = (terms.swapped(), (&b, &a));
        }
        match terms.linear {
            Some(constants) if matches!(N::DTYPE, DType::I8) => {
                elementwise::combine(io, operands, rows, &mut |left: &mut [i8], right: &[i8]| {
                    linear::<B>(left, right, &terms, &constants);
                });
            }
            None if L::SET.scaled_add => elementwise::combine(io, operands, rows, &mut Self::apply::<N, B>(&terms)),
            _ => io.broken(),
        }
    }
}
