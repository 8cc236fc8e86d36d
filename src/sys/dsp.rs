//! The blocks in the Arm DSP instructions of Armv7E-M (Cortex-M4, M7) and Armv8-M with the DSP extension (M33).
//!
//! On a core with Helium (M55) the costliest of them are in vector instructions.
//!
//! The loops are in `asm/*.S`. Each function here checks the lengths exactly as the portable definition does, and then
//! calls one of them; off the target there is nothing here, and the portable definitions stand in.

use crate::kernels::algorithms::pool;
use crate::kernels::blocks::Blocks;
#[cfg(all(kinglet_dsp, kinglet_fpu))]
use crate::kernels::blocks::float16::{self, LANES, Layer};
#[cfg(all(kinglet_dsp, kinglet_fpu))]
use crate::kernels::float16::{dot_1x4, f16};
#[cfg(kinglet_helium)]
use crate::kernels::{AddTerms, portable};
use crate::kernels::{Backend, Pixels};
#[cfg(kinglet_helium)]
use crate::quant::{OutputStage, Rounding};

/// The blocks of the Arm DSP instructions, or the portable definitions where there are none.
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

impl Backend for Dsp {
    const NAME: &'static str = if cfg!(kinglet_helium) { "helium" } else { "dsp" };

    // LLVM makes Helium's dot product of the portable loop.
    #[cfg(all(kinglet_dsp, not(kinglet_helium)))]
    #[inline]
    fn dot_2x4([first, second]: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        [Self::dot_1x4(first, weights), Self::dot_1x4(second, weights)]
    }

    #[cfg(all(kinglet_dsp, not(kinglet_helium)))]
    #[inline]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        let len = weights.iter().fold(patch.len(), |len, row| len.min(row.len()));
        let whole = len & !3;
        let mut sums = [0i32; 4];
        if whole > 0 {
            // SAFETY: `whole` bytes, a multiple of 4 and not 0, lie within all five slices.
            unsafe {
                let rows = weights.map(<[i8]>::as_ptr);
                asm::kinglet_dot4(patch.as_ptr(), rows.as_ptr(), whole / 4, sums.as_mut_ptr());
            }
        }
        let rest = patch.get(whole..len).unwrap_or_default();
        for (sum, row) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(Self::dot(rest, row.get(whole..).unwrap_or_default()));
        }
        sums
    }

    #[cfg(all(kinglet_dsp, kinglet_fpu))]
    #[inline]
    fn dot_f16_1x4(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) {
        let len = weights.iter().fold(patch.len(), |len, row| len.min(row.len()));
        let (x, w) = (patch.as_ptr(), weights.map(<[f16]>::as_ptr));
        if len > 1 {
            let kernel = if are_words(&[x]) && are_words(&w) { asm::kinglet_f16_1x4 } else { asm::kinglet_f16_1x4_any };
            // SAFETY: `len / 2` pairs of halves, at least one, lie within all five slices, at multiples of 4 where the kernel
            // wants them so; the sums are 4.
            unsafe { kernel(x, w.as_ptr(), len / 2, sums.as_mut_ptr()) }
        }
        if len % 2 == 1 {
            dot_1x4(only(patch, len - 1), weights.map(|row| only(row, len - 1)), sums);
        }
    }

    #[inline]
    fn sum(pixels: &Pixels<'_>, sums: &mut [i32]) {
        pool::sum::<Self>(pixels, sums);
    }

    #[cfg(kinglet_helium)]
    #[inline]
    fn add(left: &mut [i8], right: &[i8], terms: &AddTerms) {
        let (n, [a, b], out) = (left.len().min(right.len()), terms.factors, terms.output_factor);
        let shifts = [a.shift, b.shift, out.shift];
        if let Some(constants) = &terms.linear {
            Self::add_by_line(left, right, terms, constants);
        } else if terms.stage.rounding == Rounding::Double && shifts.iter().all(|shift| (-31..=0).contains(shift)) {
            let ([zero_a, zero_b], OutputStage { zero_point, clamp, .. }) = (terms.zero_points, terms.stage);
            let [shift_a, shift_b, shift] = shifts;
            let arguments = [
                zero_a,
                zero_b,
                a.multiplier,
                b.multiplier,
                out.multiplier,
                zero_point,
                shift_a,
                shift_b,
                shift,
                clamp.min,
                clamp.max,
            ];
            if n > 0 {
                // SAFETY: `n` elements, not 0, lie within both slices; the block reads the words that it names.
                unsafe { asm::kinglet_helium_add(left.as_mut_ptr(), right.as_ptr(), arguments.as_ptr(), n) }
            }
        } else {
            portable::add(left, right, terms);
        }
    }
}

