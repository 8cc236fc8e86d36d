//! Softmax over the channels of every pixel, in half precision.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{pointwise, without};
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::float16::{f16, from_ordinal, ordinal, widen};
use crate::kernels::Backend;
use crate::kernels::float16::Bounds;
use crate::numbers::Numbers;
use crate::tensor::{DType, Shape};
use crate::uses::Linked;

/// Exponentials of a pixel that are kept; those of more channels are taken twice.
const KEPT: usize = 16;

/// `softmax(beta * x)` over the channels. Exponentials are those of a polynomial, within 2^-22 of the true ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftmaxFloat16 {
    /// What the inputs are multiplied with; positive and finite.
    pub beta: f32,
}

encoding!(SoftmaxFloat16 { beta: float });

impl SoftmaxFloat16 {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    /// Whether `beta` is positive and finite.
    pub const fn is_valid(&self) -> bool {
        self.beta > 0.0 && self.beta.is_finite()
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::of_type(&tensors.output, DType::F16));
        attempt!(rules::demand(self.is_valid(), Fault::Multiplier));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    pointwise!();

    without!(constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        elementwise::each_pixel::<f16>(io, rows, |pixel| self.pixel(pixel));
    }

    /// Replaces logits by probabilities.
    fn pixel(&self, channels: &mut [f16]) {
        let largest = widen(from_ordinal(channels.iter().map(|&x| ordinal(x)).max().unwrap_or(0)));
        let exponential = |x: f16| exp((widen(x) - largest) * self.beta);
        let mut kept = [0.0; KEPT];
        let mut places = kept.iter_mut();
        let mut sum = 0.0;
        for &x in channels.iter() {
            let power = exponential(x);
            sum += power;
            if let Some(place) = places.next() {
                *place = power;
            }
        }
        let mut kept = kept.iter();
        for x in channels {
            let power = kept.next().copied().unwrap_or_else(|| exponential(*x));
            *x = Bounds::FULL.half(power / sum);
        }
    }
}

/// `e^x` for `x <= 0`; 0 below -87, where it is less than any half.
fn exp(x: f32) -> f32 {
    /// `ln 2` in two parts, of which the first has few enough bits that its products with exponents are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// 1/n!, the highest power first.
    const TERMS: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    if x < -87.0 {
        return 0.0;
    }
    let exponent = (x * core::f32::consts::LOG2_E - 0.5) as i32;
    let rest = x - exponent as f32 * LN_2[0] - exponent as f32 * LN_2[1];
    let mantissa = TERMS.iter().fold(0.0, |sum: f32, &term| sum * rest + term);
    mantissa * f32::from_bits((exponent.wrapping_add(127) as u32).wrapping_shl(23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_close() {
        for step in (0..87_000).step_by(if cfg!(miri) { 997 } else { 1 }) {
            let x = step as f32 * -1e-3;
            let (found, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / right - 1.0).abs() < f64::from(2f32.powi(-22)), "{x}: {found} {right}");
        }
        assert_eq!((exp(0.0), exp(-88.0), exp(f32::MIN)), (1.0, 0.0, 0.0));
    }
}
