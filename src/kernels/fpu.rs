//! Half precision in the instructions of the floating-point unit of Cortex-M.

use super::blocks::float16::Layer;
use super::float16::f16;
use super::{Backend, Portable};
use crate::sys::arm::float16::{self, Product};
use crate::sys::shapes::{Pixels, Spread};

/// What the kernels take.
#[inline(always)]
pub(super) fn product<'a>(x: &'a [f32], layer: &Layer<'a>) -> Product<'a> {
    let &Layer { weights, biases, k, bounds } = layer;
    Product { x, weights, biases, k, range: [bounds.low, bounds.high] }
}

/// [`Portable`] and the floating-point unit.
#[derive(Clone, Copy, Debug)]
pub struct Fpu;

impl Backend for Fpu {
    type Base = Portable;

    const NAME: &'static str = "fpu";

    fn f16_spread(from: &[f16], spread: &Spread, x: &mut [f32]) {
        float16::spread(from, spread, x);
    }

    fn f16_gemm(x: &[f32], layer: &Layer<'_>, out: &mut [f16], pixels: Pixels) {
        if !product(x, layer).run(float16::FPU, out, pixels) {
            Portable::f16_gemm(x, layer, out, pixels);
        }
    }

    #[inline]
    fn dot_f16_1x4(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) {
        let even = float16::dot_1x4(patch, weights, sums);
        let rest = weights.map(|row| row.get(even..).unwrap_or_default());
        Portable::dot_f16_1x4(patch.get(even..).unwrap_or_default(), rest, sums);
    }
}
