//! Half precision in the instructions of the floating-point unit of Cortex-M.

use super::blocks::float16::{LANES, Layer};
use super::float16::{f16, widen};
use super::{Backend, Portable};
use crate::sys::arm::float16;
use crate::sys::shapes::Pixels;

/// [`Portable`] and the floating-point unit.
#[derive(Clone, Copy, Debug)]
pub struct Fpu;

impl Backend for Fpu {
    type Base = Portable;

    const NAME: &'static str = "fpu";

    fn f16_spread(from: &[f16], x: &mut [f32]) {
        let even = float16::spread(from, x);
        if let (Some(&last), Some(to)) = (from.get(even), x.get_mut(LANES * even)) {
            *to = widen(last);
        }
    }

    fn f16_gemm(x: &[f32], layer: &Layer<'_>, out: &mut [f16], pixels: Pixels) {
        let &Layer { weights, biases, k, bounds } = layer;
        if !float16::gemm(x, weights, biases, k, [bounds.low, bounds.high], out, pixels) {
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