/// The arguments of `kinglet_f16_gemm`.
#[cfg(all(kinglet_dsp, kinglet_fpu))]
#[repr(C)]
struct Halves {
    x: *const f32,
    weights: *const f16,
    biases: *const u32,
    k: usize,
    blocks: usize,
    out: [*mut f16; 4],
    low: f32,
    high: f32,
}

/// Whether all start at multiples of 4, as the floating-point unit's loads demand.
#[cfg(all(kinglet_dsp, kinglet_fpu))]
fn are_words(rows: &[*const f16]) -> bool {
    rows.iter().all(|row| row.addr().is_multiple_of(4))
}

/// The element at `at` alone.
#[cfg(all(kinglet_dsp, kinglet_fpu))]
fn only(row: &[f16], at: usize) -> &[f16] {
    row.get(at..).and_then(|rest| rest.get(..1)).unwrap_or_default()
}

#[cfg(not(kinglet_dsp))]
impl Blocks for Dsp {}

#[cfg(kinglet_dsp)]
mod asm {
    use core::arch::global_asm;

    #[cfg(kinglet_fpu)]
    use super::f16;

    global_asm!(
        concat!(".cpu ", env!("KINGLET_ASSEMBLER_CPU")),
        include_str!("asm/macros.S"),
        include_str!("asm/gemm.S"),
        include_str!("asm/winograd.S"),
        include_str!("asm/winograd4.S"),
        include_str!("asm/winograd2.S"),
        include_str!("asm/stride2.S"),
        include_str!("asm/elementwise.S"),
        include_str!("asm/depthwise.S"),
        include_str!("asm/dot.S"),
        ".text",
        options(raw)
    );

    #[cfg(kinglet_helium)]
    global_asm!(include_str!("asm/helium.S"), ".text", options(raw));

    #[cfg(kinglet_fpu)]
    global_asm!(include_str!("asm/float16.S"), ".text", options(raw));

    #[cfg(kinglet_fpu)]
    unsafe extern "C" {
        pub fn kinglet_f16_spread(from: *const f16, x: *mut f32, pairs: usize);
        pub fn kinglet_f16_gemm(arguments: *const super::Halves);
        pub fn kinglet_f16_gemm_any(arguments: *const super::Halves);
        pub fn kinglet_f16_1x4(x: *const f16, w: *const *const f16, pairs: usize, sums: *mut f32);
        pub fn kinglet_f16_1x4_any(x: *const f16, w: *const *const f16, pairs: usize, sums: *mut f32);
    }

    #[cfg(kinglet_helium)]
    unsafe extern "C" {
        pub fn kinglet_helium_gemm_bytes(
            x: *const u32,
            w: *const u32,
            r: *const u32,
            out: *mut i8,
            steps: usize,
            n: usize,
            d: usize,
        );
        pub fn kinglet_helium_gemm_bytes_acc(x: *const u32, w: *const u32, acc: *mut i32, n: usize, steps: usize);
        pub fn kinglet_helium_patch_bytes(dst: *mut i8, src: *const i8, stride: usize, rows: usize, len: usize);
        pub fn kinglet_helium_add(a: *mut i8, b: *const i8, terms: *const i32, n: usize);
        pub fn kinglet_helium_patch(
            dst: *mut u32,
            src: *const i8,
            stride: usize,
            rows: usize,
            words: usize,
            second: isize,
        );
        pub fn kinglet_helium_sum16(src: *const i8, step: usize, pixels: usize, acc: *mut i32);
        pub fn kinglet_helium_products(v: *const u32, u: *const u32, m: *mut i32, quads: usize, positions: usize);
    }

