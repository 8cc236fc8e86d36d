//! Each pixel over the length of the vector of its channels, on integers as TensorFlow Lite's L2_NORMALIZATION computes it.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{pointwise, without};
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::float16::{f16, widen};
use crate::kernels::Backend;
use crate::kernels::float16::Bounds;
use crate::numbers::Numbers;
use crate::quant::{Clamp, Multiplier, Rounding, inverse_root, requantize};
use crate::tensor::{DType, QuantParams, Shape};
use crate::uses::Linked;

/// `x / sqrt(sum of the squares of all channels)`; of a pixel of zeros zeros. The output has scale 2^-7, or 2^-15 of 16-bit elements, and
/// zero point 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L2Norm {
    /// How quotients are rounded.
    pub rounding: Rounding,
}

encoding!(L2Norm { rounding: rounding });

impl L2Norm {
    /// The quantization of 8-bit outputs.
    pub const OUTPUT: QuantParams = QuantParams { scale: 1.0 / 128.0, zero_point: 0 };
    /// The quantization of 16-bit outputs.
    pub const OUTPUT_INT16: QuantParams = QuantParams { scale: 1.0 / 32768.0, zero_point: 0 };

    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let Operands { a, output, .. } = tensors;
        attempt!(rules::same_type(a, output));
        let scaled = match output.dtype {
            DType::I8 => output.quant.same(Self::OUTPUT),
            DType::I16 => output.quant.same(Self::OUTPUT_INT16),
            DType::F16 => true,
        };
        attempt!(rules::demand(scaled, Fault::QuantRule));
        rules::shape(Some(Self::output_shape(a.shape)), output)
    }

    pointwise!();

    without!(constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let (zero_point, rounding) = (io.tensors.a.quant.zero_point, self.rounding);
        match N::DTYPE {
            DType::I8 => elementwise::each_pixel::<i8>(io, rows, |pixel| {
                let unit = |x: i8| i32::from(x).wrapping_sub(zero_point);
                let factor = factor(pixel.iter().map(|&x| unit(x)), 7);
                let clamp = Clamp::full(DType::I8);
                pixel.iter_mut().for_each(|x| *x = clamp.apply(requantize(unit(*x), factor, rounding)) as i8);
            }),
            DType::I16 => elementwise::each_pixel::<i16>(io, rows, |pixel| {
                let factor = factor(pixel.iter().map(|&x| x.into()), 15);
                let clamp = Clamp::full(DType::I16);
                pixel.iter_mut().for_each(|x| *x = clamp.apply(requantize((*x).into(), factor, rounding)) as i16);
            }),
            DType::F16 => elementwise::each_pixel::<f16>(io, rows, |pixel| {
                let sum = pixel.iter().fold(0.0, |sum, &x| sum + widen(x) * widen(x));
                let factor = inverse_root_of_real(sum);
                pixel.iter_mut().for_each(|x| *x = Bounds::FULL.half(widen(*x) * factor));
            }),
        }
    }
}

/// What each element is multiplied with, for an output in units of `2^-bits`.
fn factor(elements: impl Iterator<Item = i32>, bits: i32) -> Multiplier {
    let sum = elements.fold(0u64, |sum, x| sum.wrapping_add(u64::from(x.unsigned_abs()).pow(2)));
    let Multiplier { multiplier, shift } = inverse_root(sum);
    Multiplier { multiplier, shift: shift.wrapping_add(bits) }
}

/// `1 / sqrt(x)`, by four steps of Newton's method; 0 of 0, and of what is no finite number.
fn inverse_root_of_real(x: f32) -> f32 {
    if !(x > 0.0 && x < f32::INFINITY) {
        return 0.0;
    }
    // Half the exponent, negated, and a mantissa near the right one.
    let mut root = f32::from_bits(0x5f37_59df_u32.wrapping_sub(x.to_bits() >> 1));
    for _ in 0..4 {
        root *= 1.5 - 0.5 * x * root * root;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_roots_are_close() {
        for exponent in -48..40 {
            for step in 0..100u8 {
                let x = (1.0 + f32::from(step) / 100.0) * 2f32.powi(exponent);
                let error = f64::from(inverse_root_of_real(x)) * f64::from(x).sqrt() - 1.0;
                assert!(error.abs() < f64::from(2f32.powi(-21)), "{x}: {error}");
            }
        }
        assert_eq!([0.0, f32::INFINITY, f32::NAN].map(inverse_root_of_real), [0.0; 3]);
    }
}
