//! The DSP instructions of Armv7E-M (Cortex-M4, M7) and of Armv8-M with the extension (M33).

use core::ops::Range;

use super::*;
use crate::sys::shapes::{Grid, Lines, Patch, Products, Rows, STRIDE2_SLOTS, Strip, line_pairs};

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

/// Rows of pairs of pixels times blocks of four channels; the block counts in it.
#[repr(C)]
struct RowsArguments {
    w: *const u32,
    /// Room for the weights of four channels, of so many bytes, as many as `x` has of a pair of pixels.
    slab: *mut u32,
    bytes: usize,
    records: *const u32,
    x: *const u32,
    /// Bytes from row to row.
    x_row: usize,
    out: *mut i8,
    out_row: usize,
    rows: usize,
    pairs: usize,
    /// Pixels left over: 0 or 1.
    odd: usize,
    /// Bytes to the second pixel of a pair, and to the next pair.
    second: usize,
    next: usize,
    blocks: usize,
    /// Bytes to the last block's outputs from those of the one before.
    last: usize,
}

/// Groups of four units of a fully connected layer, or of eight.
#[repr(C)]
struct DenseArguments {
    x: *const i8,
    w: *const i8,
    table: *const [u8; 12],
    out: *mut i8,
    words: usize,
    groups: usize,
    zero_point: i32,
}

/// Lines of outputs of four channels; the blocks count in it.
#[repr(C)]
struct LinesArguments {
    input: Walk<*const i8>,
    output: Walk<*mut i8>,
    /// Bytes from pixel to pixel of the input.
    pixel: usize,
    /// Lines of padding before the input, and lines of the input, that are to be read.
    above: usize,
    inside: usize,
    /// Four bytes of padding.
    zero: u32,
    x: *mut u32,
    /// Bytes of a plane.
    plane: usize,
    /// Bytes to the next line's place in the planes.
    slot: usize,
    /// As in [`Lines::pairs`], and all of them.
    pairs: [usize; 5],
    all: usize,
    /// Bytes from output to output, and of all that the loop computes, four or two at a time.
    out_pixel: usize,
    bytes: usize,
    /// Outputs left over.
    rest: usize,
    stride: usize,
    lines: usize,
    /// The constants of each channel, which the blocks put there: its record and its weights, doubled, of which the first rows follow the
    /// last again, for lines in any order.
    channels: [[u32; 14]; 4],
}

/// From line to line of a grid.
#[repr(C)]
struct Walk<P> {
    at: P,
    line: usize,
    /// Lines until it goes back to the first in memory, of so many, so many bytes back.
    left: usize,
    ring: usize,
    back: usize,
}

