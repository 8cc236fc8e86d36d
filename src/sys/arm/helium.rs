//! The vector instructions of Armv8.1-M (Cortex-M55, M85).

use super::*;
use crate::sys::shapes::{Patch, Products};

/// Two patches, widened.
#[repr(C)]
struct PatchArguments {
    dst: *mut u32,
    src: *const i8,
    stride: usize,
    rows: usize,
    words: usize,
    /// Bytes from the first patch to the second.
    second: isize,
}

/// The products of a pair of tiles, position by position.
#[repr(C)]
struct Positions {
    v: *const u32,
    u: *const u32,
    m: *mut i32,
    /// Pairs of channels, or quadruples.
    depth: usize,
    positions: usize,
}

/// A product of bytes that ends in its accumulators.
#[repr(C)]
struct GemmBytesAcc {
    x: *const u32,
    w: *const u32,
    acc: *mut i32,
    blocks: usize,
    steps: usize,
}

unsafe extern "C" {
    fn kinglet_helium_gemm16(arguments: Gemm);
    fn kinglet_helium_gemm8(arguments: Gemm);
    fn kinglet_helium_gemm_bytes(arguments: Gemm);
    fn kinglet_helium_gemm16_acc(arguments: GemmAcc);
    fn kinglet_helium_gemm8_acc(arguments: GemmAcc);
    fn kinglet_helium_gemm_bytes_acc(arguments: GemmBytesAcc);
    fn kinglet_helium_patch(arguments: PatchArguments);
    fn kinglet_helium_patch_bytes(dst: *mut i8, src: *const i8, stride: usize, rows: usize, len: usize);
    fn kinglet_helium_products(arguments: Positions);
    fn kinglet_helium_w2_output(arguments: Output);
    fn kinglet_helium_w4_output(arguments: Output);
    fn kinglet_helium_w4_output_relu(arguments: Output);
    fn kinglet_helium_s2_output(arguments: Output);
    fn kinglet_helium_depthwise(src: *const i8, arguments: *mut Depthwise);
    fn kinglet_helium_depthwise3(src: *const i8, arguments: *mut Depthwise);
    fn kinglet_helium_add(a: *mut i8, b: *const i8, terms: *const i32, n: usize);
    fn kinglet_helium_add_linear(a: *mut i8, b: *const i8, constants: *const i32, n: usize);
    fn kinglet_helium_max3(out: *mut i8, a: *const i8, b: *const i8, c: *const i8, n: usize);
    fn kinglet_helium_clamp(data: *mut i8, n: usize, low: u32, high: u32);
    fn kinglet_helium_sum16(src: *const i8, step: usize, pixels: usize, acc: *mut i32);
}

/// Widens two patches of whole words.
#[inline(always)]
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    if proven(patch.fit_widened(dst.len(), src.len(), at) && patch.len().is_multiple_of(4)) {
        let [first, second] = at;
        // SAFETY: both patches, of whole words, lie within `src` and their pairs within `dst`.
        unsafe {
            kinglet_helium_patch(PatchArguments {
                dst: dst.as_mut_ptr(),
                src: src.as_ptr().add(first),
                stride: patch.stride(),
                rows: patch.rows(),
                words: patch.len() / 4,
                second: second.wrapping_sub(first) as isize,
            });
        }
    }
}

/// Copies two patches.
#[inline(always)]
pub fn patch_bytes(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    if proven(patch.fit_copied(dst.len(), src.len(), at)) {
        let half = size_of_val(dst) / 2;
        let to = dst.as_mut_ptr().cast::<i8>();
        let (stride, rows, len) = (patch.stride(), patch.rows(), patch.len());
        for (at, half) in at.into_iter().zip([0, half]) {
            // SAFETY: `rows` rows of `len` bytes, neither 0, lie within `src` from `at` on, and within this half of `dst`.
            unsafe { kinglet_helium_patch_bytes(to.add(half), src.as_ptr().add(at), stride, rows, len) }
        }
    }
}

/// Weights of 16 bits.
#[inline(always)]
pub fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    gemm(kinglet_helium_gemm16, 4, x, w, records, out, second);
}

/// Weights of 8 bits.
#[inline(always)]
pub fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    gemm(kinglet_helium_gemm8, 2, x, w, records, out, second);
}

/// Weights of 16 bits, to accumulators.
#[inline(always)]
pub fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    gemm_acc(kinglet_helium_gemm16_acc, 4, x, w, acc);
}

/// Weights of 8 bits, to accumulators.
#[inline(always)]
pub fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    gemm_acc(kinglet_helium_gemm8_acc, 2, x, w, acc);
}

/// All in bytes.
#[inline(always)]
pub fn gemm_bytes(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    let (pairs, blocks) = (x.len() / 8, records.len() / 16);
    if proven(shapes::byte_product_fits(x.len(), w.len(), blocks) && shapes::outputs_fit(blocks, second, out.len())) {
        let (x, w, records, out) = (x.as_ptr(), w.as_ptr(), records.as_ptr(), out.as_mut_ptr());
        // SAFETY: the steps of two patches, and weights, records and outputs of `blocks` blocks, lie within the slices.
        unsafe { kinglet_helium_gemm_bytes(Gemm { x, w, records, out, pairs, blocks, second }) }
    }
}

