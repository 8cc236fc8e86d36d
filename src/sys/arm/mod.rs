//! The loops in Arm's instructions, from `asm/*.S`, behind functions that check the lengths of their slices.
//!
//! Arguments are structs passed by value, which the calling convention lays out as it would their fields: the first four words in
//! registers, the rest on the stack.

pub mod dsp;
#[cfg(kinglet_fpu)]
pub mod float16;
#[cfg(kinglet_helium)]
pub mod helium;

use core::arch::global_asm;

use super::shapes::{self, Columns, Pair, Scheme, TapGrid, Tiles, proven};

global_asm!(
    concat!(".cpu ", env!("KINGLET_ASSEMBLER_CPU")),
    hot!(),
    include_str!("asm/macros.S"),
    include_str!("asm/gemm.S"),
    include_str!("asm/winograd.S"),
    include_str!("asm/winograd4.S"),
    include_str!("asm/winograd2.S"),
    include_str!("asm/stride2.S"),
    include_str!("asm/elementwise.S"),
    include_str!("asm/depthwise.S"),
    include_str!("asm/planes.S"),
    include_str!("asm/dot.S"),
    include_str!("asm/dense.S"),
    ".text",
    options(raw)
);

#[cfg(kinglet_helium)]
global_asm!(include_str!("asm/helium.S"), ".text", options(raw));

#[cfg(kinglet_fpu)]
global_asm!(include_str!("asm/float16.S"), ".text", options(raw));

#[cfg(all(kinglet_helium, kinglet_fpu))]
global_asm!(include_str!("asm/helium_float16.S"), ".text", options(raw));

/// A product with requantization: two pixels and `blocks` blocks of four channels.
#[repr(C)]
struct Gemm {
    x: *const u32,
    w: *const u32,
    records: *const u32,
    out: *mut i8,
    /// Pairs of inputs; steps of 16 bytes in products of bytes.
    pairs: usize,
    blocks: usize,
    /// Bytes from the first pixel to the second.
    second: usize,
}

/// A product that ends in its accumulators.
#[repr(C)]
struct GemmAcc {
    x: *const u32,
    w: *const u32,
    acc: *mut i32,
    unused: usize,
    pairs: usize,
    blocks: usize,
}

/// The output transform of a pair of tiles.
#[repr(C)]
struct Output {
    m: *const i32,
    records: *const u32,
    /// The first pixel of either tile.
    out: [*mut i8; 2],
    row: usize,
    pixel: usize,
}

/// The arguments of the depthwise blocks, which count through the last fields.
#[repr(C)]
struct Depthwise {
    row: usize,
    step: usize,
    second: usize,
    w: *const u32,
    records: *const u32,
    out: [*mut i8; 2],
    kernel: [usize; 2],
    groups: usize,
}

type GemmKernel = unsafe extern "C" fn(Gemm);
type GemmAccKernel = unsafe extern "C" fn(GemmAcc);
type OutputKernel = unsafe extern "C" fn(Output);
type DepthwiseKernel = unsafe extern "C" fn(*const i8, *mut Depthwise);

/// A product of words by a kernel whose weights have `words` words to a pair.
#[inline(always)]
fn gemm(kernel: GemmKernel, words: usize, x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    let (pairs, blocks) = (x.len() / 2, records.len() / 16);
    if proven(shapes::product_fits(x.len(), w.len(), blocks, words) && shapes::outputs_fit(blocks, second, out.len())) {
        let (x, w, records, out) = (x.as_ptr(), w.as_ptr(), records.as_ptr(), out.as_mut_ptr());
        // SAFETY: `pairs` pairs, and weights, records and outputs of `blocks` blocks, lie within the slices.
        unsafe { kernel(Gemm { x, w, records, out, pairs, blocks, second }) }
    }
}

/// The same that ends in its accumulators.
#[inline(always)]
fn gemm_acc(kernel: GemmAccKernel, words: usize, x: &[u32], w: &[u32], acc: &mut [i32]) {
    let (pairs, blocks) = (x.len() / 2, acc.len() / 8);
    if proven(shapes::product_fits(x.len(), w.len(), blocks, words)) {
        let (x, w, acc) = (x.as_ptr(), w.as_ptr(), acc.as_mut_ptr());
        // SAFETY: `pairs` pairs, and weights and accumulators of `blocks` blocks, lie within the slices.
        unsafe { kernel(GemmAcc { x, w, acc, unused: 0, pairs, blocks }) }
    }
}

/// The output transform of `scheme` by its kernel.
#[inline(always)]
fn output(kernel: OutputKernel, scheme: Scheme, m: &[i32], records: &[u32], out: &mut [i8], tiles: &Tiles) {
    if proven(scheme.output_fits(m.len(), records.len(), out.len(), tiles)) {
        // SAFETY: the scheme's positions, the records of 4 channels and the pixels of both tiles lie within the slices.
        unsafe {
            let out = [out.as_mut_ptr().add(tiles.at[0]), out.as_mut_ptr().add(tiles.at[1])];
            kernel(Output { m: m.as_ptr(), records: records.as_ptr(), out, row: tiles.row, pixel: tiles.pixel });
        }
    }
}

/// Depthwise pixels by `kernels`: one for all shapes, and one for 3x3 and neighboring pixels.
#[inline(always)]
fn depthwise(
    [any, three]: [DepthwiseKernel; 2],
    src: &[i8],
    taps: &TapGrid,
    pair: Pair,
    w: &[u32],
    records: &[u32],
    out: &mut [i8],
) {
    let groups = records.len() / 16;
    if proven(pair.fits(taps, src.len(), w.len(), groups, out.len())) {
        let [rows, columns] = taps.kernel();
        let kernel = if rows == 3 && columns == 3 && pair.second == taps.step() { three } else { any };
        // SAFETY: all taps of both pixels lie within `src`, their weights within `w`, both outputs within `out`; the
        // second block is for the kernels and neighbors that it is called for.
        unsafe {
            let out = out.as_mut_ptr();
            let mut arguments = Depthwise {
                row: taps.row(),
                step: taps.step(),
                second: pair.second,
                w: w.as_ptr(),
                records: records.as_ptr(),
                out: [out, out.add(pair.out)],
                kernel: taps.kernel(),
                groups,
            };
            kernel(src.as_ptr().add(pair.at), &raw mut arguments);
        }
    }
}

/// The offsets of a vertical transform's rows as addresses.
#[inline(always)]
fn addresses(src: &[i8], columns: &Columns) -> [*const i8; Scheme::MAX_SIDE] {
    columns.rows.map(|row| src.as_ptr().wrapping_add(row))
}
