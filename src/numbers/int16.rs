//! Int16: TensorFlow Lite's 16x8 scheme, int16 activations and int8 weights, as its reference kernels have it.
//!
//! All zero points are 0. Weights are as in the file, `[output][tap][input]`.

use super::{Numbers, Scaled, bent, combine, rescaled, rescaled_product, rounded_average};
use crate::kernels::{AddTerms, Backend};
use crate::quant::{Channel, Channels, Clamp, Multiplier, OutputStage, Rounding, WideChannel, requantize};
use crate::tensor::{DType, Tensor};

/// Products of an int16 and an int8 whose sum 32 bits hold, whatever they are: `256 * 2^15 * 2^7 = 2^30`.
const EXACT: usize = 256;

pub(crate) enum Int16 {}

impl Numbers for Int16 {
    const DTYPE: DType = DType::I16;

    type Element = i16;
    type Weight = i8;
    type Sum = i64;
    type Stage<'m> = Scaled<'m>;

    #[inline]
    fn add(sum: i64, x: i16) -> i64 {
        sum.wrapping_add(x.into())
    }

    #[inline]
    fn multiply_add(sum: i64, x: i16, w: i8) -> i64 {
        sum.wrapping_add((i32::from(x) * i32::from(w)).into())
    }

    fn stage<'m>(stage: OutputStage, channels: Channels<'m>) -> Scaled<'m> {
        Scaled { stage, channels }
    }

    #[inline(never)]
    fn finish(scaled: &Scaled<'_>, first: usize, sums: &[i64], out: &mut [i16]) {
        let Scaled { stage, .. } = scaled;
        for ((out, &sum), entry) in out.iter_mut().zip(sums).zip(scaled.entries(first)) {
            let value = match stage.rounding {
                Rounding::Wide => WideChannel::from_bytes(entry).apply(sum),
                rounding => {
                    let Channel { bias, factor } = Channel::from_bytes(entry);
                    requantize((sum as i32).wrapping_add(bias), factor, rounding)
                }
            };
            *out = stage.clamp.apply(value) as i16;
        }
    }

    // Sums of pixels are those of 32 bits, as in TensorFlow Lite's kernels.
    fn average(clamp: Clamp) -> impl Fn(i64, u32) -> i16 {
        move |sum, count| clamp.apply(rounded_average(sum as i32, count)) as i16
    }

    fn mean(_: &Tensor, factor: Multiplier, stage: OutputStage) -> impl Fn(i64) -> i16 {
        move |sum| stage.scale(sum as i32, factor) as i16
    }

    fn sum<B: Backend>(left: &mut [i16], right: &[i16], terms: &AddTerms) {
        combine(left, right, |left, right| {
            let [left, right] = rescaled(terms, DType::I16, [left.into(), right.into()]);
            terms.stage.scale(left.wrapping_add(right), terms.output_factor) as i16
        });
    }

    fn difference(terms: &AddTerms) -> impl Fn(i16, i16) -> i16 {
        move |left, right| {
            let [left, right] = rescaled(terms, DType::I16, [left.into(), right.into()]);
            terms.stage.scale(left.wrapping_sub(right), terms.output_factor) as i16
        }
    }

    fn product(zero_points: [i32; 2], factor: Multiplier, stage: OutputStage) -> impl Fn(i16, i16) -> i16 {
        move |left, right| rescaled_product([left.into(), right.into()], zero_points, factor, &stage) as i16
    }

    fn bend(zero_points: [i32; 2], factors: [Multiplier; 2], stage: OutputStage) -> impl Fn(i16, i16) -> i16 {
        move |x, slope| bent([x.into(), slope.into()], zero_points, factors, &stage) as i16
    }

    fn blend(weights: [i32; 4]) -> impl Fn([i16; 4]) -> i16 {
        move |elements| {
            let products = elements.into_iter().zip(weights).map(|(x, weight)| i64::from(x) * i64::from(weight));
            let sum = products.fold(0, i64::wrapping_add);
            let size = (sum.unsigned_abs().wrapping_add(1 << 19) >> 20) as i32;
            (if sum < 0 { size.wrapping_neg() } else { size }) as i16
        }
    }

    /// As many terms at a time as 32 bits hold, of four channels, which is what the registers of a Cortex-M hold.
    #[inline]
    fn dot_1x4<B: Backend>(patch: &[i16], weights: [&[i8]; 4], sums: &mut [i64; 4]) {
        let product = |x: i16, w: i8| i32::from(x) * i32::from(w);
        let mut weights = weights.map(|row| row.chunks(EXACT));
        for patch in patch.chunks(EXACT) {
            let [w0, w1, w2, w3] = weights.each_mut().map(|chunks| chunks.next().unwrap_or_default());
            let [mut s0, mut s1, mut s2, mut s3] = [0i32; 4];
            for ((((&x, &w0), &w1), &w2), &w3) in patch.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
                s0 = s0.wrapping_add(product(x, w0));
                s1 = s1.wrapping_add(product(x, w1));
                s2 = s2.wrapping_add(product(x, w2));
                s3 = s3.wrapping_add(product(x, w3));
            }
            sums.iter_mut().zip([s0, s1, s2, s3]).for_each(|(sum, part)| *sum = sum.wrapping_add(part.into()));
        }
    }
}
