//! The arithmetic of the operators: one file per element type.
//!
//! Operators are written once, over [`Numbers`]. What the compiler verifies (shapes, scratch, reach) knows elements by their
//! size only, in `const fn`s, which cannot call a trait.

mod float16;
mod int16;
mod int8;

pub(crate) use float16::Float16;
pub(crate) use int8::{Halfwords, Int8};
pub(crate) use int16::Int16;

use crate::kernels::algorithms::pool::Rectangle;
use crate::kernels::blocks::pieces::every;
use crate::kernels::{AddTerms, Backend};
use crate::memory::Element;
use crate::quant::{Channel, Channels, Clamp, Multiplier, OutputStage, requantize};
use crate::tensor::{DType, Tensor};

/// The arithmetic of one element type. All integer arithmetic wraps; floats are added in the order of the elements.
pub(crate) trait Numbers: Sized {
    /// The type in a model file.
    const DTYPE: DType;
    /// Output pixels that a direct convolution computes at a time, 1 or 2: as many patches are gathered in scratch.
    const PATCHES: u32 = 1;

    /// An activation.
    type Element: Element;
    /// A weight.
    type Weight: Element;
    /// A sum of elements or of products.
    type Sum: Copy + Default;
    /// What turns the sums of an operator with weights into its outputs.
    type Stage<'m>: Copy;

    /// `sum + x`.
    fn add(sum: Self::Sum, x: Self::Element) -> Self::Sum;

    /// `sum + x * w`.
    fn multiply_add(sum: Self::Sum, x: Self::Element, w: Self::Weight) -> Self::Sum;

    /// The last stage of an operator with weights, for its table.
    fn stage<'m>(stage: OutputStage, channels: Channels<'m>) -> Self::Stage<'m>;

    /// What the sums of the products of the channels from `first` on start from; they are zeros.
    #[inline]
    fn start(_stage: &Self::Stage<'_>, _first: usize, _sums: &mut [Self::Sum]) {}

    /// The outputs of the channels from `first` on.
    fn finish(stage: &Self::Stage<'_>, first: usize, sums: &[Self::Sum], out: &mut [Self::Element]);

    /// From the sum of a number of elements to their average within the clamp.
    fn average(clamp: Clamp) -> impl Fn(Self::Sum, u32) -> Self::Element;

    /// From the sum of all pixels of `input` to the mean, rescaled by `factor`, which has their number in it.
    fn mean(input: &Tensor, factor: Multiplier, stage: OutputStage) -> impl Fn(Self::Sum) -> Self::Element;

    /// `left = left + right`, rescaled.
    fn sum<B: Backend>(left: &mut [Self::Element], right: &[Self::Element], terms: &AddTerms);

    /// `left - right`, rescaled.
    fn difference(terms: &AddTerms) -> impl Fn(Self::Element, Self::Element) -> Self::Element;

    /// `left * right`, rescaled by `factor`.
    fn product(
        zero_points: [i32; 2],
        factor: Multiplier,
        stage: OutputStage,
    ) -> impl Fn(Self::Element, Self::Element) -> Self::Element;

    /// `x` where it is not negative, rescaled by the first factor, else `x * slope`, by the second; zero points are those of both.
    fn bend(
        zero_points: [i32; 2],
        factors: [Multiplier; 2],
        stage: OutputStage,
    ) -> impl Fn(Self::Element, Self::Element) -> Self::Element;

    /// The mean of four elements with these weights, which are not negative and add up to 2^20; of integers rounded half away from
    /// zero.
    fn blend(weights: [i32; 4]) -> impl Fn([Self::Element; 4]) -> Self::Element;

    /// The first channels of a patch with weights `[channel][input]`, and how many that are: what an instruction set has a loop for.
    #[inline]
    fn dense<B: Backend>(
        _stage: &Self::Stage<'_>,
        _patch: &[Self::Element],
        _weights: &[Self::Weight],
        _out: &mut [Self::Element],
    ) -> usize {
        0
    }

    /// All channels of a patch with the weights of two of them together, which int8 alone has.
    #[inline]
    fn dense_pairs<B: Backend>(
        _stage: &Self::Stage<'_>,
        _patch: &[Self::Element],
        _weights: &[u32],
        _out: &mut [Self::Element],
    ) {
    }

    /// Adds the products of a patch with four channels' weights to `sums`.
    #[inline]
    fn dot_1x4<B: Backend>(patch: &[Self::Element], weights: [&[Self::Weight]; 4], sums: &mut [Self::Sum; 4]) {
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = patch.iter().zip(weights).fold(*sum, |sum, (&x, &w)| Self::multiply_add(sum, x, w));
        }
    }

    /// Adds the products of two patches with four channels' weights to `sums`.
    #[inline]
    fn dot_2x4<B: Backend>(
        patches: [&[Self::Element]; 2],
        weights: [&[Self::Weight]; 4],
        sums: &mut [[Self::Sum; 4]; 2],
    ) {
        patches.into_iter().zip(sums).for_each(|(patch, sums)| Self::dot_1x4::<B>(patch, weights, sums));
    }

    /// Adds to `sums[c]` the products `patch[t * inputs + c] * weights[t * outputs + c]` of all taps `t`.
    #[inline]
    fn multiply_taps(
        patch: &[Self::Element],
        weights: &[Self::Weight],
        [inputs, outputs]: [usize; 2],
        sums: &mut [Self::Sum],
    ) {
        for (patch, weights) in every(patch, inputs).zip(every(weights, outputs)) {
            for ((sum, &x), &w) in sums.iter_mut().zip(patch).zip(weights) {
                *sum = Self::multiply_add(*sum, x, w);
            }
        }
    }

    /// Adds each channel of the pixels to its sum.
    #[inline]
    fn add_pixels<B: Backend>(pixels: &Rectangle<'_>, sums: &mut [Self::Sum]) {
        for pixel in pixels.iter() {
            sums.iter_mut().zip(Self::Element::of(pixel)).for_each(|(sum, &x)| *sum = Self::add(*sum, x));
        }
    }
}

