//! Half precision: stored in 16 bits, computed in single precision in a fixed order, each operation rounded by itself.
//!
//! Rounding modes, factors and zero points mean nothing here. An operator's table holds biases in single precision.

use super::Numbers;
use crate::kernels::float16::{Bounds, f16, widen};
use crate::kernels::{AddTerms, Backend};
use crate::quant::{Channels, Clamp, Multiplier, OutputStage};
use crate::tensor::{DType, Tensor};

pub(crate) enum Float16 {}

/// The biases of all channels and the range of the output.
#[derive(Clone, Copy)]
pub(crate) struct Biases<'m> {
    biases: &'m [[u8; 4]],
    bounds: Bounds,
}

impl Numbers for Float16 {
    const DTYPE: DType = DType::F16;

    type Element = f16;
    type Weight = f16;
    type Sum = f32;
    type Stage<'m> = Biases<'m>;

    #[inline]
    fn add(sum: f32, x: f16) -> f32 {
        sum + widen(x)
    }

    #[inline]
    fn multiply_add(sum: f32, x: f16, w: f16) -> f32 {
        sum + widen(x) * widen(w)
    }

    fn stage<'m>(stage: OutputStage, channels: Channels<'m>) -> Biases<'m> {
        let (biases, _) = channels.bytes().as_chunks();
        Biases { biases, bounds: Bounds::of(stage.clamp) }
    }

    #[inline]
    fn start(stage: &Biases<'_>, first: usize, sums: &mut [f32]) {
        let biases = stage.biases.get(first..).unwrap_or_default();
        sums.iter_mut().zip(biases).for_each(|(sum, &bias)| *sum = f32::from_le_bytes(bias));
    }

    #[inline]
    fn finish(stage: &Biases<'_>, _: usize, sums: &[f32], out: &mut [f16]) {
        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = stage.bounds.half(sum));
    }

    fn average(clamp: Clamp) -> impl Fn(f32, u32) -> f16 {
        let bounds = Bounds::of(clamp);
        move |sum, count| bounds.half(sum / count.max(1) as f32)
    }

    fn mean(input: &Tensor, _: Multiplier, stage: OutputStage) -> impl Fn(f32) -> f16 {
        let (average, pixels) = (Self::average(stage.clamp), input.shape.h.wrapping_mul(input.shape.w));
        move |sum| average(sum, pixels)
    }

    fn sum<B: Backend>(left: &mut [f16], right: &[f16], terms: &AddTerms) {
        B::f16_add(left, right, &Bounds::of(terms.stage.clamp));
    }

    fn difference(terms: &AddTerms) -> impl Fn(f16, f16) -> f16 {
        let bounds = Bounds::of(terms.stage.clamp);
        move |left, right| bounds.half(widen(left) - widen(right))
    }

    fn product(_: [i32; 2], _: Multiplier, stage: OutputStage) -> impl Fn(f16, f16) -> f16 {
        let bounds = Bounds::of(stage.clamp);
        move |left, right| bounds.half(widen(left) * widen(right))
    }

    fn bend(_: [i32; 2], _: [Multiplier; 2], stage: OutputStage) -> impl Fn(f16, f16) -> f16 {
        let bounds = Bounds::of(stage.clamp);
        move |x, slope| {
            let x = widen(x);
            bounds.half(if x < 0.0 { x * widen(slope) } else { x })
        }
    }

    fn blend(weights: [i32; 4]) -> impl Fn([f16; 4]) -> f16 {
        // Exact: a weight has at most 21 bits.
        let weights = weights.map(|weight| weight as f32 / (1 << 20) as f32);
        move |elements| {
            let products = elements.into_iter().zip(weights).map(|(x, weight)| widen(x) * weight);
            Bounds::FULL.half(products.fold(0.0, |sum, product| sum + product))
        }
    }

    #[inline]
    fn dot_1x4<B: Backend>(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) {
        B::dot_f16_1x4(patch, weights, sums);
    }
}
