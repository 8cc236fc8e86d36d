//! The block primitives: loops as large as a register file needs, over which the algorithms are written.
//!
//! Each has one portable definition here, which is its specification. An instruction set overrides what it does
//! faster and must give the same words on every input; the tests and the self-test on the device compare the two.
//!
//! Data formats: a *pair* is a word of two 16-bit halves. Four channels `c0 c1 c2 c3` are two pairs, `(c0, c2)` and
//! `(c1, c3)`, because that is what Arm's `SXTB16` makes of a word of bytes. A *record* is what the requantization of
//! a channel needs, see [`requantize`].
//!
//! A block checks the lengths of its slices first and does nothing when they do not fit: they always do, and no
//! panic path is linked.

pub mod depthwise;
pub mod elementwise;
pub mod float16;
pub mod gemm;
pub mod gemm_bytes;
pub mod halves;
pub mod pieces;
pub mod requantize;
pub mod stride2;
pub mod winograd;
pub mod winograd2;
pub mod winograd4;

pub use winograd::{Columns, Tiles};

use crate::kernels::float16::f16;

/// The blocks of one instruction set. Every default is the portable definition.
pub trait Blocks {
    /// Widens two patches, from the bytes `at` of `src` on, into pairs: [`gemm::patch`].
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], shape: &gemm::Rows) {
        gemm::patch(dst, src, at, shape);
    }

    /// 2 pixels times blocks of 4 channels, weights of 16 bits, requantized: [`gemm::gemm16`].
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::gemm16(x, w, records, out, second);
    }

    /// 2 pixels times blocks of 4 channels, weights of 8 bits, requantized: [`gemm::gemm8`].
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::gemm8(x, w, records, out, second);
    }

    /// As [`Blocks::gemm16`], the accumulators themselves: [`gemm::gemm16_acc`].
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::gemm16_acc(x, w, acc);
    }

    /// As [`Blocks::gemm8`], the accumulators themselves: [`gemm::gemm8_acc`].
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::gemm8_acc(x, w, acc);
    }

    /// Copies two patches of `rows` rows of `len` bytes: [`gemm_bytes::patch`].
    fn patch_bytes(dst: &mut [u32], src: &[i8], first: usize, second: usize, stride: usize, rows: usize, len: usize) {
        gemm_bytes::patch(dst, src, first, second, stride, rows, len);
    }

    /// 2 pixels times blocks of 4 channels, all in bytes, requantized: [`gemm_bytes::gemm`].
    fn gemm_bytes(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm_bytes::gemm(x, w, records, out, second);
    }

    /// As [`Blocks::gemm_bytes`], the accumulators themselves: [`gemm_bytes::gemm_acc`].
    fn gemm_bytes_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm_bytes::gemm_acc(x, w, acc);
    }

    /// The products of a pair of tiles, position by position: [`winograd::products`].
    fn products(v: &[u32], u: &[u32], m: &mut [i32], pairs: usize) {
        winograd::products(v, u, m, pairs);
    }

    /// The same for a table of numbers of channel pairs and of positions: [`winograd::products_table`].
    fn products_table<const N: usize>(v: &[u32], u: &[u32], m: &mut [i32], table: &winograd::Table<N>) {
        winograd::products_table(v, u, m, table);
    }

    /// F(4x4, 3x3), input, vertical: [`winograd4::vertical`].
    fn w4_vertical(src: &[i8], columns: &Columns<6>, t: &mut [u32]) {
        winograd4::vertical(src, columns, t);
    }

    /// F(4x4, 3x3), input, horizontal: [`winograd4::horizontal`].
    fn w4_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        winograd4::horizontal(t, v, at, position, pairs);
    }

    /// F(4x4, 3x3), output and requantization: [`winograd4::output`].
    fn w4_output(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: Tiles) {
        winograd4::output(m, records, relu, out, tiles);
    }

    /// F(2x2, 3x3), input, vertical: [`winograd2::vertical`].
    fn w2_vertical(src: &[i8], columns: &Columns<4>, t: &mut [u32]) {
        winograd2::vertical(src, columns, t);
    }

    /// F(2x2, 3x3), input, horizontal: [`winograd2::horizontal`].
    fn w2_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        winograd2::horizontal(t, v, at, position, pairs);
    }

    /// F(2x2, 3x3), output and requantization: [`winograd2::output`].
    fn w2_output(m: &[i32], records: &[u32], out: &mut [i8], tiles: Tiles) {
        winograd2::output(m, records, out, tiles);
    }

    /// F(2x2, 3x3), weights of one filter: [`winograd2::weights`].
    fn w2_weights(src: &[u32], u: &mut [u32], at: usize, position: usize) {
        winograd2::weights(src, u, at, position);
    }

    /// 3x3 at stride 2, input, vertical: [`stride2::vertical`].
    fn s2_vertical(src: &[i8], columns: &Columns<5>, t: &mut [u32]) {
        stride2::vertical(src, columns, t);
    }

    /// 3x3 at stride 2, input, horizontal: [`stride2::horizontal`].
    fn s2_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        stride2::horizontal(t, v, at, position, pairs);
    }

    /// 3x3 at stride 2, output and requantization: [`stride2::output`].
    fn s2_output(m: &[i32], records: &[u32], out: &mut [i8], tiles: Tiles) {
        stride2::output(m, records, out, tiles);
    }

    /// Two pixels, each channel by itself: [`depthwise::depthwise`].
    fn depthwise(
        src: &[i8],
        taps: &depthwise::Taps,
        pair: depthwise::Pair,
        w: &[u32],
        records: &[u32],
        out: &mut [i8],
    ) {
        depthwise::depthwise(src, taps, pair, w, records, out);
    }

    /// The linear form of a rescaled sum, into the first: [`elementwise::add_linear`].
    fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) {
        elementwise::add_linear(a, b, constants);
    }

    /// The greatest of three bytes: [`elementwise::max3`].
    fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
        elementwise::max3(out, a, b, c);
    }

    /// The greatest of three bytes, into the first: [`elementwise::max_into`].
    fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
        elementwise::max_into(acc, a, b);
    }

    /// Clamps bytes: [`elementwise::clamp`].
    fn clamp(data: &mut [i8], low: i8, high: i8) {
        elementwise::clamp(data, low, high);
    }

    /// Copies bytes: [`elementwise::copy`].
    fn copy(to: &mut [i8], from: &[i8]) {
        elementwise::copy(to, from);
    }

    /// Moves bytes to the front: [`elementwise::move_down`].
    fn move_down(bytes: &mut [i8], from: usize) {
        elementwise::move_down(bytes, from);
    }

    /// Halves into a lane of numbers: [`float16::spread`].
    fn f16_spread(from: &[f16], x: &mut [f32]) {
        float16::spread(from, x);
    }

    /// Four lanes times all channels of halves: [`float16::gemm`].
    fn f16_gemm(x: &[f32], layer: &float16::Layer<'_>, out: &mut [f16], pixels: float16::Pixels) {
        float16::gemm(x, layer, out, pixels);
    }

    /// Adds up to 255 pixels of four channels: [`elementwise::sum4`].
    fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
        elementwise::sum4(src, step, pixels, acc);
    }

    /// Adds up to 255 pixels of sixteen channels: [`elementwise::sum4`] of each four.
    fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
        for (block, acc) in acc.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            Self::sum4(src.get(block.wrapping_mul(4)..).unwrap_or_default(), step, pixels, acc);
        }
    }
}
