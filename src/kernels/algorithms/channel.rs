//! What the packing functions need to know of an output channel.

use crate::kernels::blocks::requantize;
use crate::quant::Channel;

/// A bound of the magnitude of the bias plus the products of `weights` with any inputs.
pub(super) fn bound(channel: &Channel, weights: &[i8]) -> i64 {
    i64::from(channel.bias).abs() + 128 * weights.iter().map(|&w| i64::from(w).abs()).sum::<i64>()
}

/// The words `{2 * bias, m, c, s}` for accumulators below `bound`, or `None` when the fast requantization would not be
/// exact.
pub(super) fn record(channel: &Channel, zero_out: i8, bound: i64) -> Option<[u32; 4]> {
    let factor = channel.factor;
    // Channels that are never active have factors that make zero of every sum.
    if factor.multiplier == 0 || (factor.shift < -22 && bound < 1 << (-1 - factor.shift)) {
        return Some([0, 0, (1 + 2 * i32::from(zero_out)) as u32, 1]);
    }
    let (c, s) = requantize::constants(factor.multiplier, factor.shift, i32::from(zero_out), bound)?;
    Some([channel.bias.wrapping_mul(2) as u32, factor.multiplier as u32, c as u32, s])
}

/// The words `{bias, multiplier, shift, 0}` for the reference requantization.
pub(super) fn exact_record(channel: &Channel) -> [u32; 4] {
    [channel.bias as u32, channel.factor.multiplier as u32, channel.factor.shift as u32, 0]
}