    // On a core with Helium, blocks in vector instructions take the place of some: of all with a `link_name` here.
    #[cfg_attr(kinglet_helium, allow(dead_code))]
    unsafe extern "C" {
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_gemm16")]
        pub fn kinglet_gemm16(
            x: *const u32,
            w: *const u32,
            r: *const u32,
            out: *mut i8,
            pairs: usize,
            n: usize,
            d: usize,
        );
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_gemm8")]
        pub fn kinglet_gemm8(
            x: *const u32,
            w: *const u32,
            r: *const u32,
            out: *mut i8,
            pairs: usize,
            n: usize,
            d: usize,
        );
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_gemm16_acc")]
        pub fn kinglet_gemm16_acc(x: *const u32, w: *const u32, acc: *mut i32, zero: usize, pairs: usize, n: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_gemm8_acc")]
        pub fn kinglet_gemm8_acc(x: *const u32, w: *const u32, acc: *mut i32, zero: usize, pairs: usize, n: usize);
        pub fn kinglet_patch(
            dst: *mut u32,
            src: *const i8,
            stride: usize,
            rows: usize,
            words: usize,
            rest: usize,
            second: isize,
        );
        pub fn kinglet_winograd_gemm_short(v: *const u32, u: *const u32, m: *mut i32, pairs: usize, positions: usize);
        pub fn kinglet_winograd_gemm(v: *const u32, u: *const u32, m: *mut i32, table: *const u32, entries: usize);
        pub fn kinglet_w4_vertical(rows: *const *const i8, t: *mut u32, step: usize, n: usize, fill: u32, missing: u32);
        pub fn kinglet_w4_vertical_masked(
            rows: *const *const i8,
            t: *mut u32,
            step: usize,
            n: usize,
            fill: u32,
            missing: u32,
        );
        pub fn kinglet_w4_horizontal(t: *const u32, v: *mut u32, pairs: usize, bytes: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_w4_output")]
        pub fn kinglet_w4_output(m: *const i32, r: *const u32, a: *mut i8, b: *mut i8, row: usize, pixel: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_w4_output_relu")]
        pub fn kinglet_w4_output_relu(m: *const i32, r: *const u32, a: *mut i8, b: *mut i8, row: usize, pixel: usize);
        pub fn kinglet_w2_vertical(rows: *const *const i8, t: *mut u32, step: usize, n: usize, fill: u32, missing: u32);
        pub fn kinglet_w2_vertical_masked(
            rows: *const *const i8,
            t: *mut u32,
            step: usize,
            n: usize,
            fill: u32,
            missing: u32,
        );
        pub fn kinglet_w2_horizontal(t: *const u32, v: *mut u32, pairs: usize, bytes: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_w2_output")]
        pub fn kinglet_w2_output(m: *const i32, r: *const u32, a: *mut i8, b: *mut i8, row: usize, pixel: usize);
        pub fn kinglet_w2_weights(src: *const u32, u: *mut u32, bytes: usize, groups: usize);
        pub fn kinglet_s2_vertical(rows: *const *const i8, t: *mut u32, step: usize, n: usize, fill: u32, missing: u32);
        pub fn kinglet_s2_vertical_masked(
            rows: *const *const i8,
            t: *mut u32,
            step: usize,
            n: usize,
            fill: u32,
            missing: u32,
        );
        pub fn kinglet_s2_horizontal(t: *const u32, v: *mut u32, pairs: usize, bytes: usize, slots: *const u32);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_s2_output")]
        pub fn kinglet_s2_output(m: *const i32, r: *const u32, a: *mut i8, b: *mut i8, row: usize, pixel: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_depthwise")]
        pub fn kinglet_depthwise(src: *const i8, arguments: *mut super::Depthwise);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_depthwise3")]
        pub fn kinglet_depthwise3(src: *const i8, arguments: *mut super::Depthwise);
        pub fn kinglet_dot4(x: *const i8, w: *const *const i8, words: usize, sums: *mut i32);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_add_linear")]
        pub fn kinglet_add_linear(a: *mut i8, b: *const i8, constants: *const i32, n: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_max3")]
        pub fn kinglet_max3(out: *mut i8, a: *const i8, b: *const i8, c: *const i8, n: usize);
        #[cfg_attr(kinglet_helium, link_name = "kinglet_helium_clamp")]
        pub fn kinglet_clamp(data: *mut i8, n: usize, low: u32, high: u32);
        pub fn kinglet_copy(dst: *mut i8, src: *const i8, n: usize);
        pub fn kinglet_sum(src: *const i8, step: usize, pixels: usize, acc: *mut i32);
    }
}

#[cfg(kinglet_helium)]
use crate::kernels::blocks::gemm_bytes;
#[cfg(kinglet_dsp)]
use crate::kernels::blocks::{Columns, Tiles, depthwise, elementwise, gemm, stride2, winograd, winograd2, winograd4};

/// The arguments of the depthwise blocks, which count through the last fields.
#[cfg(kinglet_dsp)]
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

/// How many of `n` elements a block over bytes takes: with Helium all, else a multiple of `step`, which is a power of two.
#[cfg(kinglet_dsp)]
const fn in_vectors(n: usize, step: usize) -> usize {
    if cfg!(kinglet_helium) { n } else { n & !(step - 1) }
}

/// The addresses of rows.
#[cfg(kinglet_dsp)]
#[inline(always)]
fn addresses<const ROWS: usize>(src: &[i8], rows: &[usize; ROWS]) -> [*const i8; ROWS] {
    rows.map(|row| src.as_ptr().wrapping_add(row))
}

#[cfg(kinglet_dsp)]
impl Blocks for Dsp {
    #[inline(always)]
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], shape: &gemm::Rows) {
        if shape.fit(dst.len(), src.len(), at) {
            let [first, second] = at;
            let (stride, rows, len) = (shape.stride(), shape.rows(), shape.len());
            let second = second.wrapping_sub(first) as isize;
            // SAFETY: both patches lie within `src` and their pairs within `dst`; the rest bytes fit the block's stack.
            unsafe {
                let at = src.as_ptr().add(first);
                #[cfg(kinglet_helium)]
                if len % 4 == 0 {
                    return asm::kinglet_helium_patch(dst.as_mut_ptr(), at, stride, rows, len / 4, second);
                }
                asm::kinglet_patch(dst.as_mut_ptr(), at, stride, rows, len / 4, len % 4, second);
            }
        }
    }

    #[inline(always)]
    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        let blocks = records.len() / 16;
        if gemm::fits(x.len(), w.len(), blocks, 4) && gemm::fits_out(blocks, second, out.len()) {
            // SAFETY: x.len() / 2 pairs, and weights, records and outputs of `blocks` blocks, lie within the slices.
            unsafe {
                asm::kinglet_gemm16(
                    x.as_ptr(),
                    w.as_ptr(),
                    records.as_ptr(),
                    out.as_mut_ptr(),
                    x.len() / 2,
                    blocks,
                    second,
                );
            }
        }
    }

    #[inline(always)]
    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        let blocks = records.len() / 16;
        if gemm::fits(x.len(), w.len(), blocks, 2) && gemm::fits_out(blocks, second, out.len()) {
            // SAFETY: x.len() / 2 pairs, and weights, records and outputs of `blocks` blocks, lie within the slices.
            unsafe {
                asm::kinglet_gemm8(
                    x.as_ptr(),
                    w.as_ptr(),
                    records.as_ptr(),
                    out.as_mut_ptr(),
                    x.len() / 2,
                    blocks,
                    second,
                );
            }
        }
    }

    #[inline(always)]
    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        let blocks = acc.len() / 8;
        if gemm::fits(x.len(), w.len(), blocks, 4) {
            // SAFETY: x.len() / 2 pairs, and weights and accumulators of `blocks` blocks, lie within the slices.
            unsafe { asm::kinglet_gemm16_acc(x.as_ptr(), w.as_ptr(), acc.as_mut_ptr(), 0, x.len() / 2, blocks) }
        }
    }

    #[inline(always)]
    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        let blocks = acc.len() / 8;
        if gemm::fits(x.len(), w.len(), blocks, 2) {
            // SAFETY: x.len() / 2 pairs, and weights and accumulators of `blocks` blocks, lie within the slices.
            unsafe { asm::kinglet_gemm8_acc(x.as_ptr(), w.as_ptr(), acc.as_mut_ptr(), 0, x.len() / 2, blocks) }
        }
    }

