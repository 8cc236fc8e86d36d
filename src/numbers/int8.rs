//! Int8: TensorFlow Lite's quantization of 8 bits, with zero points.

use core::marker::PhantomData;

use super::{Numbers, Scaled, bent, rescaled, rescaled_product, rounded_average};
use crate::kernels::algorithms::{add, pool};
use crate::kernels::blocks::requantize;
use crate::kernels::{AddTerms, Backend};
use crate::memory::Element;
use crate::quant::{Channel, Channels, Clamp, Multiplier, OutputStage, Rounding};
use crate::tensor::{DType, Tensor};

/// int8 elements, and weights `W`.
pub(crate) struct Bytes<W>(PhantomData<W>);

/// Weights of one byte.
pub(crate) type Int8 = Bytes<i8>;

/// Weights of two bytes, of which 9 bits count.
pub(crate) type Halfwords = Bytes<i16>;

/// A weight of int8 elements, and the loops that there are for it.
pub(crate) trait Weight: Element + Into<i32> {
    /// A product with an element.
    #[inline]
    fn times(self, x: i8) -> i32 {
        self.into() * i32::from(x)
    }

    /// The first channels of a dense layer, and how many that are.
    #[inline]
    fn dense<B: Backend>(_scaled: &Scaled<'_>, _patch: &[i8], _weights: &[Self], _out: &mut [i8]) -> usize {
        0
    }

    /// Products of a patch with four channels' weights.
    #[inline]
    fn products<B: Backend>(patch: &[i8], weights: [&[Self]; 4]) -> [i32; 4] {
        weights.map(|row| patch.iter().zip(row).fold(0, |sum: i32, (&x, w)| sum.wrapping_add(w.times(x))))
    }

    /// The same of two patches.
    #[inline]
    fn products_of_two<B: Backend>(patches: [&[i8]; 2], weights: [&[Self]; 4]) -> [[i32; 4]; 2] {
        patches.map(|patch| Self::products::<B>(patch, weights))
    }
}

impl Weight for i16 {}

impl Weight for i8 {
    #[inline]
    fn dense<B: Backend>(scaled: &Scaled<'_>, patch: &[i8], weights: &[i8], out: &mut [i8]) -> usize {
        B::dense(patch, weights, scaled.entries(0), &scaled.stage, out)
    }

    #[inline]
    fn products<B: Backend>(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        B::dot_1x4(patch, weights)
    }

    #[inline]
    fn products_of_two<B: Backend>(patches: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        B::dot_2x4(patches, weights)
    }
}

impl<W: Weight> Numbers for Bytes<W> {
    const DTYPE: DType = DType::I8;
    const PATCHES: u32 = 2;

    type Element = i8;
    type Weight = W;
    type Sum = i32;
    type Stage<'m> = Scaled<'m>;

    #[inline]
    fn add(sum: i32, x: i8) -> i32 {
        sum.wrapping_add(x.into())
    }

    #[inline]
    fn multiply_add(sum: i32, x: i8, w: W) -> i32 {
        sum.wrapping_add(w.times(x))
    }

    fn stage<'m>(stage: OutputStage, channels: Channels<'m>) -> Scaled<'m> {
        Scaled { stage, channels }
    }

    // Once in the program, for it is long.
    #[inline(never)]
    fn finish(scaled: &Scaled<'_>, first: usize, sums: &[i32], out: &mut [i8]) {
        for ((out, &sum), entry) in out.iter_mut().zip(sums).zip(scaled.entries(first)) {
            *out = scaled.stage.apply(sum, Channel::from_bytes(entry));
        }
    }

    fn average(clamp: Clamp) -> impl Fn(i32, u32) -> i8 {
        move |sum, count| clamp.apply(rounded_average(sum, count)) as i8
    }

    fn mean(input: &Tensor, factor: Multiplier, stage: OutputStage) -> impl Fn(i32) -> i8 {
        let pixels = input.shape.h.wrapping_mul(input.shape.w);
        let offset = input.quant.zero_point.wrapping_mul(pixels as i32).wrapping_neg();
        // All channels share the factor: what the five instructions need of it is found once.
        let constants = match stage.rounding {
            Rounding::Double => {
                let bound = i64::from(pixels) * 256;
                requantize::constants(factor.multiplier, factor.shift, stage.zero_point, bound)
            }
            _ => None,
        };
        move |sum| match constants {
            Some((c, s)) => requantize::fast(sum.wrapping_add(offset).wrapping_shl(1), factor.multiplier, c, s),
            None => stage.apply(sum, Channel { bias: offset, factor }),
        }
    }

    #[inline]
    fn sum<B: Backend>(left: &mut [i8], right: &[i8], terms: &AddTerms) {
        add::add::<B>(left, right, terms);
    }

    fn difference(terms: &AddTerms) -> impl Fn(i8, i8) -> i8 {
        move |left, right| {
            let [left, right] = rescaled(terms, DType::I8, [left.into(), right.into()]);
            terms.stage.scale(left.wrapping_sub(right), terms.output_factor) as i8
        }
    }

    fn product(zero_points: [i32; 2], factor: Multiplier, stage: OutputStage) -> impl Fn(i8, i8) -> i8 {
        move |left, right| rescaled_product([left.into(), right.into()], zero_points, factor, &stage) as i8
    }

    fn bend(zero_points: [i32; 2], factors: [Multiplier; 2], stage: OutputStage) -> impl Fn(i8, i8) -> i8 {
        move |x, slope| bent([x.into(), slope.into()], zero_points, factors, &stage) as i8
    }

    fn blend(weights: [i32; 4]) -> impl Fn([i8; 4]) -> i8 {
        move |elements| {
            let products = elements.into_iter().zip(weights).map(|(x, weight)| i32::from(x).wrapping_mul(weight));
            let sum = products.fold(0, i32::wrapping_add);
            let size = (sum.unsigned_abs().wrapping_add(1 << 19) >> 20) as i32;
            (if sum < 0 { size.wrapping_neg() } else { size }) as i8
        }
    }

    #[inline]
    fn dense<B: Backend>(scaled: &Scaled<'_>, patch: &[i8], weights: &[W], out: &mut [i8]) -> usize {
        W::dense::<B>(scaled, patch, weights, out)
    }

    #[inline]
    fn dense_pairs<B: Backend>(scaled: &Scaled<'_>, patch: &[i8], weights: &[u32], out: &mut [i8]) {
        B::dense_pairs(patch, weights, scaled.entries(0), &scaled.stage, out);
    }

    #[inline]
    fn dot_1x4<B: Backend>(patch: &[i8], weights: [&[W]; 4], sums: &mut [i32; 4]) {
        let products = W::products::<B>(patch, weights);
        sums.iter_mut().zip(products).for_each(|(sum, product)| *sum = sum.wrapping_add(product));
    }

    #[inline]
    fn dot_2x4<B: Backend>(patches: [&[i8]; 2], weights: [&[W]; 4], sums: &mut [[i32; 4]; 2]) {
        let products = W::products_of_two::<B>(patches, weights);
        let pairs = sums.as_flattened_mut().iter_mut().zip(products.as_flattened());
        pairs.for_each(|(sum, &product)| *sum = sum.wrapping_add(product));
    }

    #[inline]
    fn add_pixels<B: Backend>(pixels: &pool::Rectangle<'_>, sums: &mut [i32]) {
        pool::sum::<B>(pixels, sums);
    }
}
