//! The DSP instructions of Armv7E-M (Cortex-M4, M7) and of Armv8-M with the extension (M33).

use super::*;
use crate::sys::shapes::{Patch, PlaneRow, Planes, Products, STRIDE2_SLOTS, Strip};

/// Two patches, widened.
#[repr(C)]
struct PatchArguments {
    dst: *mut u32,
    src: *const i8,
    stride: usize,
    rows: usize,
    words: usize,
    rest: usize,
    /// Bytes from the first patch to the second.
    second: isize,
}

/// Pairs of pixels times four channels.
#[repr(C)]
struct StripArguments {
    x: *const u32,
    w: *const u32,
    records: *const u32,
    out: *mut i8,
    /// Bytes of `x` of a pair of pixels.
    bytes: usize,
    pairs: usize,
    second: usize,
    next: usize,
}

/// Groups of four units of a fully connected layer.
#[repr(C)]
struct DenseArguments {
    x: *const i8,
    w: *const i8,
    table: *const [u8; 12],
    out: *mut i8,
    words: usize,
    groups: usize,
    zero_point: i32,
    /// Least and greatest output.
    clamp: [i32; 2],
}

/// A row of outputs of four channels.
#[repr(C)]
struct RowArguments {
    x: *const u32,
    w: *const u32,
    records: *const u32,
    out: *mut i8,
    /// Bytes.
    plane: usize,
    pixel: usize,
    count: usize,
    /// Bytes from the weights of a channel to those of each row.
    rows: [usize; 3],
}

/// The products of a pair of tiles by a table of channel pairs and positions.
#[repr(C)]
struct GemmTable {
    v: *const u32,
    u: *const u32,
    m: *mut i32,
    table: *const [u32; 3],
    entries: usize,
}

/// Those of several pairs of tiles.
#[repr(C)]
struct ProductsArguments {
    v: *const u32,
    u: *const u32,
    m: *mut i32,
    table: *const [u32; 3],
    entries: usize,
    tiles: usize,
    /// Bytes of `v` and of `m` of a pair of tiles.
    bytes: [usize; 2],
}

/// A vertical transform.
#[repr(C)]
struct Vertical {
    rows: *const *const i8,
    t: *mut u32,
    step: usize,
    count: usize,
    fill: u32,
    missing: u32,
}

unsafe extern "C" {
    fn kinglet_gemm16(arguments: Gemm);
    fn kinglet_gemm8(arguments: Gemm);
    fn kinglet_gemm16_acc(arguments: GemmAcc);
    fn kinglet_gemm8_acc(arguments: GemmAcc);
    fn kinglet_widen(slab: *mut u32, w: *const u32, words: usize);
    fn kinglet_gemm_strip(arguments: StripArguments);
    fn kinglet_patch(arguments: PatchArguments);
    fn kinglet_winograd_gemm(arguments: GemmTable);
    fn kinglet_winograd_products(arguments: ProductsArguments);
    fn kinglet_w2_vertical(arguments: Vertical);
    fn kinglet_w2_vertical_masked(arguments: Vertical);
    fn kinglet_w4_vertical(arguments: Vertical);
    fn kinglet_w4_vertical_masked(arguments: Vertical);
    fn kinglet_s2_vertical(arguments: Vertical);
    fn kinglet_s2_vertical_masked(arguments: Vertical);
    fn kinglet_w2_horizontal(t: *const u32, v: *mut u32, pairs: usize, position: usize);
    fn kinglet_w4_horizontal(t: *const u32, v: *mut u32, pairs: usize, position: usize);
    fn kinglet_s2_horizontal(t: *const u32, v: *mut u32, pairs: usize, position: usize, slots: *const u32);
    fn kinglet_w2_output(arguments: Output);
    fn kinglet_w4_output(arguments: Output);
    fn kinglet_w4_output_relu(arguments: Output);
    fn kinglet_s2_output(arguments: Output);
    fn kinglet_w2_weights(src: *const u32, u: *mut u32, position: usize, groups: usize);
    fn kinglet_depthwise(src: *const i8, arguments: *mut Depthwise);
    fn kinglet_depthwise3(src: *const i8, arguments: *mut Depthwise);
    fn kinglet_planes(dst: *mut u32, src: *const i8, pixel: usize, pairs: usize, plane: usize);
    fn kinglet_depthwise_row(arguments: RowArguments);
    fn kinglet_depthwise_row2(arguments: RowArguments);
    fn kinglet_dense(arguments: DenseArguments);
    fn kinglet_dot4(x: *const i8, w: *const *const i8, words: usize, sums: *mut i32);
    fn kinglet_add_linear(a: *mut i8, b: *const i8, constants: *const i32, n: usize);
    fn kinglet_max3(out: *mut i8, a: *const i8, b: *const i8, c: *const i8, n: usize);
    fn kinglet_clamp(data: *mut i8, n: usize, low: u32, high: u32);
    fn kinglet_copy(dst: *mut i8, src: *const i8, n: usize);
    fn kinglet_sum(src: *const i8, step: usize, pixels: usize, acc: *mut i32);
}

