//! The vector instructions of Armv8.1-M: Helium, of Cortex-M55 and M85.

use super::blocks::Transform;
#[cfg(kinglet_fpu)]
use super::blocks::float16::Layer;
use super::dsp::Dsp;
#[cfg(kinglet_fpu)]
use super::float16::{Bounds, f16};
#[cfg(kinglet_fpu)]
use super::fpu::product;
use super::{AddTerms, Backend, Portable};
use crate::quant::{Channel, OutputStage, Rounding};
#[cfg(kinglet_fpu)]
use crate::sys::arm::float16;
use crate::sys::arm::helium;
use crate::sys::shapes::{Pair, Patch, Products, TapGrid, Tiles};
#[cfg(kinglet_fpu)]
use crate::sys::shapes::{Pixels, Spread};

/// Vectors of 16 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Helium;

impl Backend for Helium {
    type Base = Dsp;

    const NAME: &'static str = "helium";

    // LLVM makes Helium's dot product of the portable loop.
    #[inline]
    fn dot_2x4(patches: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        Portable::dot_2x4(patches, weights)
    }

    #[inline]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        Portable::dot_1x4(patch, weights)
    }

    #[inline(always)]
    fn dense(x: &[i8], w: &[i8], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) -> usize {
        Portable::dense(x, w, channels, stage, out)
    }

    #[inline(always)]
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        if patch.len().is_multiple_of(4) {
            helium::patch(dst, src, at, patch);
        } else {
            Dsp::patch(dst, src, at, patch);
        }
    }

    #[inline(always)]
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        helium::gemm16(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        helium::gemm8(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        helium::gemm16_acc(x, w, acc);
    }

    #[inline(always)]
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        helium::gemm8_acc(x, w, acc);
    }

    #[inline(always)]
    fn patch_bytes(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        helium::patch_bytes(dst, src, at, patch);
    }

    #[inline(always)]
    fn gemm_bytes(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        helium::gemm_bytes(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm_bytes_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        helium::gemm_bytes_acc(x, w, acc);
    }

    #[inline(always)]
    fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
        if helium::takes(products) {
            helium::products(v, u, m, products, tiles);
        } else {
            Dsp::products(v, u, m, products, tiles);
        }
    }

    #[inline(always)]
    fn output<T: Transform<N>, const N: usize>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        helium::output(T::SCHEME, m, records, relu, out, tiles);
    }

    #[inline(always)]
    fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
        helium::depthwise(src, taps, pair, w, records, out);
    }

    #[inline]
    fn add_rescaled(left: &mut [i8], right: &[i8], terms: &AddTerms) {
        let ([a, b], sum, [zero_a, zero_b]) = (terms.factors, terms.output_factor, terms.zero_points);
        let OutputStage { rounding, zero_point, clamp } = terms.stage;
        let [m_a, m_b, m] = [a, b, sum].map(|factor| factor.multiplier);
        let [s_a, s_b, s] = [a, b, sum].map(|factor| factor.shift);
        if rounding == Rounding::Double && [s_a, s_b, s].iter().all(|shift| (-31..=0).contains(shift)) {
            let terms = [zero_a, zero_b, m_a, m_b, m, zero_point, s_a, s_b, s, clamp.min, clamp.max];
            helium::add(left, right, &terms);
        } else {
            Portable::add_rescaled(left, right, terms);
        }
    }

    #[inline(always)]
    fn add_linear(left: &mut [i8], right: &[i8], constants: &[i32; 3]) {
        let whole = helium::add_linear(left, right, constants);
        let (left, right) = (left.get_mut(whole..).unwrap_or_default(), right.get(whole..).unwrap_or_default());
        Portable::add_linear(left, right, constants);
    }

    #[inline(always)]
    fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
        helium::max3(out, a, b, c);
    }

    #[inline(always)]
    fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
        helium::max_into(acc, a, b);
    }

    #[inline(always)]
    fn clamp(data: &mut [i8], low: i8, high: i8) {
        helium::clamp(data, low, high);
    }

    #[inline(always)]
    fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
        helium::sum16(src, step, pixels, acc);
    }

    #[cfg(kinglet_fpu)]
    #[inline(always)]
    fn f16_spread(from: &[f16], spread: &Spread, x: &mut [f32]) {
        float16::spread4(from, spread, x);
    }

    #[cfg(kinglet_fpu)]
    fn f16_gemm(x: &[f32], layer: &Layer<'_>, out: &mut [f16], pixels: Pixels) {
        if !product(x, layer).run(float16::HELIUM, out, pixels) {
            Portable::f16_gemm(x, layer, out, pixels);
        }
    }

    #[cfg(kinglet_fpu)]
    #[inline(always)]
    fn f16_add(left: &mut [f16], right: &[f16], bounds: &Bounds) {
        float16::add(left, right, [bounds.low, bounds.high]);
    }
}