/// The last stage of integers: what all channels have in common, and the table of each one's bias and factor.
#[derive(Clone, Copy)]
pub(crate) struct Scaled<'m> {
    stage: OutputStage,
    channels: Channels<'m>,
}

impl<'m> Scaled<'m> {
    /// The table from channel `first` on.
    fn entries(&self, first: usize) -> &'m [[u8; Channel::BYTES]] {
        self.channels.entries().get(first..).unwrap_or_default()
    }
}

/// `left = f(left, right)`, element by element.
#[inline]
pub(crate) fn combine<E: Copy>(left: &mut [E], right: &[E], f: impl Fn(E, E) -> E) {
    left.iter_mut().zip(right).for_each(|(left, &right)| *left = f(*left, right));
}

/// Both operands of an integer sum or difference on the scale of its result.
#[inline]
fn rescaled(terms: &AddTerms, dtype: DType, operands: [i32; 2]) -> [i32; 2] {
    let scale = |operand: i32, zero_point: i32, factor| {
        let shifted = operand.wrapping_sub(zero_point).wrapping_shl(AddTerms::left_shift(dtype));
        requantize(shifted, factor, terms.stage.rounding)
    };
    let ([left, right], [a, b], [f, g]) = (operands, terms.zero_points, terms.factors);
    [scale(left, a, f), scale(right, b, g)]
}

/// The product of two integers, rescaled.
#[inline]
fn rescaled_product([left, right]: [i32; 2], [a, b]: [i32; 2], factor: Multiplier, stage: &OutputStage) -> i32 {
    stage.scale(left.wrapping_sub(a).wrapping_mul(right.wrapping_sub(b)), factor)
}

/// An integer, rescaled, times a slope where it is negative.
#[inline]
fn bent([x, slope]: [i32; 2], [a, b]: [i32; 2], [factor, negative]: [Multiplier; 2], stage: &OutputStage) -> i32 {
    let x = x.wrapping_sub(a);
    if x < 0 { stage.scale(x.wrapping_mul(slope.wrapping_sub(b)), negative) } else { stage.scale(x, factor) }
}

/// `sum / count`, half away from zero; `count = 0` counts as 1.
const fn rounded_average(sum: i32, count: u32) -> i32 {
    let count = if count == 0 { 1 } else { count };
    let size = sum.unsigned_abs().wrapping_add(count / 2) / count;
    if sum < 0 { (size as i32).wrapping_neg() } else { size as i32 }
}
