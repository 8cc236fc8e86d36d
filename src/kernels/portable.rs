//! Plain Rust on any processor: the definitions.

use core::ops::Range;

use super::blocks::{
    Transform, add, dense, depthwise, dot, elementwise, float16, gemm, gemm_bytes, planes, winograd, winograd2,
};
use super::float16::{Bounds, f16};
use super::{AddTerms, Backend};
use crate::quant::{Channel, OutputStage};
use crate::sys::shapes::{Columns, Lines, Pair, Patch, Pixels, Products, Rows, Spread, Strip, TapGrid, Tiles};

/// The definitions, which every other backend equals.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

// The base of all has none: a method left out here would call itself.
#[deny(clippy::missing_trait_methods)]
impl Backend for Portable {
    type Base = Self;

    const NAME: &'static str = "portable";

    #[inline(always)]
    fn dot(patch: &[i8], weights: &[i8]) -> i32 {
        dot::dot(patch, weights)
    }

    #[inline(always)]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        dot::dot_1x4(patch, weights)
    }

    #[inline(always)]
    fn dot_2x4(patches: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        dot::dot_2x4(patches, weights)
    }

    #[inline(always)]
    fn dense(_: &[i8], _: &[i8], _: &[[u8; Channel::BYTES]], _: &OutputStage, _: &mut [i8]) -> usize {
        0
    }

    #[inline(always)]
    fn dense_pairs(x: &[i8], w: &[u32], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) {
        dense::dense_pairs(x, w, channels, stage, out);
    }

    #[inline(always)]
    fn multiply_taps(patch: &[i8], weights: &[i8], pitch: usize, sums: &mut [i32]) {
        dot::multiply_taps(patch, weights, pitch, sums);
    }

    #[inline(always)]
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        gemm::patch(dst, src, at, patch);
    }

    #[inline(always)]
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::gemm16(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::gemm8(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::gemm_paired(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::gemm16_acc(x, w, acc);
    }

    #[inline(always)]
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::gemm8_acc(x, w, acc);
    }

    #[inline(always)]
    fn widen(slab: &mut [u32], w: &[u32]) {
        gemm::widen(slab, w);
    }

    #[inline(always)]
    fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
        gemm::gemm_strip(x, w, records, out, strip);
    }

    #[inline(always)]
    fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
        gemm::rows_paired(x, slab, w, records, out, rows);
    }

    #[inline(always)]
    fn patch_bytes(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        gemm_bytes::patch(dst, src, at, patch);
    }

    #[inline(always)]
    fn gemm_bytes(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm_bytes::gemm(x, w, records, out, second);
    }

    #[inline(always)]
    fn gemm_bytes_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm_bytes::gemm_acc(x, w, acc);
    }

    #[inline(always)]
    fn vertical<T: Transform<N>, const N: usize>(src: &[i8], columns: &Columns, t: &mut [u32]) {
        winograd::vertical::<T, N>(src, columns, t);
    }

    #[inline(always)]
    fn horizontal<T: Transform<N>, const N: usize>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        winograd::horizontal::<T, N>(t, v, at, position, pairs);
    }

    #[inline(always)]
    fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
        winograd::products(v, u, m, products, tiles);
    }

    #[inline(always)]
    fn output<T: Transform<N>, const N: usize>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        T::output(m, records, relu, out, tiles);
    }

    #[inline(always)]
    fn filter(src: &[u32], u: &mut [u32], at: usize, position: usize) {
        winograd2::filter(src, u, at, position);
    }

    #[inline(always)]
    fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
        depthwise::depthwise(src, taps, pair, w, records, out);
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
        planes::depthwise_lines(x, input, w, records, out, shape, lines);
    }

    #[inline(always)]
    fn add_rescaled(left: &mut [i8], right: &[i8], terms: &AddTerms) {
        add::add_rescaled(left, right, terms);
    }

    #[inline(always)]
    fn add_linear(left: &mut [i8], right: &[i8], constants: &[i32; 3]) {
        add::add_linear(left, right, constants);
    }

    #[inline(always)]
    fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
        elementwise::max3(out, a, b, c);
    }

    #[inline(always)]
    fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
        elementwise::max_into(acc, a, b);
    }

    #[inline(always)]
    fn clamp(data: &mut [i8], low: i8, high: i8) {
        elementwise::clamp(data, low, high);
    }

    #[inline(always)]
    fn copy(to: &mut [i8], from: &[i8]) {
        elementwise::copy(to, from);
    }

    #[inline(always)]
    fn move_down(bytes: &mut [i8], from: usize) {
        elementwise::move_down(bytes, from);
    }

    #[inline(always)]
    fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
        elementwise::sum4(src, step, pixels, acc);
    }

    #[inline(always)]
    fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
        elementwise::sum16(src, step, pixels, acc);
    }

    #[inline(always)]
    fn f16_spread(from: &[f16], spread: &Spread, x: &mut [f32]) {
        float16::spread(from, spread, x);
    }

    #[inline(always)]
    fn f16_gemm(x: &[f32], layer: &float16::Layer<'_>, out: &mut [f16], pixels: Pixels) {
        float16::gemm(x, layer, out, pixels);
    }

    #[inline(always)]
    fn f16_add(left: &mut [f16], right: &[f16], bounds: &Bounds) {
        float16::add(left, right, bounds);
    }

    #[inline(always)]
    fn dot_f16_1x4(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) {
        float16::dot_1x4(patch, weights, sums);
    }
}
