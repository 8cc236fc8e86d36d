//! The difference of two tensors, rescaled.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::{Add, Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::{AddTerms, Backend};
use crate::memory::Element;
use crate::numbers::{Numbers, combine};
use crate::quant::{Clamp, Multiplier, OutputStage, Rounding};
use crate::tensor::{DType, QuantParams, Shape};
use crate::window::Reach;
use crate::uses::Linked;

/// The difference `a - b` of two tensors, each with its own scale, and an activation.
///
/// Not an addition with a negative factor: rounding is not symmetric around zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sub {
    /// How scaled terms are rounded.
    pub rounding: Rounding,
    /// The factors of both inputs: `scale / (2 * larger scale)`.
    pub factors: [Multiplier; 2],
    /// The factor of the difference: `2 * larger scale / (2^20 * output scale)`, for int16 with `2^15`.
    pub output_factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
}

encoding!(Sub {
    rounding: rounding,
    factors: multipliers,
    output_factor: multiplier,
    clamp: clamp,
});

impl Sub {
    /// The difference of tensors of type `dtype` quantized with `a` and `b` into one quantized with `output`, with the multipliers that
    /// TensorFlow Lite Micro computes. `None` when a ratio of scales is not a valid factor.
    pub const fn new(
        a: QuantParams,
        b: QuantParams,
        output: QuantParams,
        dtype: DType,
        rounding: Rounding,
        clamp: Clamp,
    ) -> Option<Self> {
        match Add::new(a, b, output, dtype, rounding, clamp) {
            Some(Add { factors, output_factor, .. }) => Some(Self { rounding, factors, output_factor, clamp }),
            None => None,
        }
    }

    /// As [`Sub::new`], with multipliers in single precision: TensorFlow Lite, and until October 2026 TensorFlow Lite Micro, which
    /// compute those of ADD in double precision.
    pub const fn in_single(
        a: QuantParams,
        b: QuantParams,
        output: QuantParams,
        dtype: DType,
        rounding: Rounding,
        clamp: Clamp,
    ) -> Option<Self> {
        let twice = 2.0 * if a.scale > b.scale { a.scale } else { b.scale };
        let shifted = (1u32 << AddTerms::left_shift(dtype)) as f32 * output.scale;
        match (
            Multiplier::from_real((a.scale / twice) as f64),
            Multiplier::from_real((b.scale / twice) as f64),
            Multiplier::from_real((twice / shifted) as f64),
        ) {
            (Some(a), Some(b), Some(output_factor)) => Some(Self { rounding, factors: [a, b], output_factor, clamp }),
            _ => None,
        }
    }

    /// The shape rule: along each axis both have one extent, or one of them has 1. `None` when they have not.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        elementwise::broadcast(a, b)
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::demand(self.clamp.is_valid(tensors.output.dtype), Fault::Clamp));
        elementwise::check(tensors)
    }

    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand == 0
    }

    /// As of a product.
    pub(super) const fn reach(&self, operand: u32) -> Reach {
        if operand == 0 { Reach::POINT } else { Reach::WHOLE }
    }

    /// The constants of the arithmetic, for operands and an output with these zero points.
    pub(super) const fn terms(&self, zero_points: [i32; 2], output_zero_point: i32) -> AddTerms {
        AddTerms {
            zero_points,
            factors: self.factors,
            output_factor: self.output_factor,
            stage: OutputStage { rounding: self.rounding, zero_point: output_zero_point, clamp: self.clamp },
            linear: None,
        }
    }

    /// `left = left - right`, the bytes of elements.
    pub(super) fn apply<N: Numbers>(terms: &AddTerms) -> impl Fn(&mut [i8], &[i8]) {
        let difference = N::difference(terms);
        move |left, right| combine(N::Element::of_mut(left), N::Element::of(right), &difference)
    }

    without!(scratch_len, window_mut, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let (a, b) = (io.tensors.a, io.b());
        let terms = self.terms([a.quant.zero_point, b.quant.zero_point], io.tensors.output.quant.zero_point);
        elementwise::combine(io, (&a, &b), rows, &mut Self::apply::<N>(&terms));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::elementwise::tests::run;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn close_to_the_real_difference(
            a in prop::collection::vec(any::<i8>(), 24), b in prop::collection::vec(any::<i8>(), 24),
            scales in prop::array::uniform3(0.05f32..1.0), zeros in prop::array::uniform3(-128i32..128),
            over: bool, kind in 0usize..3,
        ) {
            let quant = |i: usize| QuantParams { scale: scales[i], zero_point: zeros[i] };
            let shape = Shape::new(2, 3, 4);
            let b_shape = [shape, Shape::vector(4), Shape::vector(1)][kind];
            let sub = Sub::new(quant(0), quant(1), quant(2), DType::I8, Rounding::Double, Clamp { min: -128, max: 127 }).unwrap();
            let b = &b[..b_shape.len() as usize];
            let out = run(Op::Sub(sub), (&a, shape, quant(0)), Some((b, b_shape, quant(1))), (shape, quant(2)), over);
            for (i, &y) in out.iter().enumerate() {
                let real = f64::from(i32::from(a[i]) - zeros[0]) * f64::from(scales[0])
                    - f64::from(i32::from(b[i % b.len()]) - zeros[1]) * f64::from(scales[1]);
                let wanted = (real / f64::from(scales[2]) + f64::from(zeros[2])).clamp(-128.0, 127.0);
                prop_assert!((f64::from(y) - wanted).abs() <= 0.51, "{y} {wanted}");
            }
        }
    }
}