/// Dot products of the first elements, as many as whole words hold, with four rows; and how many elements those are.
#[inline(always)]
pub fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> ([i32; 4], usize) {
    let len = weights.iter().fold(patch.len(), |len, row| len.min(row.len()));
    let whole = len & !3;
    let mut sums = [0i32; 4];
    if whole > 0 {
        // SAFETY: `whole` bytes, a multiple of 4 and not 0, lie within all five slices.
        unsafe {
            let rows = weights.map(<[i8]>::as_ptr);
            kinglet_dot4(patch.as_ptr(), rows.as_ptr(), whole / 4, sums.as_mut_ptr());
        }
    }
    (sums, whole)
}

/// The first units of a fully connected layer, as many as groups of four of them and words of inputs hold, rounded twice; how many.
#[inline(always)]
pub fn dense(x: &[i8], w: &[i8], table: &[[u8; 12]], zero_point: i32, clamp: [i32; 2], out: &mut [i8]) -> usize {
    let (words, groups) = (x.len() / 4, out.len().min(table.len()) / 4);
    let fits = groups.saturating_mul(4).saturating_mul(x.len()) <= w.len();
    if !x.len().is_multiple_of(4) || words == 0 || groups == 0 || !proven(fits) {
        return 0;
    }
    let (x, w, table, out) = (x.as_ptr(), w.as_ptr(), table.as_ptr(), out.as_mut_ptr());
    // SAFETY: `words` words of inputs, and weights, entries and outputs of `groups` groups of four units, neither 0, lie within the slices.
    unsafe { kinglet_dense(DenseArguments { x, w, table, out, words, groups, zero_point, clamp }) }
    groups.wrapping_mul(4)
}

/// Widens two patches.
#[inline(always)]
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    if proven(patch.fit_widened(dst.len(), src.len(), at)) {
        let [first, second] = at;
        let (stride, rows, len) = (patch.stride(), patch.rows(), patch.len());
        // SAFETY: both patches lie within `src` and their pairs within `dst`; the rest bytes fit the block's stack.
        unsafe {
            kinglet_patch(PatchArguments {
                dst: dst.as_mut_ptr(),
                src: src.as_ptr().add(first),
                stride,
                rows,
                words: len / 4,
                rest: len % 4,
                second: second.wrapping_sub(first) as isize,
            });
        }
    }
}

/// Weights of 16 bits.
#[inline(always)]
pub fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    gemm(kinglet_gemm16, 4, x, w, records, out, second);
}

/// Weights of 8 bits.
#[inline(always)]
pub fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    gemm(kinglet_gemm8, 2, x, w, records, out, second);
}

/// Weights of 16 bits, to accumulators.
#[inline(always)]
pub fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    gemm_acc(kinglet_gemm16_acc, 4, x, w, acc);
}

/// Weights of 8 bits, to accumulators.
#[inline(always)]
pub fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    gemm_acc(kinglet_gemm8_acc, 2, x, w, acc);
}

/// Weights of 8 bits to 16.
#[inline(always)]
pub fn widen(slab: &mut [u32], w: &[u32]) {
    if proven(shapes::widened_fit(w.len(), slab.len())) {
        // SAFETY: `w.len()` words, a multiple of 4 and not 0, lie within `w`, and twice as many within `slab`.
        unsafe { kinglet_widen(slab.as_mut_ptr(), w.as_ptr(), w.len()) }
    }
}

/// Pairs of pixels times four channels.
#[inline(always)]
pub fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
    if proven(strip.fits(x.len(), w.len(), out.len())) {
        let &Strip { pairs, second, next } = strip;
        let (bytes, records) = (w.len().wrapping_mul(2), records.as_ptr());
        let (x, w, out) = (x.as_ptr(), w.as_ptr(), out.as_mut_ptr());
        // SAFETY: the inputs of `pairs` pairs of pixels, not 0, of `bytes` bytes each, a multiple of 16 and not 0, the weights of four
        // channels, their records and their outputs lie within the slices.
        unsafe { kinglet_gemm_strip(StripArguments { x, w, records, out, bytes, pairs, second, next }) }
    }
}

