//! Softmax over the channels of every pixel, of int16 elements, with interpolated tables as TensorFlow Lite computes it.

use core::ops::Range;

use super::patch::copy_row;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::memory::Element;
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

    pub(super) const fn decode(block: Block<'m>) -> Result<Self, ModelError> {
        let (exp, reciprocal) = (attempt!(block.data(2, 1)), attempt!(block.data(4, 1)));
        match (exp.first_chunk(), reciprocal.first_chunk()) {
            (Some(first), Some(second)) if exp.len() == TABLE && reciprocal.len() == TABLE => {
                Ok(Self { factor: attempt!(params::multiplier(&block, 0)), exp: first, reciprocal: second })
            }
            _ => Err(block.error(2, Fault::Weights)),
        }
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([self.factor.multiplier as u32, self.factor.shift as u32]);
        writer.data(self.exp);
        writer.data(self.reciprocal);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(params::of_type(&tensors.a, DType::I16));
        attempt!(params::of_type(&tensors.output, DType::I16));
        params::demand(Self::output_shape(tensors.a.shape).same(tensors.output.shape), Fault::ShapeRule)
    }

    params::pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [self.exp, self.reciprocal]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        for y in rows.start..rows.end.min(output.shape.h) {
            copy_row(io.memory, &a, &output, y);
            (0..output.shape.w).for_each(|x| self.pixel(i16::of_mut(io.memory.write(output.pixels(y, x, 1)))));
        }
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
