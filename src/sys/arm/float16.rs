//! Half precision in the instructions of the floating-point unit.

use half::f16;

use crate::sys::shapes::{LANES, Pixels, proven};

/// The arguments of `kinglet_f16_gemm*`.
#[repr(C)]
struct Gemm {
    x: *const f32,
    weights: *const f16,
    biases: *const u32,
    k: usize,
    blocks: usize,
    out: [*mut f16; LANES],
    low: f32,
    high: f32,
}

unsafe extern "C" {
    fn kinglet_f16_spread(from: *const f16, x: *mut f32, pairs: usize);
    fn kinglet_f16_gemm(arguments: *const Gemm);
    fn kinglet_f16_gemm_any(arguments: *const Gemm);
    fn kinglet_f16_1x4(x: *const f16, w: *const *const f16, pairs: usize, sums: *mut f32);
    fn kinglet_f16_1x4_any(x: *const f16, w: *const *const f16, pairs: usize, sums: *mut f32);
}

/// Whether all start at multiples of 4, as the floating-point unit's loads demand.
#[inline(always)]
fn are_words(rows: &[*const f16]) -> bool {
    rows.iter().all(|row| row.addr().is_multiple_of(4))
}

/// Adds the products of the first elements, an even number, with four rows to `sums`; how many elements those are.
#[inline(always)]
pub fn dot_1x4(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) -> usize {
    let len = weights.iter().fold(patch.len(), |len, row| len.min(row.len()));
    let (x, w) = (patch.as_ptr(), weights.map(<[f16]>::as_ptr));
    if len > 1 {
        let kernel = if are_words(&[x]) && are_words(&w) { kinglet_f16_1x4 } else { kinglet_f16_1x4_any };
        // SAFETY: `len / 2` pairs of elements, at least one, lie within all five slices, at multiples of 4 where the kernel
        // wants them so; the sums are 4.
        unsafe { kernel(x, w.as_ptr(), len / 2, sums.as_mut_ptr()) }
    }
    len & !1
}

/// Widens the first elements, an even number, into a lane; how many.
#[inline(always)]
pub fn spread(from: &[f16], x: &mut [f32]) -> usize {
    let len = from.len().min(x.len().div_ceil(LANES));
    if len > 1 {
        // SAFETY: `len / 2` pairs, at least one, lie within `from`, and as many lane elements within `x`.
        unsafe { kinglet_f16_spread(from.as_ptr(), x.as_mut_ptr(), len / 2) }
    }
    len & !1
}

/// All channels of the pixels in the lanes of `x`, over `k` inputs, clamped to `low..=high`; `false`, and nothing, of fewer than
/// four channels, or where the biases do not start at a multiple of 4.
#[inline(always)]
pub fn gemm(
    x: &[f32],
    weights: &[f16],
    biases: &[[u8; 4]],
    k: usize,
    [low, high]: [f32; 2],
    out: &mut [f16],
    pixels: Pixels,
) -> bool {
    let Pixels { channels, pitch, count } = pixels;
    let fit = proven(pixels.fit(k, x.len(), weights.len(), biases.len(), out.len()));
    let (weights, biases, start) = (weights.as_ptr(), biases.as_ptr(), out.as_mut_ptr());
    if !fit || channels < 4 || !biases.addr().is_multiple_of(4) {
        return false;
    }
    let words = weights.addr().is_multiple_of(4) && k.is_multiple_of(2);
    let kernel = if words { kinglet_f16_gemm } else { kinglet_f16_gemm_any };
    let run = |first: usize, blocks: usize| {
        // A lane that is not there writes to the first one's pixel, before that one does.
        let lane = |lane: usize| start.wrapping_add(if lane < count { lane * pitch } else { 0 } + first);
        let arguments = Gemm {
            x: x.as_ptr(),
            weights: weights.wrapping_add(first * k),
            biases: biases.wrapping_add(first).cast(),
            k,
            blocks,
            out: [lane(0), lane(1), lane(2), lane(3)],
            low,
            high,
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
    true
}