/// The products of pairs of tiles.
#[inline(always)]
pub fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
    if proven(products.fit(v.len(), u.len(), m.len(), tiles)) {
        let (v, u, m) = (v.as_ptr(), u.as_ptr(), m.as_mut_ptr());
        // The table is a copy: what assembler sees of `products` the compiler would load again and again.
        let (table, entries) = products.table();
        let (table, words) = (table.as_ptr(), products.words());
        // SAFETY: the channel pairs of all positions, an even number and not 0, lie within the slices for `tiles` pairs of tiles, not 0;
        // the entries of the table have pairs, positions and pairs at a time, none of them 0, the last ones even.
        unsafe {
            if tiles == 1 {
                kinglet_winograd_gemm(GemmTable { v, u, m, table, entries });
            } else {
                let bytes = words.map(|words| words.wrapping_mul(4));
                kinglet_winograd_products(ProductsArguments { v, u, m, table, entries, tiles, bytes });
            }
        }
    }
}

/// The vertical input transform.
#[inline(always)]
pub fn vertical(scheme: Scheme, src: &[i8], columns: &Columns, t: &mut [u32]) {
    if proven(columns.fit(scheme, src.len(), t.len())) {
        let rows = addresses(src, columns);
        let &Columns { step, count, fill, missing, .. } = columns;
        let [whole, masked] = match scheme {
            Scheme::F2 => [kinglet_w2_vertical, kinglet_w2_vertical_masked],
            Scheme::F4 => [kinglet_w4_vertical, kinglet_w4_vertical_masked],
            Scheme::S2 => [kinglet_s2_vertical, kinglet_s2_vertical_masked],
        };
        let arguments = Vertical { rows: rows.as_ptr(), t: t.as_mut_ptr(), step, count, fill, missing };
        // SAFETY: the scheme's rows lie within `src` for all columns, and the result within `t`.
        unsafe { if missing == 0 { whole(arguments) } else { masked(arguments) } }
    }
}

/// The horizontal input transform.
#[inline(always)]
pub fn horizontal(scheme: Scheme, t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    if proven(scheme.horizontal_fits(t.len(), v.len(), at, position, pairs)) {
        // SAFETY: the columns of `pairs` pairs of tiles lie within `t`, their slots of `position` words within `v`.
        unsafe {
            let (t, v, bytes) = (t.as_ptr(), v.as_mut_ptr().add(at), position * 4);
            match scheme {
                Scheme::F2 => kinglet_w2_horizontal(t, v, pairs, bytes),
                Scheme::F4 => kinglet_w4_horizontal(t, v, pairs, bytes),
                Scheme::S2 => kinglet_s2_horizontal(t, v, pairs, bytes, STRIDE2_SLOTS.as_flattened().as_ptr()),
            }
        }
    }
}

/// The output transform; with `relu`, F(4x4)'s shorter one.
#[inline(always)]
pub fn output(scheme: Scheme, m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
    let kernel = match scheme {
        Scheme::F2 => kinglet_w2_output,
        Scheme::F4 if relu => kinglet_w4_output_relu,
        Scheme::F4 => kinglet_w4_output,
        Scheme::S2 => kinglet_s2_output,
    };
    super::output(kernel, scheme, m, records, out, tiles);
}

/// The weights of a filter for F(2x2, 3x3).
#[inline(always)]
pub fn filter(src: &[u32], u: &mut [u32], at: usize, position: usize) {
    if proven(shapes::filter_fits(src.len(), u.len(), at, position)) {
        // SAFETY: src.len() / 9 groups of 9 words lie within `src`, and 16 positions of their pairs within `u`.
        unsafe { kinglet_w2_weights(src.as_ptr(), u.as_mut_ptr().add(at), position * 4, src.len() / 9) }
    }
}

/// Depthwise pixels.
#[inline(always)]
pub fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
    super::depthwise([kinglet_depthwise, kinglet_depthwise3], src, taps, pair, w, records, out);
}

