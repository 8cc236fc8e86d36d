//! The loops in the instructions of Armv6-M, from `asm/*.S`, behind functions that check the lengths of their slices: Thumb of 16 bits,
//! eight registers for arithmetic and six to keep things in, and products of 32 bits.

use core::arch::global_asm;

use super::shapes::{self, Columns, Pair, Patch, Products, STRIDE2_SLOTS, Scheme, TapGrid, Tiles, proven};

global_asm!(
    hot!(),
    include_str!("../arm/asm/macros.S"),
    include_str!("asm/requantize.S"),
    include_str!("asm/products.S"),
    include_str!("asm/winograd4.S"),
    include_str!("asm/stride2.S"),
    include_str!("asm/patch.S"),
    include_str!("asm/depthwise.S"),
    include_str!("asm/dot.S"),
    include_str!("asm/add.S"),
    ".text",
    options(raw)
);

/// Sums `[pixel][channel]` of two pixels and four channels.
type Accumulators = [[i32; 4]; 2];

/// Products of two pixels with blocks of four channels.
#[repr(C)]
struct Blocks {
    x: *const u32,
    w: *const u32,
    sums: *mut i32,
    /// Bytes of `x`.
    bytes: usize,
    /// Bytes from the end of a block's `x` to the next's.
    next: isize,
    blocks: usize,
}

/// A patch of rows of words.
#[repr(C)]
struct Words {
    dst: *mut u32,
    src: *const i8,
    /// Bytes of a row, and from its end to the next.
    bytes: usize,
    next: isize,
    rows: usize,
}

/// The taps of a depthwise pixel.
#[repr(C)]
struct Taps {
    src: *const i8,
    w: *const u32,
    sums: *mut i32,
    step: usize,
    columns: usize,
    /// Bytes from behind the last column to the next row.
    next: isize,
    rows: usize,
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

/// The output transform of one channel of a tile.
#[repr(C)]
struct Output {
    m: *const i32,
    record: *const u32,
    out: *mut i8,
    row: usize,
    pixel: usize,
}

type BlocksKernel = unsafe extern "C" fn(Blocks);
type VerticalKernel = unsafe extern "C" fn(Vertical);

unsafe extern "C" {
    fn kinglet_v6_products16(arguments: Blocks);
    fn kinglet_v6_products8(arguments: Blocks);
    fn kinglet_v6_products_paired(arguments: Blocks);
    fn kinglet_v6_quantize(sums: *const i32, records: *const u32, first: *mut i8, second: *mut i8);
    fn kinglet_v6_patch(arguments: Words);
    fn kinglet_v6_dot4(x: *const i8, w: *const *const i8, n: usize, sums: *mut i32);
    fn kinglet_v6_taps(arguments: Taps);
    fn kinglet_v6_w4_vertical(arguments: Vertical);
    fn kinglet_v6_s2_vertical(arguments: Vertical);
    fn kinglet_v6_s2_horizontal(t: *const u32, v: *mut u32, pairs: usize, position: usize, slots: *const u32);
    fn kinglet_v6_w4_horizontal(t: *const u32, v: *mut u32, pairs: usize, position: usize);
    fn kinglet_v6_w4_output(arguments: Output);
    fn kinglet_v6_w4_output_relu(arguments: Output);
    fn kinglet_v6_add_linear(a: *mut i8, b: *const i8, constants: *const i32, n: usize);
}

/// Widens two patches, if all of their rows are whole words where words lie; whether they are.
#[inline(always)]
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) -> bool {
    let (stride, rows, bytes) = (patch.stride(), patch.rows(), patch.len());
    let [first, second] = at.map(|at| src.as_ptr().wrapping_add(at));
    if !(first as usize | second as usize | stride | bytes).is_multiple_of(4) {
        return false;
    }
    if proven(patch.fit_widened(dst.len(), src.len(), at)) {
        let next = stride.wrapping_sub(bytes) as isize;
        // SAFETY: `rows` rows of `bytes` bytes, neither of them 0, lie within `src` for both patches, at multiples of 4, and their pairs
        // within `dst`.
        unsafe {
            kinglet_v6_patch(Words { dst: dst.as_mut_ptr(), src: first, bytes, next, rows });
            kinglet_v6_patch(Words { dst: dst.as_mut_ptr().add(1), src: second, bytes, next, rows });
        }
    }
    true
}

