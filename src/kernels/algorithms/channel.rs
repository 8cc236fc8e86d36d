//! What packed weights need to know of an output channel.

use crate::kernels::blocks::requantize;
use crate::quant::{self, Channel, Rounding};

/// A bound of the magnitude of the products of `weights` with any inputs.
#[cfg(feature = "std")]
pub(super) fn bound(weights: &[i8]) -> i64 {
    128 * weights.iter().map(|&w| i64::from(w).abs()).sum::<i64>()
}

/// The words `{2 * bias, m, c, s}` for sums of products of at most `bound`, or `None` when the fast requantization would not be exact.
/// It takes accumulators, with their bias, below `limit`.
pub(super) fn record(channel: &Channel, zero_out: i8, bound: i64, limit: i64) -> Option<[u32; 4]> {
    let (factor, zero_out) = (channel.factor, i32::from(zero_out));
    let greatest = i64::from(channel.bias).abs() + bound;
    if greatest < limit
        && let Some((c, s)) = requantize::constants(factor.multiplier, factor.shift, zero_out, greatest)
    {
        return Some([channel.bias.wrapping_mul(2) as u32, factor.multiplier as u32, c as u32, s]);
    }
    let output = constant(channel, bound)?.saturating_add(zero_out).clamp(-128, 127);
    Some([0, 0, (1 + 2 * output) as u32, 1])
}

/// What becomes of every sum of at most `bound`, if that is one number: channels that are never active have such factors, with biases of
/// up to 2^31.
fn constant(channel: &Channel, bound: i64) -> Option<i32> {
    let scaled = |sum: i64| Some(quant::requantize(i32::try_from(sum).ok()?, channel.factor, Rounding::Double));
    let (least, greatest) = (scaled(i64::from(channel.bias) - bound)?, scaled(i64::from(channel.bias) + bound)?);
    // Only left shifts wrap; without them greater sums give greater numbers, or the same.
    (channel.factor.shift <= 0 && least == greatest).then_some(least)
}

/// The words `{bias, multiplier, shift, 0}` for the reference requantization.
pub(super) fn exact_record(channel: &Channel) -> [u32; 4] {
    [channel.bias as u32, channel.factor.multiplier as u32, channel.factor.shift as u32, 0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quant::{Clamp, Multiplier, OutputStage};
    use crate::tensor::DType;

    fn apply(sum: i32, channel: Channel, zero_out: i8) -> i8 {
        let stage =
            OutputStage { rounding: Rounding::Double, zero_point: zero_out.into(), clamp: Clamp::full(DType::I8) };
        stage.apply(sum, channel)
    }

    #[test]
    fn channels_that_are_never_active_have_a_record() {
        for (shift, output) in [(-31, -128), (-28, -126), (-24, -96)] {
            let factor = Multiplier { multiplier: 1 << 30, shift };
            let channel = Channel { bias: 1 << 30, factor };
            let record = record(&channel, -128, 0, 1 << 30).unwrap();
            assert_eq!([requantize::with_record(0, &record), apply(0, channel, -128)], [output; 2], "{shift}");
        }
        // Its outputs are of two kinds.
        let channel = Channel { bias: 1 << 30, factor: Multiplier { multiplier: 1 << 30, shift: -28 } };
        assert_eq!(record(&channel, 0, 1 << 29, 1 << 30), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 20 } else { 2_000 }))]
        #[test]
        fn records_are_exact(
            bias in prop_oneof![any::<i32>(), -1000i32..1000],
            multiplier in prop_oneof![(1 << 30)..=i32::MAX, Just(0)],
            shift in -31i32..=2,
            zero_out: i8,
            (bound, sum) in (0u32..31).prop_flat_map(|bits| 0i64..1 << bits).prop_flat_map(|bound| (Just(bound), -bound..=bound)),
        ) {
            let channel = Channel { bias, factor: Multiplier { multiplier, shift } };
            if let Some(record) = record(&channel, zero_out, bound, 1 << 30) {
                let sum = sum as i32;
                prop_assert_eq!(requantize::with_record(sum, &record), apply(sum, channel, zero_out));
            }
        }
    }
}
