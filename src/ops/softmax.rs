//! Softmax over the channels of every pixel, on integers, as TensorFlow Lite's reference kernel computes it.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{pointwise, without};
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::quant::{Multiplier, rounding_divide_by_pot as divide, rounding_doubling_high_mul as multiply};
use crate::tensor::{DType, QuantParams, Shape};
use crate::uses::Linked;

/// Integer bits of the scaled differences that are exponentiated: Q5.26.
const DIFF_BITS: i32 = 5;
/// Integer bits of the sum of exponentials: Q12.19.
const SUM_BITS: i32 = 12;

/// Softmax over the channels; the output always has scale 1/256 and zero point -128.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// `beta * input scale` in Q5.26: takes a difference of inputs to the argument of the exponential. The shift is
    /// not negative. Rounding modes do not differ here.
    pub factor: Multiplier,
    /// Differences from the largest input below this one, which is not positive, give a probability of 0.
    pub diff_min: i32,
}

encoding!(Softmax { factor: multiplier, diff_min: integer });

impl Softmax {
    /// The quantization of the output.
    pub const OUTPUT: QuantParams = QuantParams { scale: 1.0 / 256.0, zero_point: -128 };

    /// `softmax(beta * x)` of an input quantized with `input`, with the constants that TensorFlow Lite computes. `None`
    /// when `beta * scale` is below `2^-26`, negative or not a number.
    pub const fn new(input: QuantParams, beta: f32) -> Option<Self> {
        let scaled = beta as f64 * input.scale as f64 * (1u32 << (31 - DIFF_BITS)) as f64;
        let largest = i32::MAX as f64;
        match Multiplier::from_real(if scaled > largest { largest } else { scaled }) {
            Some(factor) if factor.multiplier != 0 && factor.shift >= 0 => {
                let radius = (((1i64 << DIFF_BITS) - 1) << (31 - DIFF_BITS)) >> factor.shift;
                let radius = if radius > i32::MAX as i64 { i32::MAX } else { radius as i32 };
                Some(Self { factor, diff_min: -radius })
            }
            _ => None,
        }
    }

    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::of_type(&tensors.output, DType::I8));
        attempt!(rules::demand(self.factor.shift >= 0 && self.diff_min <= 0, Fault::Multiplier));
        attempt!(rules::demand(tensors.output.quant.same(Self::OUTPUT), Fault::QuantRule));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    pointwise!();

    without!(constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        elementwise::each_pixel::<i8>(io, rows, |pixel| self.pixel(pixel));
    }

    /// Replaces logits by probabilities.
    fn pixel(&self, channels: &mut [i8]) {
        let largest = i32::from(channels.iter().copied().max().unwrap_or(i8::MIN));
        // The first exponentials are kept, and not taken twice.
        let mut kept = [0; 16];
        let mut places = kept.iter_mut();
        let mut sum = 0i32;
        for &logit in channels.iter() {
            let exp = self.exp(i32::from(logit) - largest);
            sum = sum.saturating_add(divide(exp, SUM_BITS as u32));
            if let Some(place) = places.next() {
                *place = exp;
            }
        }
        let mut kept = kept.iter();
        let (reciprocal, bits_over_one) = reciprocal(sum);
        let exponent = bits_over_one.wrapping_add(31 - 8);
        for channel in channels {
            let exp = kept.next().copied().unwrap_or_else(|| self.exp(i32::from(*channel) - largest));
            // A sum of 512 or more leaves less than half of 1/256 for each; TensorFlow Lite refuses it.
            let probability = if exponent < 32 { divide(multiply(reciprocal, exp), exponent as u32) } else { 0 };
            *channel = probability.saturating_sub(128).clamp(-128, 127) as i8;
        }
    }

    /// The exponential of a difference, Q0.31; 0 when it is too far below the largest to count.
    fn exp(&self, diff: i32) -> i32 {
        if diff < self.diff_min {
            return 0;
        }
        exp_of_negative(multiply(diff.wrapping_shl(self.factor.shift as u32), self.factor.multiplier))
    }
}

/// `e^a` in Q0.31 for `a <= 0` in Q5.26.
fn exp_of_negative(a: i32) -> i32 {
    const QUARTER: i32 = 1 << 24;
    /// `e^-(2^k)` in Q0.31 for k = -2, -1, 0, 1, 2, 3, 4.
    const POWERS: [i32; 7] = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];
    if a == 0 {
        return i32::MAX;
    }
    let fraction = (a & (QUARTER - 1)).wrapping_sub(QUARTER);
    let mut result = exp_of_quarter(fraction.wrapping_shl(DIFF_BITS as u32));
    let quarters = fraction.wrapping_sub(a);
    let mut bit = QUARTER;
    for power in POWERS {
        if quarters & bit != 0 {
            result = multiply(result, power);
        }
        bit = bit.wrapping_shl(1);
    }
    result
}

/// `e^a` in Q0.31 for `-1/4 <= a < 0` in Q0.31: the Taylor polynomial around -1/8.
fn exp_of_quarter(a: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1895147668;
    const THIRD: i32 = 715827883;
    let x = a.wrapping_add(1 << 28);
    let x2 = multiply(x, x);
    let x3 = multiply(x2, x);
    let x4 = multiply(x2, x2);
    let tail = divide(multiply(divide(x4, 2).wrapping_add(x3), THIRD).wrapping_add(x2), 1);
    EXP_MINUS_EIGHTH.wrapping_add(multiply(EXP_MINUS_EIGHTH, x.wrapping_add(tail)))
}

/// The reciprocal of `sum`, which is positive in Q12.19, and the bits by which it was shifted: the mantissa of
/// `sum` is brought to `1 + x` with `x` in `[0, 1)`, and the result is `1 / (1 + x)` in Q0.31.
fn reciprocal(sum: i32) -> (i32, i32) {
    let zeros = sum.leading_zeros();
    let x = (sum as u32).wrapping_shl(zeros).wrapping_sub(1 << 31) as i32;
    (one_over_one_plus(x), SUM_BITS.wrapping_sub(zeros as i32))
}

/// `1 / (1 + a)` in Q0.31 for `0 <= a < 1` in Q0.31, by three Newton-Raphson steps in Q2.29.
fn one_over_one_plus(a: i32) -> i32 {
    const CONSTANT_48_OVER_17: i32 = 1515870810;
    const CONSTANT_MINUS_32_OVER_17: i32 = -1010580540;
    let sum = i64::from(a) + i64::from(i32::MAX);
    let half_denominator = ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32;
    let mut x = CONSTANT_48_OVER_17.wrapping_add(multiply(half_denominator, CONSTANT_MINUS_32_OVER_17));
    for _ in 0..3 {
        let error = (1i32 << 29).wrapping_sub(multiply(half_denominator, x));
        x = x.wrapping_add(shift_left_saturating(multiply(x, error), 2));
    }
    shift_left_saturating(x, 1)
}

/// `x * 2^shift`, saturating; `shift` is small.
fn shift_left_saturating(x: i32, shift: u32) -> i32 {
    i64::from(x).wrapping_shl(shift).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
