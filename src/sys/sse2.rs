//! The products in SSE2, which every x86-64 has: simulations and tests spend most of their time in them.
//!
//! `PMADDWD` is four times `SMLAD`, so the packed formats of the microcontrollers serve as they are.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_madd_epi16, _mm_set_epi32, _mm_setzero_si128, _mm_shuffle_epi32, _mm_slli_epi16,
    _mm_srai_epi16, _mm_storeu_si128, _mm_unpackhi_epi32, _mm_unpacklo_epi32,
};

use super::shapes::{Patch, proven};
use super::sse2_output;

/// Accumulators `[pixel][channel]` of two patches and the weights of four channels.
type Accumulators = [[i32; 4]; 2];

/// Accumulators of a block of weights of 16 bits.
#[inline(always)]
pub fn block16(x: &[u32], w: &[u32]) -> Accumulators {
    // SAFETY: the target has SSE2.
    unsafe { product16(x, w).map(|acc| words(acc)) }
}

/// The same of 8 bits.
#[inline(always)]
pub fn block8(x: &[u32], w: &[u32]) -> Accumulators {
    // SAFETY: the target has SSE2.
    unsafe { product8(x, w).map(|acc| words(acc)) }
}

/// The same of paired weights: for each pixel and pair of channels the sums of both and of the first.
#[inline(always)]
pub fn block_paired(x: &[u32], w: &[u32]) -> Accumulators {
    // SAFETY: the target has SSE2.
    unsafe { product_paired(x, w).map(|acc| words(acc)) }
}

/// Widens two patches of rows that are multiples of 8 bytes.
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    if proven(patch.fit_widened(dst.len(), src.len(), at)) {
        // SAFETY: the target has SSE2.
        unsafe { widened(dst, src, at, patch) };
    }
}

pub use sse2_output::{quantized, winograd4};

/// Accumulators of two pixels and four channels, weights of 16 bits.
#[inline]
#[target_feature(enable = "sse2")]
fn product16(x: &[u32], w: &[u32]) -> [__m128i; 2] {
    let [mut first, mut second] = [_mm_setzero_si128(); 2];
    for (x, &[a, b, c, d, e, f, g, h]) in x.as_chunks::<4>().0.iter().zip(w.as_chunks::<8>().0) {
        let (x, a, b) = (four(*x), four([a, b, c, d]), four([e, f, g, h]));
        first = _mm_add_epi32(first, _mm_madd_epi16(_mm_shuffle_epi32::<0b00_00_00_00>(x), a));
        second = _mm_add_epi32(second, _mm_madd_epi16(_mm_shuffle_epi32::<0b01_01_01_01>(x), a));
        first = _mm_add_epi32(first, _mm_madd_epi16(_mm_shuffle_epi32::<0b10_10_10_10>(x), b));
        second = _mm_add_epi32(second, _mm_madd_epi16(_mm_shuffle_epi32::<0b11_11_11_11>(x), b));
    }
    [first, second]
}

/// The same with weights of 8 bits, which are left in the order that widening them gives: channels 0 and 2 of two pairs in one
/// vector, 1 and 3 in the other.
#[inline]
#[target_feature(enable = "sse2")]
fn product8(x: &[u32], w: &[u32]) -> [__m128i; 2] {
    let mut acc = [[_mm_setzero_si128(); 2]; 2];
    for (x, w) in x.as_chunks::<4>().0.iter().zip(w.as_chunks::<4>().0) {
        let (x, w) = (four(*x), widen(four(*w)));
        let pixels = [_mm_shuffle_epi32::<0b10_10_00_00>(x), _mm_shuffle_epi32::<0b11_11_01_01>(x)];
        for (acc, x) in acc.iter_mut().zip(pixels) {
            for (acc, w) in acc.iter_mut().zip(w) {
                *acc = _mm_add_epi32(*acc, _mm_madd_epi16(x, w));
            }
        }
    }
    acc.map(|[even, odd]| _mm_add_epi32(_mm_unpacklo_epi32(even, odd), _mm_unpackhi_epi32(even, odd)))
}

/// The same with paired weights: products with the halves as they are, and with their lower bytes.
#[inline]
#[target_feature(enable = "sse2")]
fn product_paired(x: &[u32], w: &[u32]) -> [__m128i; 2] {
    let mut acc = [[_mm_setzero_si128(); 2]; 2];
    for (x, w) in x.as_chunks::<4>().0.iter().zip(w.as_chunks::<4>().0) {
        let (x, both) = (four(*x), four(*w));
        let pixels = [_mm_shuffle_epi32::<0b10_10_00_00>(x), _mm_shuffle_epi32::<0b11_11_01_01>(x)];
        let [first, _] = widen(both);
        for (acc, x) in acc.iter_mut().zip(pixels) {
            for (acc, w) in acc.iter_mut().zip([both, first]) {
                *acc = _mm_add_epi32(*acc, _mm_madd_epi16(x, w));
            }
        }
    }
    acc.map(|[both, first]| _mm_add_epi32(_mm_unpacklo_epi32(both, first), _mm_unpackhi_epi32(both, first)))
}

#[target_feature(enable = "sse2")]
fn widened(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    let mut to = dst.as_chunks_mut::<4>().0.iter_mut();
    for row in 0..patch.rows() {
        let [first, second] = at.map(|at| {
            let at = at.wrapping_add(row.wrapping_mul(patch.stride()));
            src.get(at..at.wrapping_add(patch.len())).unwrap_or_default().as_chunks::<4>().0.as_chunks::<2>().0
        });
        for (&[a, b], &[c, d]) in first.iter().zip(second) {
            let [even, odd] =
                widen(four([a, b, c, d].map(|bytes: [i8; 4]| u32::from_le_bytes(bytes.map(|byte| byte as u8)))));
            let [first, second] = [_mm_unpacklo_epi32(even, odd), _mm_unpackhi_epi32(even, odd)];
            for pairs in [_mm_unpacklo_epi32(first, second), _mm_unpackhi_epi32(first, second)] {
                if let Some(to) = to.next() {
                    *to = words(pairs).map(|word| word as u32);
                }
            }
        }
    }
}

/// Bytes 0 and 2 of each word, and bytes 1 and 3, sign-extended: `SXTB16`.
#[inline]
#[target_feature(enable = "sse2")]
fn widen(bytes: __m128i) -> [__m128i; 2] {
    [_mm_srai_epi16::<8>(_mm_slli_epi16::<8>(bytes)), _mm_srai_epi16::<8>(bytes)]
}

/// Four words as one vector: a load.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn four([a, b, c, d]: [u32; 4]) -> __m128i {
    _mm_set_epi32(d as i32, c as i32, b as i32, a as i32)
}

/// A vector as four words: a store.
#[inline]
#[target_feature(enable = "sse2")]
fn words(vector: __m128i) -> [i32; 4] {
    let mut words = [0; 4];
    // SAFETY: the array has the 16 bytes of a vector.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), vector) };
    words
}
