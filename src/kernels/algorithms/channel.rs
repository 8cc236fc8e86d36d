//! What the packing functions need to know of an output channel.

use crate::kernels::blocks::requantize;

/// Bias and requantization of an output channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The bias minus the input's zero point times the sum of the weights: what is added to the sum of the products of
    /// the weights with the quantized inputs as they are.
    pub bias: i32,
    /// TensorFlow Lite's multiplier, in 31 fractional bits.
    pub multiplier: i32,
    /// TensorFlow Lite's shift, positive to the left.
    pub shift: i32,
}

impl Channel {
    /// A bound of the magnitude of `bias` plus the products of `weights` with any inputs.
    pub fn bound(&self, weights: impl Iterator<Item = i8>) -> i64 {
        i64::from(self.bias).abs() + 128 * weights.map(|w| i64::from(w).abs()).sum::<i64>()
    }

    /// The words `{2 * bias, m, c, s}` for accumulators below `bound`, or `None` when the fast requantization would not
    /// be exact.
    pub fn record(&self, zero_out: i8, bound: i64) -> Option<[u32; 4]> {
        let (c, s) = requantize::constants(self.multiplier, self.shift, i32::from(zero_out), bound)?;
        Some([self.bias.wrapping_mul(2) as u32, self.multiplier as u32, c as u32, s])
    }

    /// The words `{bias, multiplier, shift, 0}` for requantization by the book.
    pub fn exact_record(&self) -> [u32; 4] {
        [self.bias as u32, self.multiplier as u32, self.shift as u32, 0]
    }
}
