//! The DSP instructions of Armv7E-M (Cortex-M4, M7) and Armv8-M with the extension (M33).

use core::ops::Range;

use super::blocks::Transform;
use super::{Backend, Portable};
use crate::quant::{Channel, OutputStage, Rounding};
use crate::sys::arm::dsp;
use crate::sys::shapes::{Columns, Lines, Pair, Patch, Products, Rows, Strip, TapGrid, Tiles};

/// 16-bit products by twos: `SMLAD` and its like.
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

impl Backend for Dsp {
    #[cfg(kinglet_fpu)]
    type Base = super::fpu::Fpu;
    #[cfg(not(kinglet_fpu))]
    type Base = Portable;

    const NAME: &'static str = "dsp";

    #[inline]
    fn dot_2x4([first, second]: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        [Self::dot_1x4(first, weights), Self::dot_1x4(second, weights)]
    }

    #[inline]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        let (mut sums, whole) = dsp::dot_1x4(patch, weights);
        // Row by row, which takes less code: at most three elements are left.
        let rest = patch.get(whole..).unwrap_or_default();
        for (sum, row) in sums.iter_mut().zip(weights) {
            for (&x, &w) in rest.iter().zip(row.get(whole..).unwrap_or_default()) {
                *sum = sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)));
            }
        }
        sums
    }

    #[inline(always)]
    fn dense(x: &[i8], w: &[i8], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) -> usize {
        if stage.rounding != Rounding::Double {
            return 0;
        }
        let units = dsp::dense(x, w, channels, stage.zero_point, out);
        clamp(out.get_mut(..units).unwrap_or_default(), stage);
        units
    }

    #[inline(always)]
    fn dense_pairs(x: &[i8], w: &[u32], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) {
        if stage.rounding == Rounding::Double {
            dsp::dense_pairs(x, w, channels, stage.zero_point, out);
            clamp(out, stage);
        } else {
            Portable::dense_pairs(x, w, channels, stage, out);
        }
    }

    #[inline(always)]
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        dsp::patch(dst, src, at, patch);
    }

    #[inline(always)]
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        dsp::gemm16(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        dsp::gemm8(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        dsp::gemm_paired(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        dsp::gemm16_acc(x, w, acc);
    }

    #[inline(always)]
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        dsp::gemm8_acc(x, w, acc);
    }

    #[inline(always)]
    fn widen(slab: &mut [u32], w: &[u32]) {
        dsp::widen(slab, w);
    }

    #[inline(always)]
    fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
        dsp::gemm_strip(x, w, records, out, strip);
    }

    #[inline(always)]
    fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
        dsp::rows_paired(x, slab, w, records, out, rows);
    }

    #[inline(always)]
    fn vertical<T: Transform<N>, const N: usize>(src: &[i8], columns: &Columns, t: &mut [u32]) {
        dsp::vertical(T::SCHEME, src, columns, t);
    }

    #[inline(always)]
    fn horizontal<T: Transform<N>, const N: usize>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        dsp::horizontal(T::SCHEME, t, v, at, position, pairs);
    }

    #[inline(always)]
    fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
        dsp::products(v, u, m, products, tiles);
    }

    #[inline(always)]
    fn output<T: Transform<N>, const N: usize>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        dsp::output(T::SCHEME, m, records, relu, out, tiles);
    }

    #[inline(always)]
    fn filter(src: &[u32], u: &mut [u32], at: usize, position: usize) {
        dsp::filter(src, u, at, position);
    }

    #[inline(always)]
    fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
        dsp::depthwise(src, taps, pair, w, records, out);
    }

    #[inline(always)]
    fn depthwise_lines(
        x: &mut [u32],
        input: &[i8],
        w: &[u32; 24],
        records: &[u32; 16],
        out: &mut [i8],
        shape: &Lines,
        lines: Range<usize>,
    ) {
        dsp::depthwise_lines(x, input, w, records, out, shape, lines);
    }

    #[inline(always)]
    fn add_linear(left: &mut [i8], right: &[i8], constants: &[i32; 3]) {
        let whole = dsp::add_linear(left, right, constants);
        let (left, right) = (left.get_mut(whole..).unwrap_or_default(), right.get(whole..).unwrap_or_default());
        Portable::add_linear(left, right, constants);
    }

    #[inline(always)]
    fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
        let whole = dsp::max3(out, a, b, c);
        let (a, b, c) = (a.get(whole..), b.get(whole..), c.get(whole..));
        let out = out.get_mut(whole..).unwrap_or_default();
        Portable::max3(out, a.unwrap_or_default(), b.unwrap_or_default(), c.unwrap_or_default());
    }

    #[inline(always)]
    fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
        let whole = dsp::max_into(acc, a, b);
        let (a, b) = (a.get(whole..).unwrap_or_default(), b.get(whole..).unwrap_or_default());
        Portable::max_into(acc.get_mut(whole..).unwrap_or_default(), a, b);
    }

    #[inline(always)]
    fn clamp(data: &mut [i8], low: i8, high: i8) {
        let whole = dsp::clamp(data, low, high);
        Portable::clamp(data.get_mut(whole..).unwrap_or_default(), low, high);
    }

    #[inline(always)]
    fn copy(to: &mut [i8], from: &[i8]) {
        if !dsp::copy(to, from) {
            Portable::copy(to, from);
        }
    }

    #[inline(always)]
    fn move_down(bytes: &mut [i8], from: usize) {
        dsp::move_down(bytes, from);
    }

    #[inline(always)]
    fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
        dsp::sum4(src, step, pixels, acc);
    }

    #[inline(always)]
    fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
        for (block, acc) in acc.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            dsp::sum4(src.get(block.wrapping_mul(4)..).unwrap_or_default(), step, pixels, acc);
        }
    }
}

/// Clamps saturated outputs, where saturation is not all.
fn clamp(out: &mut [i8], stage: &OutputStage) {
    let (least, greatest) = (stage.clamp.min as i8, stage.clamp.max as i8);
    if [least, greatest] != [i8::MIN, i8::MAX] {
        Dsp::clamp(out, least, greatest);
    }
}