    #[cfg(kinglet_helium)]
    #[inline(always)]
    fn patch_bytes(dst: &mut [u32], src: &[i8], first: usize, second: usize, stride: usize, rows: usize, len: usize) {
        let bytes = size_of_val(dst);
        if gemm_bytes::patch_fits(bytes, src.len(), [first, second], stride, rows, len) {
            let to = dst.as_mut_ptr().cast::<i8>();
            for (at, half) in [(first, 0), (second, bytes / 2)] {
                // SAFETY: `rows` rows of `len` bytes, neither 0, lie within `src` from `at` on, and within this half of `dst`.
                unsafe { asm::kinglet_helium_patch_bytes(to.add(half), src.as_ptr().add(at), stride, rows, len) }
            }
        }
    }

    #[cfg(kinglet_helium)]
    #[inline(always)]
    fn gemm_bytes(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        let blocks = records.len() / 16;
        if gemm_bytes::fits(x.len(), w.len(), blocks) && gemm::fits_out(blocks, second, out.len()) {
            let (steps, out) = (x.len() / 8, out.as_mut_ptr());
            // SAFETY: `steps` steps of two patches, and weights, records and outputs of `blocks` blocks, lie within the slices.
            unsafe {
                asm::kinglet_helium_gemm_bytes(x.as_ptr(), w.as_ptr(), records.as_ptr(), out, steps, blocks, second);
            }
        }
    }