/// Takes pixels of four channels apart.
#[inline(always)]
pub fn planes(dst: &mut [u32], src: &[i8], planes: &Planes) {
    if proven(planes.fit(dst.len(), src.len())) {
        let &Planes { pixel, pairs, plane } = planes;
        // SAFETY: `pairs` pairs of pixels, not 0, lie within `src`, and a row of four planes within `dst`.
        unsafe { kinglet_planes(dst.as_mut_ptr(), src.as_ptr(), pixel, pairs, plane.wrapping_mul(4)) }
    }
}

/// A row of four channels.
#[inline(always)]
pub fn depthwise_row(x: &[u32], w: &[u32; 24], records: &[u32; 16], out: &mut [i8], row: &PlaneRow) {
    if proven(row.fits(x.len(), out.len())) {
        let &PlaneRow { stride, plane, pixel, count, rows } = row;
        let (x, w, records, out) = (x.as_ptr(), w.as_ptr(), records.as_ptr(), out.as_mut_ptr());
        let (plane, rows) = (plane.wrapping_mul(4), rows.map(|row| row.wrapping_mul(8)));
        let arguments = RowArguments { x, w, records, out, plane, pixel, count, rows };
        // SAFETY: the planes and `count` outputs, not 0, of four channels lie within the slices; the rows' offsets are those of three rows.
        unsafe { if stride == 1 { kinglet_depthwise_row(arguments) } else { kinglet_depthwise_row2(arguments) } }
    }
}

/// Linear sums of the first elements, a multiple of 8; how many.
#[inline(always)]
pub fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) -> usize {
    let whole = a.len().min(b.len()) & !7;
    if whole > 0 {
        // SAFETY: `whole` elements, a multiple of 8 and not 0, lie within both slices.
        unsafe { kinglet_add_linear(a.as_mut_ptr(), b.as_ptr(), constants.as_ptr(), whole) }
    }
    whole
}

/// The greatest of three of the first elements, a multiple of 8; how many.
#[inline(always)]
pub fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) -> usize {
    let whole = out.len().min(a.len()).min(b.len()).min(c.len()) & !7;
    if whole > 0 {
        // SAFETY: `whole` elements, a multiple of 8 and not 0, lie within all four slices.
        unsafe { kinglet_max3(out.as_mut_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr(), whole) }
    }
    whole
}

/// The greatest of `acc` and two others, likewise.
#[inline(always)]
pub fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) -> usize {
    let (whole, to) = (acc.len().min(a.len()).min(b.len()) & !7, acc.as_mut_ptr());
    if whole > 0 {
        // SAFETY: `whole` elements, a multiple of 8 and not 0, lie within all three slices; the block reads a word of each before
        // it writes that word.
        unsafe { kinglet_max3(to, to, a.as_ptr(), b.as_ptr(), whole) }
    }
    whole
}

/// Clamps the first elements, a multiple of 4; how many.
#[inline(always)]
pub fn clamp(data: &mut [i8], low: i8, high: i8) -> usize {
    let whole = data.len() & !3;
    if whole > 0 {
        let word = |v: i8| u32::from(v as u8).wrapping_mul(0x0101_0101);
        // SAFETY: `whole` elements, a multiple of 4 and not 0, lie within `data`.
        unsafe { kinglet_clamp(data.as_mut_ptr(), whole, word(low), word(high)) }
    }
    whole
}

/// Copies where both start at a multiple of 4; whether they do.
#[inline(always)]
pub fn copy(to: &mut [i8], from: &[i8]) -> bool {
    let (dst, src) = (to.as_mut_ptr(), from.as_ptr());
    let words = (dst as usize | src as usize).is_multiple_of(4);
    if words {
        // SAFETY: as many bytes lie within both slices.
        unsafe { kinglet_copy(dst, src, to.len().min(from.len())) }
    }
    words
}

/// Moves the bytes from `from` on to the front.
#[inline(always)]
pub fn move_down(bytes: &mut [i8], from: usize) {
    let count = bytes.len().wrapping_sub(from);
    if proven(from <= bytes.len()) {
        let start = bytes.as_mut_ptr();
        // SAFETY: `count` bytes lie within `bytes` from `from` on; the block reads every byte before it writes it.
        unsafe { kinglet_copy(start, start.add(from), count) }
    }
}

/// Adds pixels of four channels.
#[inline(always)]
pub fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
    if proven(shapes::sum_fits(src.len(), step, pixels, 4)) {
        // SAFETY: `pixels` pixels, 1 to 255, of four channels lie within `src`.
        unsafe { kinglet_sum(src.as_ptr(), step, pixels, acc.as_mut_ptr()) }
    }
}
