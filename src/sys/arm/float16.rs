//! Half precision in the instructions of the floating-point unit, and products of Helium's.

use half::f16;

use crate::sys::shapes::{LANES, Pixels, Spread, proven};

/// The arguments of [`Kernels`].
#[repr(C)]
pub struct Gemm {
    x: *const f32,
    weights: *const f16,
    biases: *const u32,
    k: usize,
    blocks: usize,
    out: [*mut f16; LANES],
    low: f32,
    high: f32,
}

pub type Kernels = [unsafe extern "C" fn(*const Gemm); 2];

/// Those of the floating-point unit.
pub const FPU: Kernels = [kinglet_f16_gemm, kinglet_f16_gemm_any];
/// Those of vectors in single precision.
#[cfg(kinglet_helium)]
pub const HELIUM: Kernels = [kinglet_helium_f16_gemm, kinglet_helium_f16_gemm_any];

unsafe extern "C" {
    fn kinglet_f16_spread(from: *const f16, x: *mut f32, len: usize);
    fn kinglet_f16_gemm(arguments: *const Gemm);
    fn kinglet_f16_gemm_any(arguments: *const Gemm);
    fn kinglet_f16_1x4(x: *const f16, w: *const *const f16, pairs: usize, sums: *mut f32);
    fn kinglet_f16_1x4_any(x: *const f16, w: *const *const f16, pairs: usize, sums: *mut f32);
}

#[cfg(kinglet_helium)]
unsafe extern "C" {
    fn kinglet_helium_f16_gemm(arguments: *const Gemm);
    fn kinglet_helium_f16_gemm_any(arguments: *const Gemm);
    fn kinglet_helium_f16_spread(from: *const f16, x: *mut f32, len: usize, step: usize, count: usize);
    fn kinglet_helium_f16_add(a: *mut f16, b: *const f16, len: usize, range: *const f32);
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

/// Widens elements into lanes.
#[inline(always)]
pub fn spread(from: &[f16], spread: &Spread, x: &mut [f32]) {
    if proven(spread.fits(from.len(), x.len())) {
        let &Spread { len, step, count } = spread;
        for lane in 0..count {
            // SAFETY: `len` elements, at least one, from `lane * step` on lie within `from`, and a lane of as many within `x`.
            unsafe { kinglet_f16_spread(from.as_ptr().add(lane * step), x.as_mut_ptr().add(lane), len) }
        }
    }
}

/// The same, four elements at a time.
#[cfg(kinglet_helium)]
#[inline(always)]
pub fn spread4(from: &[f16], spread: &Spread, x: &mut [f32]) {
    if proven(spread.fits(from.len(), x.len())) {
        let &Spread { len, step, count } = spread;
        // SAFETY: `len` elements from every `step`-th on lie within `from`, and their lanes, at least one, within `x`.
        unsafe { kinglet_helium_f16_spread(from.as_ptr(), x.as_mut_ptr(), len, step, count) }
    }
}

/// Sums within a range, on the shorter of both lengths.
#[cfg(kinglet_helium)]
#[inline(always)]
pub fn add(a: &mut [f16], b: &[f16], range: [f32; 2]) {
    let len = a.len().min(b.len());
    if len > 0 {
        // SAFETY: `len` elements, not 0, lie within both slices; the range is two numbers.
        unsafe { kinglet_helium_f16_add(a.as_mut_ptr(), b.as_ptr(), len, range.as_ptr()) }
    }
}

/// The inputs of four pixels, and what all channels make of them.
pub struct Product<'a> {
    /// Lanes.
    pub x: &'a [f32],
    /// `[channel][k]`.
    pub weights: &'a [f16],
    pub biases: &'a [[u8; 4]],
    pub k: usize,
    /// Sums are clamped to it.
    pub range: [f32; 2],
}

impl Product<'_> {
    /// All channels of the pixels by `kernels`: for weights at multiples of 4 with an even `k`, and for all others. `false`, and
    /// nothing, of fewer than four channels, or where the biases do not start at a multiple of 4.
    #[inline(always)]
    pub fn run(&self, [words, any]: Kernels, out: &mut [f16], pixels: Pixels) -> bool {
        let &Self { x, weights, biases, k, range: [low, high] } = self;
        let Pixels { channels, pitch, count } = pixels;
        let fit = proven(pixels.fit(k, x.len(), weights.len(), biases.len(), out.len()));
        let (weights, biases, start) = (weights.as_ptr(), biases.as_ptr(), out.as_mut_ptr());
        if !fit || channels < 4 || !biases.addr().is_multiple_of(4) {
            return false;
        }
        let kernel = if weights.addr().is_multiple_of(4) && k.is_multiple_of(2) { words } else { any };
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
}
