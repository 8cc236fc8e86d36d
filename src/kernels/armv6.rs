//! The 16-bit Thumb instructions of Armv6-M (Cortex-M0, M0+) and of Armv8-M's baseline (M23): a compiler spills their few registers.

use super::blocks::{Transform, gemm};
use super::{Backend, Portable};
use crate::sys::armv6;
use crate::sys::shapes::{Columns, Pair, Patch, Products, Rows, Scheme, Strip, TapGrid, Tiles};

/// Products of 32 bits, one by one, in loops that keep to the registers.
#[derive(Clone, Copy, Debug)]
pub struct Armv6;

impl Backend for Armv6 {
    type Base = Portable;

    const NAME: &'static str = "armv6";

    #[inline(always)]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        armv6::dot_1x4(patch, weights)
    }

    #[inline(always)]
    fn dot_2x4([first, second]: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        [armv6::dot_1x4(first, weights), armv6::dot_1x4(second, weights)]
    }

    #[inline(always)]
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        if !armv6::patch(dst, src, at, patch) {
            Portable::patch(dst, src, at, patch);
        }
    }

    #[inline]
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::requantized(x, w, 4, records, out, second, |x, w, records, out, at| {
            armv6::quantized(&armv6::block16(x, w), records, out, at);
        });
    }

    #[inline]
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::requantized(x, w, 2, records, out, second, |x, w, records, out, at| {
            armv6::quantized(&armv6::block8(x, w), records, out, at);
        });
    }

    #[inline(always)]
    fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        paired(x, x.len(), w, records, out, &Rows::pair(x.len(), second, records.len()));
    }

    #[inline(always)]
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        armv6::gemm16_acc(x, w, acc);
    }

    #[inline(always)]
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        armv6::gemm8_acc(x, w, acc);
    }

    #[inline]
    fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
        gemm::strip_by(x, w, records, out, strip, |x, w, records, out, at| {
            armv6::quantized(&armv6::block16(x, w), records, out, at);
        });
    }

    #[inline(always)]
    fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
        paired(x, slab.len(), w, records, out, rows);
    }

    #[inline(always)]
    fn vertical<T: Transform<N>, const N: usize>(src: &[i8], columns: &Columns, t: &mut [u32]) {
        match T::SCHEME {
            Scheme::F4 => armv6::vertical4(src, columns, t),
            Scheme::S2 => armv6::stride2_vertical(src, columns, t),
            Scheme::F2 => Portable::vertical::<T, N>(src, columns, t),
        }
    }

    #[inline(always)]
    fn horizontal<T: Transform<N>, const N: usize>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        match T::SCHEME {
            Scheme::F4 => armv6::horizontal4(t, v, at, position, pairs),
            Scheme::S2 => armv6::stride2_horizontal(t, v, at, position, pairs),
            Scheme::F2 => Portable::horizontal::<T, N>(t, v, at, position, pairs),
        }
    }

    #[inline]
    fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
        armv6::products(v, u, m, products, tiles);
    }

    #[inline(always)]
    fn output<T: Transform<N>, const N: usize>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        match T::SCHEME {
            Scheme::F4 => armv6::output4(m, records, relu, out, tiles),
            Scheme::F2 | Scheme::S2 => Portable::output::<T, N>(m, records, relu, out, tiles),
        }
    }

    #[inline(always)]
    fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
        armv6::depthwise(src, taps, pair, w, records, out);
    }

    #[inline(always)]
    fn add_linear(left: &mut [i8], right: &[i8], constants: &[i32; 3]) {
        armv6::add_linear(left, right, constants);
    }
}

/// One pixel pair, or rows of them, with blocks of `words` words of paired weights.
#[inline(never)]
fn paired(x: &[u32], words: usize, w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
    gemm::rows_by(x, words, w, records, out, rows, |x, w, records, out, at| {
        armv6::quantized(&armv6::block_paired(x, w), records, out, at);
    });
}