impl<P> Walk<P> {
    const fn of(grid: &Grid, at: P, first: usize) -> Self {
        let Grid { line, ring, .. } = *grid;
        let place = if first < ring || ring == 0 { first } else { first % ring };
        Self { at, line, left: ring.wrapping_sub(place), ring, back: ring.wrapping_mul(line) }
    }
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
    fn kinglet_gemm_paired(arguments: Gemm);
    fn kinglet_gemm16_acc(arguments: GemmAcc);
    fn kinglet_gemm8_acc(arguments: GemmAcc);
    fn kinglet_widen(slab: *mut u32, w: *const u32, words: usize);
    fn kinglet_gemm_strip(arguments: StripArguments);
    fn kinglet_rows_paired(arguments: *mut RowsArguments);
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
    fn kinglet_depthwise_lines(arguments: *mut LinesArguments, w: &[u32; 24], records: &[u32; 16]);
    fn kinglet_depthwise_lines2(arguments: *mut LinesArguments, w: &[u32; 24], records: &[u32; 16]);
    fn kinglet_dense(arguments: DenseArguments);
    fn kinglet_dense_pairs(arguments: DenseArguments);
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

/// The first units of a fully connected layer, as many as groups of four of them and words of inputs hold, rounded twice and
/// saturated; how many.
#[inline(always)]
pub fn dense(x: &[i8], w: &[i8], table: &[[u8; 12]], zero_point: i32, out: &mut [i8]) -> usize {
    let (words, groups) = (x.len() / 4, out.len().min(table.len()) / 4);
    let fits = groups.saturating_mul(4).saturating_mul(x.len()) <= w.len();
    if !x.len().is_multiple_of(4) || words == 0 || groups == 0 || !proven(fits) {
        return 0;
    }
    let (x, w, table, out) = (x.as_ptr(), w.as_ptr(), table.as_ptr(), out.as_mut_ptr());
    // SAFETY: `words` words of inputs, and weights, entries and outputs of `groups` groups of four units, neither 0, lie within the slices.
    unsafe { kinglet_dense(DenseArguments { x, w, table, out, words, groups, zero_point }) }
    groups.wrapping_mul(4)
}

/// The units of a fully connected layer with the weights of two of them in each half of a word, rounded twice and saturated.
#[inline(always)]
pub fn dense_pairs(x: &[i8], w: &[u32], table: &[[u8; 12]], zero_point: i32, out: &mut [i8]) {
    if proven(shapes::paired_fit(x.len(), w.len(), table.len(), out.len())) {
        let (words, groups) = (x.len() / 4, out.len() / 8);
        let (x, w, table, out) = (x.as_ptr(), w.as_ptr().cast(), table.as_ptr(), out.as_mut_ptr());
        // SAFETY: `words` words of inputs, and weights, entries and outputs of `groups` groups of eight units, neither 0, lie within the slices.
        unsafe { kinglet_dense_pairs(DenseArguments { x, w, table, out, words, groups, zero_point }) }
    }
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

/// Paired weights.
#[inline(always)]
pub fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    gemm(kinglet_gemm_paired, 2, x, w, records, out, second);
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

/// Rows of pixels times all channels.
#[inline(always)]
pub fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
    if proven(rows.fit(x.len(), slab.len(), w.len(), records.len(), out.len())) {
        let blocks = rows.blocks();
        let mut arguments = RowsArguments {
            w: w.as_ptr(),
            slab: slab.as_mut_ptr(),
            bytes: slab.len().wrapping_mul(4),
            records: records.as_ptr(),
            x: x.as_ptr(),
            x_row: rows.words.wrapping_mul(4),
            out: out.as_mut_ptr(),
            out_row: rows.row,
            rows: rows.rows,
            pairs: rows.columns / 2,
            odd: rows.columns % 2,
            second: rows.pixel,
            next: rows.pixel.wrapping_mul(2),
            blocks,
            // The last block overlaps the one before it.
            last: rows.channels.wrapping_sub(1) % 4 + 1,
        };
        // SAFETY: the rows, none of which is empty, lie within `x` and `out` with all their channels, `blocks` blocks of `bytes` bytes of
        // weights, a multiple of 16 and not 0, and their records within `w` and `records`, and one block of weights in `slab`.
        unsafe { kinglet_rows_paired(&raw mut arguments) }
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

/// Lines of four channels.
#[inline(never)]
pub fn depthwise_lines(
    x: &mut [u32],
    input: &[i8],
    w: &[u32; 24],
    records: &[u32; 16],
    out: &mut [i8],
    shape: &Lines,
    lines: Range<usize>,
) {
    if !proven(shape.fit(x.len(), input.len(), out.len(), lines.start, lines.end)) || lines.is_empty() {
        return;
    }
    let (top, above) = (lines.start.saturating_mul(shape.stride[0]), shape.before[0]);
    let first = top.saturating_sub(above);
    let inside = shape.input.lines.saturating_sub(first);
    let (count, along) = (shape.output.pixels, shape.stride[1]);
    let (all, rest) = (line_pairs(count, along), if along == 1 { count % 4 } else { count % 2 });
    let from = if inside > 0 { shape.input.start(first) } else { 0 };
    let mut arguments = LinesArguments {
        input: Walk::of(&shape.input, input.as_ptr().wrapping_add(from), first),
        output: Walk::of(&shape.output, out.as_mut_ptr().wrapping_add(shape.output.start(lines.start)), lines.start),
        pixel: shape.input.pixel,
        above: above.saturating_sub(top),
        inside,
        zero: u32::from(shape.zero as u8).wrapping_mul(0x0101_0101),
        x: x.as_mut_ptr(),
        plane: all.wrapping_mul(12),
        slot: 0,
        pairs: shape.pairs(),
        all,
        out_pixel: shape.output.pixel,
        bytes: count.wrapping_sub(rest).wrapping_mul(shape.output.pixel),
        rest,
        stride: shape.stride[0],
        lines: lines.len(),
        channels: [[0; 14]; 4],
    };
    let kernel = if along == 1 { kinglet_depthwise_lines } else { kinglet_depthwise_lines2 };
    // SAFETY: `shape` fits: `inside` lines of the input from the first that is read on, with as many pixels as `pairs` says, lie within
    // `input`, the planes of three lines within `x`, and `lines`, not 0, of the output within `out`.
    unsafe { kernel(&raw mut arguments, w, records) }
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