/// The sums of all blocks of `sums` by a kernel whose weights have `words` words to a pair.
#[inline(always)]
fn blocks(kernel: BlocksKernel, words: usize, x: &[u32], w: &[u32], sums: &mut [i32]) {
    let (pairs, blocks) = (x.len() / 2, sums.len() / 8);
    if proven(shapes::product_fits(x.len(), w.len(), blocks, words)) {
        let bytes = pairs.wrapping_mul(8);
        let (x, w, sums) = (x.as_ptr(), w.as_ptr(), sums.as_mut_ptr());
        // SAFETY: `bytes` bytes, a multiple of 16 and not 0, and weights and sums of `blocks` blocks, not 0, lie within the slices.
        unsafe { kernel(Blocks { x, w, sums, bytes, next: (bytes as isize).wrapping_neg(), blocks }) }
    }
}

/// Sums of weights of 16 bits.
#[inline(always)]
pub fn gemm16_acc(x: &[u32], w: &[u32], sums: &mut [i32]) {
    blocks(kinglet_v6_products16, 4, x, w, sums);
}

/// Sums of weights of 8 bits.
#[inline(always)]
pub fn gemm8_acc(x: &[u32], w: &[u32], sums: &mut [i32]) {
    blocks(kinglet_v6_products8, 2, x, w, sums);
}

/// A block of weights of 16 bits.
#[inline(always)]
pub fn block16(x: &[u32], w: &[u32]) -> Accumulators {
    let mut sums = [[0; 4]; 2];
    gemm16_acc(x, w, sums.as_flattened_mut());
    sums
}

/// A block of weights of 8 bits.
#[inline(always)]
pub fn block8(x: &[u32], w: &[u32]) -> Accumulators {
    let mut sums = [[0; 4]; 2];
    gemm8_acc(x, w, sums.as_flattened_mut());
    sums
}

/// A block of paired weights.
#[inline(always)]
pub fn block_paired(x: &[u32], w: &[u32]) -> Accumulators {
    let mut sums = [[0; 4]; 2];
    blocks(kinglet_v6_products_paired, 2, x, w, sums.as_flattened_mut());
    sums
}

/// Requantizes four channels of two pixels, and stores those of each from its byte of `at` on.
#[inline(always)]
pub fn quantized(sums: &Accumulators, records: &[u32; 16], out: &mut [i8], at: [usize; 2]) {
    if proven(at[0].saturating_add(4) <= out.len() && at[1].saturating_add(4) <= out.len()) {
        let (sums, records, out) = (sums.as_flattened().as_ptr(), records.as_ptr(), out.as_mut_ptr());
        // SAFETY: four bytes from either place on lie within `out`.
        unsafe { kinglet_v6_quantize(sums, records, out.add(at[0]), out.add(at[1])) }
    }
}

/// Dot products of the shortest length with four rows.
#[inline]
pub fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
    let n = weights.iter().fold(patch.len(), |n, row| n.min(row.len()));
    let mut sums = [0; 4];
    if n > 0 {
        let rows = weights.map(<[i8]>::as_ptr);
        // SAFETY: `n` bytes, not 0, lie within all five slices.
        unsafe { kinglet_v6_dot4(patch.as_ptr(), rows.as_ptr(), n, sums.as_mut_ptr()) }
    }
    sums
}

/// Depthwise pixels.
pub fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
    let (records, _) = records.as_chunks::<16>();
    if !proven(pair.fits(taps, src.len(), w.len(), records.len(), out.len())) {
        return;
    }
    let ([rows, columns], step) = (taps.kernel(), taps.step());
    let next = taps.row().wrapping_sub(columns.wrapping_mul(step)) as isize;
    let words = rows.wrapping_mul(columns).wrapping_mul(2);
    for (group, records) in records.iter().enumerate() {
        let channel = group.wrapping_mul(4);
        let mut sums = [[0; 4]; 2];
        for (at, sums) in [pair.at, pair.at.wrapping_add(pair.second)].into_iter().zip(&mut sums) {
            // SAFETY: all taps of both pixels and of all groups lie within `src`, their weights within `w`; there are some of either.
            unsafe {
                let (src, w) = (src.as_ptr().add(at).add(channel), w.as_ptr().add(words.wrapping_mul(group)));
                kinglet_v6_taps(Taps { src, w, sums: sums.as_mut_ptr(), step, columns, next, rows });
            }
        }
        quantized(&sums, records, out, [channel, channel.wrapping_add(pair.out)]);
    }
}