    #[cfg(kinglet_helium)]
    #[inline(always)]
    fn gemm_bytes_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        let blocks = acc.len() / 8;
        if gemm_bytes::fits(x.len(), w.len(), blocks) {
            // SAFETY: the steps of two patches, and weights and accumulators of `blocks` blocks, lie within the slices.
            unsafe {
                asm::kinglet_helium_gemm_bytes_acc(x.as_ptr(), w.as_ptr(), acc.as_mut_ptr(), blocks, x.len() / 8);
            }
        }
    }

    #[inline(always)]
    fn products(v: &[u32], u: &[u32], m: &mut [i32], pairs: usize) {
        let positions = m.len() / 8;
        if winograd::products_fit(v.len(), u.len(), positions, pairs) {
            #[cfg(kinglet_helium)]
            if pairs.is_multiple_of(4) {
                // SAFETY: `pairs` channel pairs of `positions` positions lie within the slices.
                unsafe { asm::kinglet_helium_products(v.as_ptr(), u.as_ptr(), m.as_mut_ptr(), pairs / 4, positions) }
                return;
            }
            let table = [pairs as u32, positions as u32];
            // SAFETY: `pairs` channel pairs of `positions` positions lie within the slices; the first is for 16 or fewer.
            unsafe {
                if pairs <= 16 {
                    asm::kinglet_winograd_gemm_short(v.as_ptr(), u.as_ptr(), m.as_mut_ptr(), pairs, positions);
                } else {
                    asm::kinglet_winograd_gemm(v.as_ptr(), u.as_ptr(), m.as_mut_ptr(), table.as_ptr(), 1);
                }
            }
        }
    }

    #[inline(always)]
    fn products_table<const N: usize>(v: &[u32], u: &[u32], m: &mut [i32], table: &winograd::Table<N>) {
        #[cfg(kinglet_helium)]
        if table.entries().iter().all(|[pairs, _]| pairs.is_multiple_of(4)) {
            // One entry after another, each by `products`.
            winograd::products_by::<Self, N>(v, u, m, table);
            return;
        }
        if table.fits(v.len(), u.len(), m.len()) {
            // SAFETY: the table's channel pairs and positions lie within the slices.
            unsafe {
                let entries = table.entries().as_ptr().cast();
                asm::kinglet_winograd_gemm(v.as_ptr(), u.as_ptr(), m.as_mut_ptr(), entries, N);
            }
        }
    }

    #[inline(always)]
    fn w4_vertical(src: &[i8], columns: &Columns<6>, t: &mut [u32]) {
        if columns.fits(src.len(), t.len(), winograd4::COLUMN) {
            let rows = addresses(src, &columns.rows);
            let (step, n, fill, missing) = (columns.step, columns.count, columns.fill, columns.missing);
            // SAFETY: the rows lie within `src` for all columns, and the result within `t`.
            unsafe {
                if missing == 0 {
                    asm::kinglet_w4_vertical(rows.as_ptr(), t.as_mut_ptr(), step, n, fill, missing);
                } else {
                    asm::kinglet_w4_vertical_masked(rows.as_ptr(), t.as_mut_ptr(), step, n, fill, missing);
                }
            }
        }
    }

    #[inline(always)]
    fn w4_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        if winograd4::fits(t.len(), v.len(), at, position, pairs) {
            // SAFETY: the columns of `pairs` pairs of tiles lie within `t`, their positions within `v`.
            unsafe { asm::kinglet_w4_horizontal(t.as_ptr(), v.as_mut_ptr().add(at), pairs, position * 4) }
        }
    }

    #[inline(always)]
    fn w4_output(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: Tiles) {
        if m.len() >= 288 && records.len() >= 32 && tiles.fits(4, out.len()) {
            // SAFETY: 36 positions, records of 4 channels and 4x4 pixels of both tiles lie within the slices.
            unsafe {
                let (a, b) = (out.as_mut_ptr().add(tiles.at[0]), out.as_mut_ptr().add(tiles.at[1]));
                if relu {
                    asm::kinglet_w4_output_relu(m.as_ptr(), records.as_ptr(), a, b, tiles.row, tiles.pixel);
                } else {
                    asm::kinglet_w4_output(m.as_ptr(), records.as_ptr(), a, b, tiles.row, tiles.pixel);
                }
            }
        }
    }

    #[inline(always)]
    fn w2_vertical(src: &[i8], columns: &Columns<4>, t: &mut [u32]) {
        if columns.fits(src.len(), t.len(), winograd2::COLUMN) {
            let rows = addresses(src, &columns.rows);
            let (step, n, fill, missing) = (columns.step, columns.count, columns.fill, columns.missing);
            // SAFETY: the rows lie within `src` for all columns, and the result within `t`.
            unsafe {
                if missing == 0 {
                    asm::kinglet_w2_vertical(rows.as_ptr(), t.as_mut_ptr(), step, n, fill, missing);
                } else {
                    asm::kinglet_w2_vertical_masked(rows.as_ptr(), t.as_mut_ptr(), step, n, fill, missing);
                }
            }
        }
    }

    #[inline(always)]
    fn w2_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        if winograd2::fits(t.len(), v.len(), at, position, pairs) {
            // SAFETY: the columns of `pairs` pairs of tiles lie within `t`, their positions within `v`.
            unsafe { asm::kinglet_w2_horizontal(t.as_ptr(), v.as_mut_ptr().add(at), pairs, position * 4) }
        }
    }

    #[inline(always)]
    fn w2_output(m: &[i32], records: &[u32], out: &mut [i8], tiles: Tiles) {
        if m.len() >= 128 && records.len() >= 16 && tiles.fits(2, out.len()) {
            // SAFETY: 16 positions, records of 4 channels and 2x2 pixels of both tiles lie within the slices.
            unsafe {
                let (a, b) = (out.as_mut_ptr().add(tiles.at[0]), out.as_mut_ptr().add(tiles.at[1]));
                asm::kinglet_w2_output(m.as_ptr(), records.as_ptr(), a, b, tiles.row, tiles.pixel);
            }
        }
    }

    #[inline(always)]
    fn w2_weights(src: &[u32], u: &mut [u32], at: usize, position: usize) {
        if winograd2::weights_fit(src.len(), u.len(), at, position) {
            // SAFETY: src.len() / 9 groups of 9 words lie within `src`, and 16 positions of their pairs within `u`.
            unsafe { asm::kinglet_w2_weights(src.as_ptr(), u.as_mut_ptr().add(at), position * 4, src.len() / 9) }
        }
    }

    #[inline(always)]
    fn s2_vertical(src: &[i8], columns: &Columns<5>, t: &mut [u32]) {
        if columns.fits(src.len(), t.len(), stride2::COLUMN) {
            let rows = addresses(src, &columns.rows);
            let (step, n, fill, missing) = (columns.step, columns.count, columns.fill, columns.missing);
            // SAFETY: the rows lie within `src` for all columns, and the result within `t`.
            unsafe {
                if missing == 0 {
                    asm::kinglet_s2_vertical(rows.as_ptr(), t.as_mut_ptr(), step, n, fill, missing);
                } else {
                    asm::kinglet_s2_vertical_masked(rows.as_ptr(), t.as_mut_ptr(), step, n, fill, missing);
                }
            }
        }
    }

    #[inline(always)]
    fn s2_horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        if stride2::fits(t.len(), v.len(), at, position, pairs) {
            // SAFETY: the columns of `pairs` pairs of tiles lie within `t`, their 25 slots within `v`.
            unsafe {
                let slots = stride2::SLOTS.as_ptr().cast();
                asm::kinglet_s2_horizontal(t.as_ptr(), v.as_mut_ptr().add(at), pairs, position * 4, slots);
            }
        }
    }

    #[inline(always)]
    fn s2_output(m: &[i32], records: &[u32], out: &mut [i8], tiles: Tiles) {
        if m.len() >= 72 && records.len() >= 16 && tiles.fits(2, out.len()) {
            // SAFETY: 9 positions, records of 4 channels and 2x2 pixels of both tiles lie within the slices.
            unsafe {
                let (a, b) = (out.as_mut_ptr().add(tiles.at[0]), out.as_mut_ptr().add(tiles.at[1]));
                asm::kinglet_s2_output(m.as_ptr(), records.as_ptr(), a, b, tiles.row, tiles.pixel);
            }
        }
    }

    #[inline(always)]
    fn depthwise(
        src: &[i8],
        taps: &depthwise::Taps,
        pair: depthwise::Pair,
        w: &[u32],
        records: &[u32],
        out: &mut [i8],
    ) {
        let groups = records.len() / 16;
        if pair.fits(taps, src.len(), w.len(), groups, out.len()) {
            let [rows, columns] = taps.kernel();
            // SAFETY: all taps of both pixels lie within `src`, their weights within `w`, both outputs within `out`; the
            // second block is for the kernels and neighbors that it names.
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
                let src = src.as_ptr().add(pair.at);
                if rows == 3 && columns == 3 && pair.second == taps.step() {
                    asm::kinglet_depthwise3(src, &raw mut arguments);
                } else {
                    asm::kinglet_depthwise(src, &raw mut arguments);
                }
            }
        }
    }

    #[inline(always)]
    fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) {
        let whole = a.len().min(b.len()) & !7;
        if whole > 0 {
            // SAFETY: `whole` elements, a multiple of 8 and not 0, lie within both slices.
            unsafe { asm::kinglet_add_linear(a.as_mut_ptr(), b.as_ptr(), constants.as_ptr(), whole) }
        }
        let (a, b) = (a.get_mut(whole..).unwrap_or_default(), b.get(whole..).unwrap_or_default());
        elementwise::add_linear(a, b, constants);
    }

    #[inline(always)]
    fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
        let whole = in_vectors(out.len().min(a.len()).min(b.len()).min(c.len()), 8);
        if whole > 0 {
            // SAFETY: `whole` elements, not 0 and as many as the block takes, lie within all four slices.
            unsafe { asm::kinglet_max3(out.as_mut_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr(), whole) }
        }
        let (a, b, c) = (a.get(whole..), b.get(whole..), c.get(whole..));
        let out = out.get_mut(whole..).unwrap_or_default();
        elementwise::max3(out, a.unwrap_or_default(), b.unwrap_or_default(), c.unwrap_or_default());
    }

    #[inline(always)]
    fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
        let whole = in_vectors(acc.len().min(a.len()).min(b.len()), 8);
        if whole > 0 {
            let to = acc.as_mut_ptr();
            // SAFETY: `whole` elements, not 0 and as many as the block takes, lie within all three slices; the block reads a
            // word or vector of each before it writes that word or vector.
            unsafe { asm::kinglet_max3(to, to, a.as_ptr(), b.as_ptr(), whole) }
        }
        let (a, b) = (a.get(whole..).unwrap_or_default(), b.get(whole..).unwrap_or_default());
        elementwise::max_into(acc.get_mut(whole..).unwrap_or_default(), a, b);
    }

    #[inline(always)]
    fn clamp(data: &mut [i8], low: i8, high: i8) {
        let whole = in_vectors(data.len(), 4);
        if whole > 0 {
            let word = |v: i8| u32::from(v as u8).wrapping_mul(0x0101_0101);
            // SAFETY: `whole` elements, not 0 and as many as the block takes, lie within `data`.
            unsafe { asm::kinglet_clamp(data.as_mut_ptr(), whole, word(low), word(high)) }
        }
        elementwise::clamp(data.get_mut(whole..).unwrap_or_default(), low, high);
    }

    #[cfg(kinglet_fpu)]
    fn f16_spread(from: &[f16], x: &mut [f32]) {
        let len = from.len().min(x.len().div_ceil(LANES));
        if len > 1 {
            // SAFETY: `len / 2` pairs, at least one, lie within `from`, and as many lane elements within `x`.
            unsafe { asm::kinglet_f16_spread(from.as_ptr(), x.as_mut_ptr(), len / 2) }
        }
        if len % 2 == 1 {
            let last = len - 1;
            let (from, x) = (from.get(last..).unwrap_or_default(), x.get_mut(LANES * last..).unwrap_or_default());
            float16::spread(from.get(..1).unwrap_or_default(), x);
        }
    }

    #[cfg(kinglet_fpu)]
    fn f16_gemm(x: &[f32], layer: &Layer<'_>, out: &mut [f16], pixels: float16::Pixels) {
        let float16::Pixels { channels, pitch, count } = pixels;
        let fits = x.len() / LANES >= layer.k
            && layer.weights.len() >= channels.saturating_mul(layer.k)
            && layer.biases.len() >= channels
            && (1..=LANES).contains(&count)
            && out.len() >= (count - 1).saturating_mul(pitch).saturating_add(channels);
        let (weights, biases) = (layer.weights.as_ptr(), layer.biases.as_ptr());
        if !fits || channels < 4 || !biases.addr().is_multiple_of(4) {
            return float16::gemm(x, layer, out, pixels);
        }
        let words = weights.addr().is_multiple_of(4) && layer.k.is_multiple_of(2);
        let kernel = if words { asm::kinglet_f16_gemm } else { asm::kinglet_f16_gemm_any };
        let start = out.as_mut_ptr();
        let run = |first: usize, blocks: usize| {
            // A lane that is not there writes to the first one's pixel, before that one does.
            let lane = |lane: usize| start.wrapping_add(if lane < count { lane * pitch } else { 0 } + first);
            let arguments = Halves {
                x: x.as_ptr(),
                weights: weights.wrapping_add(first * layer.k),
                biases: biases.wrapping_add(first).cast(),
                k: layer.k,
                blocks,
                out: [lane(0), lane(1), lane(2), lane(3)],
                low: layer.bounds.low,
                high: layer.bounds.high,
            };
            // SAFETY: `k` elements of four lanes lie within `x`; weights, biases and outputs of `4 * blocks` channels from `first`
            // on lie within their slices, as was checked; they are aligned as the kernel wants them.
            unsafe { kernel(&raw const arguments) }
        };
        run(0, channels / 4);
        if !channels.is_multiple_of(4) {
            // The last block overlaps the one before, and computes the same.
            run(channels - 4, 1);
        }
    }

    #[inline(always)]
    fn copy(to: &mut [i8], from: &[i8]) {
        let (dst, src) = (to.as_mut_ptr(), from.as_ptr());
        if (dst as usize | src as usize).is_multiple_of(4) {
            // SAFETY: as many bytes lie within both slices.
            unsafe { asm::kinglet_copy(dst, src, to.len().min(from.len())) }
        } else {
            elementwise::copy(to, from);
        }
    }

    #[inline(always)]
    fn move_down(bytes: &mut [i8], from: usize) {
        if let Some(count) = bytes.len().checked_sub(from) {
            let start = bytes.as_mut_ptr();
            // SAFETY: `count` bytes lie within `bytes` from `from` on; the block reads every byte before it writes it.
            unsafe { asm::kinglet_copy(start, start.add(from), count) }
        }
    }

    #[inline(always)]
    fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
        if elementwise::sum_fits(src.len(), step, pixels, 4) {
            // SAFETY: `pixels` pixels, 1 to 255, of four channels lie within `src`.
            unsafe { asm::kinglet_sum(src.as_ptr(), step, pixels, acc.as_mut_ptr()) }
        }
    }

    #[cfg(kinglet_helium)]
    #[inline(always)]
    fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
        if elementwise::sum_fits(src.len(), step, pixels, 16) {
            // SAFETY: `pixels` pixels, 1 to 255, of sixteen channels lie within `src`.
            unsafe { asm::kinglet_helium_sum16(src.as_ptr(), step, pixels, acc.as_mut_ptr()) }
        }
    }
}
