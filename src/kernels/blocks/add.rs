//! Sums of two rows of bytes with rescaling.

use super::requantize::saturate;
use crate::quant::{Channel, Multiplier, OutputStage, requantize};
use crate::tensor::DType;

/// The constants of an addition with rescaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddTerms {
    /// Zero point of the left and of the right operand.
    pub zero_points: [i32; 2],
    /// Factors of the left and of the right operand.
    pub factors: [Multiplier; 2],
    /// Factor of the sum.
    pub output_factor: Multiplier,
    /// Rounding, zero point and clamp of the output.
    pub stage: OutputStage,
    /// Constants of [`add_linear`] that give the same sums before the clamp.
    pub linear: Option<[i32; 3]>,
}

impl AddTerms {
    /// Bits that int8 operands are shifted left by before they are scaled.
    pub const LEFT_SHIFT: u32 = 20;

    /// The same for elements of type `dtype`: their differences from the zero point keep within 32 bits.
    pub const fn left_shift(dtype: DType) -> u32 {
        match dtype {
            DType::I8 => Self::LEFT_SHIFT,
            DType::I16 | DType::F16 => 15,
        }
    }

    /// The same with left and right exchanged.
    pub const fn swapped(self) -> Self {
        let ([a, b], [c, d]) = (self.zero_points, self.factors);
        let linear = match self.linear {
            Some([a, b, offset]) => Some([b, a, offset]),
            None => None,
        };
        Self { zero_points: [b, a], factors: [d, c], linear, ..self }
    }
}

/// `left = left + right` by the definition, on the shorter of the two lengths.
#[inline]
pub fn add_rescaled(left: &mut [i8], right: &[i8], terms: &AddTerms) {
    let [left_zero, right_zero] = terms.zero_points;
    let [left_factor, right_factor] = terms.factors;
    let rounding = terms.stage.rounding;
    let scale = |x: i8, zero_point: i32, factor| {
        let centered = i32::from(x).wrapping_sub(zero_point);
        requantize(centered.wrapping_shl(AddTerms::LEFT_SHIFT), factor, rounding)
    };
    let channel = Channel { bias: 0, factor: terms.output_factor };
    for (x, &y) in left.iter_mut().zip(right) {
        let sum = scale(*x, left_zero, left_factor).wrapping_add(scale(y, right_zero, right_factor));
        *x = terms.stage.apply(sum, channel);
    }
}

/// One element of [`add_linear`].
#[inline(always)]
pub const fn linear(a: i8, b: i8, constants: &[i32; 3]) -> i8 {
    let [factor_a, factor_b, offset] = *constants;
    saturate(offset.wrapping_add(over_256(factor_a, a)).wrapping_add(over_256(factor_b, b)) >> 20)
}

/// `factor * x / 256`, rounded down: in two parts, that each fit 32 bits.
#[inline(always)]
const fn over_256(factor: i32, x: i8) -> i32 {
    let x = x as i32;
    (factor >> 8).wrapping_mul(x).wrapping_add(((factor & 255).wrapping_mul(x)) >> 8)
}

/// `a = saturate((A * a / 256 + B * b / 256 + G) >> 20)`, each quotient rounded down: the residual add wherever
/// constants exist that make this right for all 65,536 pairs. Works on the shorter of the two lengths.
pub fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = linear(*a, b, constants);
    }
}