/// The products of pairs of tiles.
#[inline(always)]
pub fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
    if !proven(products.fit(v.len(), u.len(), m.len(), tiles)) {
        return;
    }
    let (table, entries) = products.table();
    let (mut x, mut sums) = (v.as_ptr(), m.as_mut_ptr());
    for _ in 0..tiles {
        let mut w = u.as_ptr();
        for &[pairs, positions, _] in table.iter().take(entries) {
            let (bytes, blocks) = ((pairs as usize).wrapping_mul(8), positions as usize);
            // SAFETY: the channel pairs of all positions, an even number and not 0, lie within the slices for `tiles` pairs of tiles, one
            // entry's after the other's, so that every pointer lies within its slice or at its end.
            unsafe {
                kinglet_v6_products16(Blocks { x, w, sums, bytes, next: 0, blocks });
                x = x.byte_add(bytes.wrapping_mul(blocks));
                w = w.byte_add(bytes.wrapping_mul(blocks).wrapping_mul(2));
                sums = sums.add(blocks.wrapping_mul(8));
            }
        }
    }
}

/// A vertical input transform by the kernel of its scheme.
#[inline(always)]
fn vertical(kernel: VerticalKernel, scheme: Scheme, src: &[i8], columns: &Columns, t: &mut [u32]) {
    if proven(columns.fit(scheme, src.len(), t.len())) {
        let rows = columns.rows.map(|row| src.as_ptr().wrapping_add(row));
        let &Columns { step, count, fill, missing, .. } = columns;
        // SAFETY: the scheme's rows lie within `src` for all columns, of which there are some, and the result within `t`.
        unsafe { kernel(Vertical { rows: rows.as_ptr(), t: t.as_mut_ptr(), step, count, fill, missing }) }
    }
}

/// The vertical input transform of F(4x4).
#[inline(always)]
pub fn vertical4(src: &[i8], columns: &Columns, t: &mut [u32]) {
    vertical(kinglet_v6_w4_vertical, Scheme::F4, src, columns, t);
}

/// The vertical input transform at stride 2.
#[inline(always)]
pub fn stride2_vertical(src: &[i8], columns: &Columns, t: &mut [u32]) {
    vertical(kinglet_v6_s2_vertical, Scheme::S2, src, columns, t);
}

/// The horizontal input transform at stride 2.
#[inline(always)]
pub fn stride2_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    if proven(Scheme::S2.horizontal_fits(t.len(), v.len(), at, position, pairs)) {
        let (bytes, slots) = (position.wrapping_mul(4), STRIDE2_SLOTS.as_flattened().as_ptr());
        // SAFETY: the columns of `pairs` pairs of tiles, not 0, lie within `t`, their slots of `position` words within `v`.
        unsafe { kinglet_v6_s2_horizontal(t.as_ptr(), v.as_mut_ptr().add(at), pairs, bytes, slots) }
    }
}

/// The horizontal input transform of F(4x4).
#[inline(always)]
pub fn horizontal4(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    if proven(Scheme::F4.horizontal_fits(t.len(), v.len(), at, position, pairs)) {
        // SAFETY: the columns of `pairs` pairs of tiles, not 0, lie within `t`, their slots of `position` words within `v`.
        unsafe { kinglet_v6_w4_horizontal(t.as_ptr(), v.as_mut_ptr().add(at), pairs, position.wrapping_mul(4)) }
    }
}

/// The output transform of F(4x4).
#[inline(always)]
pub fn output4(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
    if !proven(Scheme::F4.output_fits(m.len(), records.len(), out.len(), tiles)) {
        return;
    }
    let kernel = if relu { kinglet_v6_w4_output_relu } else { kinglet_v6_w4_output };
    let &Tiles { at, row, pixel } = tiles;
    for (unit, from) in
        (0..8usize).zip([at[0], at[1]].into_iter().flat_map(|at| (0..4).map(move |c| at.wrapping_add(c))))
    {
        // SAFETY: 36 positions of both tiles' channels lie within `m`, the records of four channels within `records`, and the pixels of
        // both tiles within `out`.
        unsafe {
            let record = records.as_ptr().add(unit % 4 * Scheme::F4.record());
            kernel(Output { m: m.as_ptr().add(unit), record, out: out.as_mut_ptr().add(from), row, pixel });
        }
    }
}

/// Linear sums of the shorter length.
#[inline(always)]
pub fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) {
    let n = a.len().min(b.len());
    if n > 0 {
        // SAFETY: `n` elements, not 0, lie within both slices.
        unsafe { kinglet_v6_add_linear(a.as_mut_ptr(), b.as_ptr(), constants.as_ptr(), n) }
    }
}
