//! The difference of two tensors, rescaled.

use core::ops::Range;

use super::{Io, Operands, elementwise, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::{AddTerms, Backend};
use crate::quant::{Clamp, Multiplier, Rounding, requantize};
use crate::tensor::{DType, QuantParams, Shape};
use crate::window::Reach;
use crate::uses::Linked;

/// The difference `a - b` of two tensors, each with its own scale, and an activation.
///
/// Not an addition with a negative factor: rounding is not symmetric around zero. And unlike that of ADD, TensorFlow
/// Lite computes the factors of SUB in single precision.
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

impl Sub {
    /// The difference of tensors of type `dtype` quantized with `a` and `b` into one quantized with `output`, with the multipliers that
    /// TensorFlow Lite computes. `None` when a ratio of scales is not a valid factor.
    pub const fn new(
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

    /// The shape rule: `b` has the shape of `a`, or is `1 x 1 x c` or `1 x 1 x 1`. `None` when it has not.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        elementwise::broadcast(a, b)
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Self::decode_at(&block, 0)
    }

    pub(super) const fn decode_at(block: &Block<'_>, at: u32) -> Result<Self, ModelError> {
        Ok(Self {
            rounding: attempt!(params::rounding(block, at)),
            factors: [attempt!(params::multiplier(block, at + 1)), attempt!(params::multiplier(block, at + 3))],
            output_factor: attempt!(params::multiplier(block, at + 5)),
            clamp: attempt!(params::clamp(block, at + 7)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([self.rounding.code()]);
        for factor in self.factors.into_iter().chain([self.output_factor]) {
            writer.words([factor.multiplier as u32, factor.shift as u32]);
        }
        writer.words([self.clamp.min as u32, self.clamp.max as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let Some(b) = &tensors.b else { return Err(Fault::Operand) };
        attempt!(params::demand(self.clamp.is_valid(tensors.output.dtype), Fault::Clamp));
        elementwise::check(&tensors.a, b, &tensors.output)
    }

    pub(super) const fn scratch_len(&self, _tensors: &Operands) -> u32 {
        0
    }

    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand == 0
    }

    /// The second operand may be one pixel that every row needs.
    pub(super) const fn reach(&self, operand: u32) -> Reach {
        if operand == 0 { Reach::POINT } else { Reach::WHOLE }
    }

    pub(super) const fn macs(&self, _tensors: &Operands) -> u64 {
        0
    }

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    /// One difference; zero points are those of both operands and of the output.
    #[inline]
    pub(super) const fn apply(&self, left: i8, right: i8, zero_points: [i32; 3]) -> i8 {
        self.wide(left as i32, right as i32, zero_points, AddTerms::LEFT_SHIFT) as i8
    }

    /// As [`Sub::apply`], of elements of any type, for which `shift` is [`AddTerms::left_shift`].
    #[inline]
    pub(super) const fn wide(&self, left: i32, right: i32, zero_points: [i32; 3], shift: u32) -> i32 {
        let [left_zero, right_zero, output_zero] = zero_points;
        let [left_factor, right_factor] = self.factors;
        let left = left.wrapping_sub(left_zero).wrapping_shl(shift);
        let right = right.wrapping_sub(right_zero).wrapping_shl(shift);
        let left = requantize(left, left_factor, self.rounding);
        let right = requantize(right, right_factor, self.rounding);
        let difference = requantize(left.wrapping_sub(right), self.output_factor, self.rounding);
        self.clamp.apply(difference.wrapping_add(output_zero))
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, b: Some(b), output } = io.tensors else { return };
        let zero_points = [a.quant.zero_point, b.quant.zero_point, output.quant.zero_point];
        elementwise::combine(io, (&a, &b, &output), rows, |left: i8, right| self.apply(left, right, zero_points));
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
