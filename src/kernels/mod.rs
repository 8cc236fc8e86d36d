//! Kernels: the primitives of each instruction set, and the [algorithms] over them.
//!
//! An instruction set is one file with an implementation of [`Backend`]: it lists what the instructions do better than the
//! [base](Backend::Base) that the set stands on, which does the rest. All give the same bits on every input: those of
//! [`Portable`], whose definitions are in [`blocks`].
//!
//! ```text
//! Portable <- Fpu <- Dsp <- Helium
//! Portable <- Armv6
//! Portable <- Sse2
//! ```

pub mod algorithms;
#[cfg(kinglet_armv6)]
mod armv6;
pub mod blocks;
#[cfg(kinglet_dsp)]
mod dsp;
pub mod float16;
#[cfg(all(kinglet_dsp, kinglet_fpu))]
mod fpu;
#[cfg(kinglet_helium)]
mod helium;
mod portable;
#[cfg(kinglet_sse2)]
mod sse2;

use core::ops::Range;

#[cfg(kinglet_active = "armv6")]
pub use armv6::Armv6 as Active;
pub use blocks::add::AddTerms;
use blocks::{Transform, float16::Layer};
#[cfg(kinglet_active = "dsp")]
pub use dsp::Dsp as Active;
use float16::{Bounds, f16};
#[cfg(kinglet_active = "helium")]
pub use helium::Helium as Active;
pub use portable::Portable;
#[cfg(kinglet_active = "portable")]
pub use portable::Portable as Active;
#[cfg(kinglet_active = "sse2")]
pub use sse2::Sse2 as Active;

use crate::quant::{Channel, OutputStage};
use crate::sys::shapes::{Columns, Lines, Pair, Patch, Pixels, Products, Rows, Spread, Strip, TapGrid, Tiles};

/// Channels that the primitives over channels take at a time, at most.
pub const BLOCK: usize = 16;

/// The primitives of one instruction set: loops as large as a register file needs.
///
/// Sums wrap, as 32-bit registers do. The [`shapes`](crate::sys::shapes) say which slices fit a primitive; debug builds stop when
/// others come, release builds then leave the output as it is. Where no shape is named, slices are used up to the shortest.
pub trait Backend: Sized {
    /// What does all that this set does not do better.
    type Base: Backend;

    /// The name in reports.
    const NAME: &'static str;

    /// The dot product of one patch with one channel's weights: [`blocks::dot::dot`].
    #[inline(always)]
    fn dot(patch: &[i8], weights: &[i8]) -> i32 {
        Self::Base::dot(patch, weights)
    }