/// All in bytes, to accumulators.
#[inline(always)]
pub fn gemm_bytes_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    let (steps, blocks) = (x.len() / 8, acc.len() / 8);
    if proven(shapes::byte_product_fits(x.len(), w.len(), blocks)) {
        let (x, w, acc) = (x.as_ptr(), w.as_ptr(), acc.as_mut_ptr());
        // SAFETY: the steps of two patches, and weights and accumulators of `blocks` blocks, lie within the slices.
        unsafe { kinglet_helium_gemm_bytes_acc(GemmBytesAcc { x, w, acc, blocks, steps }) }
    }
}

/// Whether [`products`] takes them: numbers of channel pairs that are multiples of four.
#[inline(always)]
pub fn takes(products: &Products) -> bool {
    products.channel_pairs().is_multiple_of(4)
}

/// The products of pairs of tiles.
#[inline(always)]
pub fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
    if proven(takes(products) && products.fit(v.len(), u.len(), m.len(), tiles)) {
        let (mut v, mut m) = (v.as_ptr(), m.as_mut_ptr());
        let (table, entries) = products.table();
        for _ in 0..tiles {
            let mut u = u.as_ptr();
            for &[pairs, positions, _] in table.iter().take(entries) {
                let (pairs, positions) = (pairs as usize, positions as usize);
                // SAFETY: the channel pairs of all positions of all entries lie within the slices, one entry after another, for every
                // pair of tiles.
                unsafe {
                    kinglet_helium_products(Positions { v, u, m, depth: pairs / 4, positions });
                    (v, u, m) = (v.add(2 * pairs * positions), u.add(4 * pairs * positions), m.add(8 * positions));
                }
            }
        }
    }
}

/// The output transform; with `relu`, F(4x4)'s shorter one.
#[inline(always)]
pub fn output(scheme: Scheme, m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
    let kernel = match scheme {
        Scheme::F2 => kinglet_helium_w2_output,
        Scheme::F4 if relu => kinglet_helium_w4_output_relu,
        Scheme::F4 => kinglet_helium_w4_output,
        Scheme::S2 => kinglet_helium_s2_output,
    };
    super::output(kernel, scheme, m, records, out, tiles);
}

/// Depthwise pixels.
#[inline(always)]
pub fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
    super::depthwise([kinglet_helium_depthwise, kinglet_helium_depthwise3], src, taps, pair, w, records, out);
}

/// Rescaled sums. Terms: zero points of both, their factors and that of the sum, the zero point of the sum, the three shifts, least
/// and greatest sum.
#[inline(always)]
pub fn add(a: &mut [i8], b: &[i8], terms: &[i32; 11]) {
    let n = a.len().min(b.len());
    if n > 0 {
        // SAFETY: `n` elements, not 0, lie within both slices; the block reads 11 words of terms.
        unsafe { kinglet_helium_add(a.as_mut_ptr(), b.as_ptr(), terms.as_ptr(), n) }
    }
}

/// Linear sums of the first elements, a multiple of 8; how many.
#[inline(always)]
pub fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) -> usize {
    let whole = a.len().min(b.len()) & !7;
    if whole > 0 {
        // SAFETY: `whole` elements, a multiple of 8 and not 0, lie within both slices.
        unsafe { kinglet_helium_add_linear(a.as_mut_ptr(), b.as_ptr(), constants.as_ptr(), whole) }
    }
    whole
}

/// The greatest of three.
#[inline(always)]
pub fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
    let n = out.len().min(a.len()).min(b.len()).min(c.len());
    if n > 0 {
        // SAFETY: `n` elements, not 0, lie within all four slices.
        unsafe { kinglet_helium_max3(out.as_mut_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr(), n) }
    }
}

/// The greatest of `acc` and two others.
#[inline(always)]
pub fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
    let (n, to) = (acc.len().min(a.len()).min(b.len()), acc.as_mut_ptr());
    if n > 0 {
        // SAFETY: `n` elements, not 0, lie within all three slices; the block reads a vector of each before it writes that vector.
        unsafe { kinglet_helium_max3(to, to, a.as_ptr(), b.as_ptr(), n) }
    }
}

/// Clamps.
#[inline(always)]
pub fn clamp(data: &mut [i8], low: i8, high: i8) {
    let word = |v: i8| u32::from(v as u8).wrapping_mul(0x0101_0101);
    if !data.is_empty() {
        // SAFETY: as many elements, not 0, lie within `data`.
        unsafe { kinglet_helium_clamp(data.as_mut_ptr(), data.len(), word(low), word(high)) }
    }
}

/// Adds pixels of sixteen channels.
#[inline(always)]
pub fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
    if proven(shapes::sum_fits(src.len(), step, pixels, 16)) {
        // SAFETY: `pixels` pixels, 1 to 255, of sixteen channels lie within `src`.
        unsafe { kinglet_helium_sum16(src.as_ptr(), step, pixels, acc.as_mut_ptr()) }
    }
}
