//! Softmax over the channels of every pixel, of int16 elements, with interpolated tables as TensorFlow Lite computes it.

use core::ops::Range;

use super::encoding::encoding;
use super::members::pointwise;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::quant::{Multiplier, Rounding, requantize};
use crate::tensor::{DType, QuantParams, Shape};
use crate::uses::Linked;

/// Bytes of a table.
const TABLE: usize = 2 * 513;

/// Softmax over the channels; the output has scale 2^-15.
///
/// A table has 513 little-endian values in Q0.15, the function at 512 equal steps and at the end of its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftmaxInt16<'m> {
    /// `beta * input scale / (10 / 65535)`: takes differences of inputs to steps of 10/65535.
    pub factor: Multiplier,
    /// `e^x` for x in -10 to 0.
    pub exp: &'m [u8; TABLE],
    /// `1 / (1 + x)` for x in 0 to 1.
    pub reciprocal: &'m [u8; TABLE],
}

encoding!(SoftmaxInt16<'m> { factor: multiplier, exp: table, reciprocal: table });

impl<'m> SoftmaxInt16<'m> {
    /// The factor for an input quantized with `input`, as TensorFlow Lite computes it. `None` when `beta` is negative
    /// or not a number.
    pub const fn factor(input: QuantParams, beta: f32) -> Option<Multiplier> {
        Multiplier::from_real(input.scale as f64 * beta as f64 / (10.0 / 65535.0))
    }

    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::of_type(&tensors.output, DType::I16));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [self.exp, self.reciprocal]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        elementwise::each_pixel::<i16>(io, rows, |pixel| self.pixel(pixel));
    }

    /// Replaces logits by probabilities.
    fn pixel(&self, channels: &mut [i16]) {
        let largest = i32::from(channels.iter().copied().max().unwrap_or(0));
        let mut sum = 0i32;
        for channel in &mut *channels {
            let difference = i32::from(*channel).wrapping_sub(largest);
            let scaled = requantize(difference, self.factor, Rounding::Double);
            *channel = interpolate(self.exp, scaled.saturating_add(32767));
            sum = sum.wrapping_add((*channel).into());
        }
        // The sum, Q16.15, is brought to 1 + x with x in 0 to 1, in Q1.16.
        let zeros = sum.leading_zeros();
        let mantissa = i64::from(sum).wrapping_shl(zeros.wrapping_sub(1)).wrapping_add(1 << 13).wrapping_shr(14) as i32;
        let reciprocal = i64::from(interpolate(self.reciprocal, mantissa.wrapping_sub((1 << 15) + (1 << 16))));
        let shift = 31u32.wrapping_sub(zeros);
        let half = 1i64.wrapping_shl(shift.wrapping_sub(1));
        for channel in channels {
            let scaled = i64::from(*channel).wrapping_mul(reciprocal).wrapping_add(half).wrapping_shr(shift);
            *channel = scaled.clamp(0, 32767) as i16;
        }
    }
}

/// The value of a table at `x`, cut to an int16, whose upper nine bits choose the entry.
fn interpolate(table: &[u8], x: i32) -> i16 {
    let x = x.clamp(i16::MIN.into(), i16::MAX.into());
    let (entries, _) = table.as_chunks::<2>();
    let at = (256 + (x >> 7)) as usize;
    let entry = |at: usize| entries.get(at).map_or(0, |&bytes| i32::from(i16::from_le_bytes(bytes)));
    let (low, high) = (entry(at), entry(at.wrapping_add(1)));
    let slope = i32::from(high.wrapping_sub(low) as i16);
    low.wrapping_add(slope.wrapping_mul(x & 0x7f).wrapping_add(64) >> 7) as i16
}