    /// Dot products of one patch with four channels' weights: [`blocks::dot::dot_1x4`].
    #[inline(always)]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        Self::Base::dot_1x4(patch, weights)
    }

    /// Dot products of two patches with four channels' weights, `[patch][channel]`: [`blocks::dot::dot_2x4`].
    #[inline(always)]
    fn dot_2x4(patches: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        Self::Base::dot_2x4(patches, weights)
    }

    /// The first units of a fully connected layer with weights `[unit][input]`, and how many that are: none where dot products and
    /// [`OutputStage::apply`] do as well.
    #[inline(always)]
    fn dense(x: &[i8], w: &[i8], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) -> usize {
        Self::Base::dense(x, w, channels, stage, out)
    }

    /// A fully connected layer with the weights of two units in each half of a word: [`blocks::dense::dense_pairs`].
    #[inline(always)]
    fn dense_pairs(x: &[i8], w: &[u32], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) {
        Self::Base::dense_pairs(x, w, channels, stage, out);
    }

    /// Products of each channel by itself, for at most [`BLOCK`] channels: [`blocks::dot::multiply_taps`].
    #[inline(always)]
    fn multiply_taps(patch: &[i8], weights: &[i8], pitch: usize, sums: &mut [i32]) {
        Self::Base::multiply_taps(patch, weights, pitch, sums);
    }

    /// Widens two patches, from the bytes `at` of `src` on, into pairs: [`blocks::gemm::patch`].
    #[inline(always)]
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        Self::Base::patch(dst, src, at, patch);
    }

    /// 2 pixels times blocks of 4 channels, weights of 16 bits, requantized: [`blocks::gemm::gemm16`].
    #[inline(always)]
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        Self::Base::gemm16(x, w, records, out, second);
    }

    /// 2 pixels times blocks of 4 channels, weights of 8 bits, requantized: [`blocks::gemm::gemm8`].
    #[inline(always)]
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        Self::Base::gemm8(x, w, records, out, second);
    }

    /// 2 pixels times blocks of 4 channels, paired weights, requantized: [`blocks::gemm::gemm_paired`].
    #[inline(always)]
    fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        Self::Base::gemm_paired(x, w, records, out, second);
    }

    /// As [`Backend::gemm16`], the accumulators themselves: [`blocks::gemm::gemm16_acc`].
    #[inline(always)]
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        Self::Base::gemm16_acc(x, w, acc);
    }

    /// As [`Backend::gemm8`], the accumulators themselves: [`blocks::gemm::gemm8_acc`].
    #[inline(always)]
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        Self::Base::gemm8_acc(x, w, acc);
    }

    /// Widens weights of 8 bits to 16: [`blocks::gemm::widen`].
    #[inline(always)]
    fn widen(slab: &mut [u32], w: &[u32]) {
        Self::Base::widen(slab, w);
    }

    /// Pairs of pixels times 4 channels, weights of 16 bits, requantized: [`blocks::gemm::gemm_strip`].
    #[inline(always)]
    fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
        Self::Base::gemm_strip(x, w, records, out, strip);
    }

    /// Rows of pixels times all channels, paired weights, requantized: [`blocks::gemm::rows_paired`].
    #[inline(always)]
    fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
        Self::Base::rows_paired(x, slab, w, records, out, rows);
    }

    /// Copies two patches, from the bytes `at` of `src` on: [`blocks::gemm_bytes::patch`].
    #[inline(always)]
    fn patch_bytes(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        Self::Base::patch_bytes(dst, src, at, patch);
    }

    /// 2 pixels times blocks of 4 channels, all in bytes, requantized: [`blocks::gemm_bytes::gemm`].
    #[inline(always)]
    fn gemm_bytes(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        Self::Base::gemm_bytes(x, w, records, out, second);
    }

    /// As [`Backend::gemm_bytes`], the accumulators themselves: [`blocks::gemm_bytes::gemm_acc`].
    #[inline(always)]
    fn gemm_bytes_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        Self::Base::gemm_bytes_acc(x, w, acc);
    }

    /// Winograd, input, vertical: [`blocks::winograd::vertical`].
    #[inline(always)]
    fn vertical<T: Transform<N>, const N: usize>(src: &[i8], columns: &Columns, t: &mut [u32]) {
        Self::Base::vertical::<T, N>(src, columns, t);
    }

    /// Winograd, input, horizontal: [`blocks::winograd::horizontal`].
    #[inline(always)]
    fn horizontal<T: Transform<N>, const N: usize>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        Self::Base::horizontal::<T, N>(t, v, at, position, pairs);
    }

    /// Winograd, the products of pairs of tiles: [`blocks::winograd::products`].
    #[inline(always)]
    fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
        Self::Base::products(v, u, m, products, tiles);
    }

    /// Winograd, output and requantization: [`Transform::output`].
    #[inline(always)]
    fn output<T: Transform<N>, const N: usize>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        Self::Base::output::<T, N>(m, records, relu, out, tiles);
    }

    /// F(2x2, 3x3), the weights of one filter: [`blocks::winograd2::filter`].
    #[inline(always)]
    fn filter(src: &[u32], u: &mut [u32], at: usize, position: usize) {
        Self::Base::filter(src, u, at, position);
    }

    /// Two pixels, each channel by itself, requantized: [`blocks::depthwise::depthwise`].
    #[inline(always)]
    fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
        Self::Base::depthwise(src, taps, pair, w, records, out);
    }

    /// Depthwise 3x3, lines of four channels, requantized, with `x` for scratch: [`blocks::planes::depthwise_lines`].
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
        Self::Base::depthwise_lines(x, input, w, records, out, shape, lines);
    }

    /// A rescaled sum by its definition, into the first: [`blocks::add::add_rescaled`].
    #[inline(always)]
    fn add_rescaled(left: &mut [i8], right: &[i8], terms: &AddTerms) {
        Self::Base::add_rescaled(left, right, terms);
    }

    /// The linear form of a rescaled sum, into the first: [`blocks::add::add_linear`].
    #[inline(always)]
    fn add_linear(left: &mut [i8], right: &[i8], constants: &[i32; 3]) {
        Self::Base::add_linear(left, right, constants);
    }

    /// The greatest of three bytes: [`blocks::elementwise::max3`].
    #[inline(always)]
    fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
        Self::Base::max3(out, a, b, c);
    }

    /// The greatest of three bytes, into the first: [`blocks::elementwise::max_into`].
    #[inline(always)]
    fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
        Self::Base::max_into(acc, a, b);
    }

    /// Clamps bytes: [`blocks::elementwise::clamp`].
    #[inline(always)]
    fn clamp(data: &mut [i8], low: i8, high: i8) {
        Self::Base::clamp(data, low, high);
    }

    /// Copies bytes: [`blocks::elementwise::copy`].
    #[inline(always)]
    fn copy(to: &mut [i8], from: &[i8]) {
        Self::Base::copy(to, from);
    }

    /// Moves bytes to the front: [`blocks::elementwise::move_down`].
    #[inline(always)]
    fn move_down(bytes: &mut [i8], from: usize) {
        Self::Base::move_down(bytes, from);
    }

    /// Adds up to 255 pixels of four channels: [`blocks::elementwise::sum4`].
    #[inline(always)]
    fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
        Self::Base::sum4(src, step, pixels, acc);
    }

    /// Adds up to 255 pixels of sixteen channels: [`blocks::elementwise::sum16`].
    #[inline(always)]
    fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
        Self::Base::sum16(src, step, pixels, acc);
    }

    /// Half precision into lanes of single precision: [`blocks::float16::spread`].
    #[inline(always)]
    fn f16_spread(from: &[f16], spread: &Spread, x: &mut [f32]) {
        Self::Base::f16_spread(from, spread, x);
    }

    /// Four lanes times all channels in half precision: [`blocks::float16::gemm`].
    #[inline(always)]
    fn f16_gemm(x: &[f32], layer: &Layer<'_>, out: &mut [f16], pixels: Pixels) {
        Self::Base::f16_gemm(x, layer, out, pixels);
    }

    /// Sums in half precision: [`blocks::float16::add`].
    #[inline(always)]
    fn f16_add(left: &mut [f16], right: &[f16], bounds: &Bounds) {
        Self::Base::f16_add(left, right, bounds);
    }

    /// Dot products in half precision: [`blocks::float16::dot_1x4`].
    #[inline(always)]
    fn dot_f16_1x4(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) {
        Self::Base::dot_f16_1x4(patch, weights, sums);
    }
}
