//! Requantization in SSE2, four channels at a time, and the Winograd output that ends in it.
//!
//! SSE2 knows neither signed products of 32 bits nor shifts by a lane's own count: the first are unsigned products with the
//! signs put right, the second are products with powers of two.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_add_epi64, _mm_and_si128, _mm_andnot_si128, _mm_castsi128_ps, _mm_cmpeq_epi32,
    _mm_cvtsi128_si32, _mm_cvttps_epi32, _mm_min_epi16, _mm_movemask_epi8, _mm_mul_epu32, _mm_or_si128,
    _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi32, _mm_set1_epi64x, _mm_setzero_si128, _mm_slli_epi32,
    _mm_slli_epi64, _mm_srai_epi32, _mm_srli_epi64, _mm_sub_epi32, _mm_unpackhi_epi32, _mm_unpackhi_epi64,
    _mm_unpacklo_epi32, _mm_unpacklo_epi64,
};

use super::shapes::{INVERSE_9, Scheme, Tiles, proven};
use super::sse2::four;

/// What the requantization of four channels needs.
#[derive(Clone, Copy)]
struct Records {
    multiplier: __m128i,
    addend: __m128i,
    /// `2^(32 - s)`: the upper half of a product with it is a shift by `s`.
    power: __m128i,
}

impl Records {
    /// Of the multipliers, addends and shifts of four channels; `None` when one of them shifts by nothing.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn new(multiplier: __m128i, addend: __m128i, shift: __m128i) -> Option<Self> {
        let shift = _mm_and_si128(shift, _mm_set1_epi32(255));
        if _mm_movemask_epi8(_mm_cmpeq_epi32(shift, _mm_setzero_si128())) != 0 {
            return None;
        }
        // 32 leaves the sign, as all more do.
        let shift = _mm_min_epi16(shift, _mm_set1_epi32(32));
        let exponent = _mm_sub_epi32(_mm_set1_epi32(127 + 32), shift);
        // The greatest power, 2^31, is what a conversion gives that leaves 32 bits.
        let power = _mm_cvttps_epi32(_mm_castsi128_ps(_mm_slli_epi32::<23>(exponent)));
        Some(Self { multiplier, addend, power })
    }

    /// As [`requantize::fast`](crate::kernels::blocks::requantize::fast), but for the saturation.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn fast(&self, x: __m128i) -> __m128i {
        let addend = _mm_add_epi32(self.addend, _mm_srai_epi32::<31>(x));
        self.shifted(_mm_add_epi32(addend, high_product(x, self.multiplier, _mm_set1_epi64x(1 << 31))))
    }

    /// As `fast`, with a product that is rounded down and no half for negative numbers.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn relu(&self, z: __m128i) -> __m128i {
        self.shifted(_mm_add_epi32(self.addend, high_product(z, self.multiplier, _mm_setzero_si128())))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn shifted(&self, x: __m128i) -> __m128i {
        let product = unsigned_high_product(x, self.power, _mm_setzero_si128());
        _mm_sub_epi32(product, _mm_and_si128(_mm_srai_epi32::<31>(x), self.power))
    }
}

/// `(x * m + round) >> 32` of each lane.
#[inline]
#[target_feature(enable = "sse2")]
fn high_product(x: __m128i, m: __m128i, round: __m128i) -> __m128i {
    let product = unsigned_high_product(x, m, round);
    let of_x = _mm_and_si128(_mm_srai_epi32::<31>(x), m);
    let of_m = _mm_and_si128(_mm_srai_epi32::<31>(m), x);
    _mm_sub_epi32(_mm_sub_epi32(product, of_x), of_m)
}

/// The same of numbers without sign.
#[inline]
#[target_feature(enable = "sse2")]
fn unsigned_high_product(x: __m128i, m: __m128i, round: __m128i) -> __m128i {
    let even = _mm_add_epi64(_mm_mul_epu32(x, m), round);
    let odd = _mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64::<32>(x), _mm_srli_epi64::<32>(m)), round);
    _mm_or_si128(_mm_srli_epi64::<32>(even), _mm_andnot_si128(_mm_set1_epi64x(0xffff_ffff), odd))
}

/// `x * m` of each lane, as much as fits.
#[inline]
#[target_feature(enable = "sse2")]
fn low_product(x: __m128i, m: __m128i) -> __m128i {
    let even = _mm_and_si128(_mm_mul_epu32(x, m), _mm_set1_epi64x(0xffff_ffff));
    let odd = _mm_mul_epu32(_mm_srli_epi64::<32>(x), _mm_srli_epi64::<32>(m));
    _mm_or_si128(even, _mm_slli_epi64::<32>(odd))
}

/// Four rows of four words as four columns.
#[inline]
#[target_feature(enable = "sse2")]
fn transposed([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let (low, high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    let (low2, high2) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(low, low2),
        _mm_unpackhi_epi64(low, low2),
        _mm_unpacklo_epi64(high, high2),
        _mm_unpackhi_epi64(high, high2),
    ]
}

/// Four words, saturated to bytes.
#[inline]
#[target_feature(enable = "sse2")]
fn bytes(x: __m128i) -> [i8; 4] {
    let halves = _mm_packs_epi32(x, x);
    _mm_cvtsi128_si32(_mm_packs_epi16(halves, halves)).to_le_bytes().map(|byte| byte as i8)
}

/// Requantizes accumulators `[pixel][channel]` and stores each pixel from its byte of `at` on; `false`, and nothing, where a channel
/// shifts by nothing.
#[inline(always)]
pub fn quantized(acc: [[i32; 4]; 2], records: &[u32; 16], out: &mut [i8], at: [usize; 2]) -> bool {
    // SAFETY: the target has SSE2.
    unsafe { pixels(acc, records, out, at) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn pixels(acc: [[i32; 4]; 2], records: &[u32; 16], out: &mut [i8], at: [usize; 2]) -> bool {
    let lane = |channel: usize| four(records.as_chunks::<4>().0.get(channel).copied().unwrap_or_default());
    let [bias, m, c, s] = transposed([lane(0), lane(1), lane(2), lane(3)]);
    let Some(of_four) = Records::new(m, c, s) else { return false };
    for (acc, at) in acc.into_iter().zip(at) {
        let x = _mm_add_epi32(bias, _mm_slli_epi32::<1>(four(acc.map(|acc| acc as u32))));
        store(out, at, of_four.fast(x));
    }
    true
}

/// Stores four words from byte `at` on, saturated.
#[inline]
#[target_feature(enable = "sse2")]
fn store(out: &mut [i8], at: usize, x: __m128i) {
    if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut::<4>()) {
        *out = bytes(x);
    }
}

/// The output transform of F(4x4, 3x3); `false`, and nothing, where a channel shifts by nothing.
pub fn winograd4(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) -> bool {
    let fit = proven(Scheme::F4.output_fits(m.len(), records.len(), out.len(), tiles));
    match (m.first_chunk(), records.first_chunk()) {
        // SAFETY: the target has SSE2.
        (Some(m), Some(records)) if fit => unsafe { output(m, records, relu, out, tiles) },
        _ => false,
    }
}

#[target_feature(enable = "sse2")]
fn output(m: &[i32; 288], records: &[u32; 32], relu: bool, out: &mut [i8], tiles: &Tiles) -> bool {
    let halves = records.as_chunks::<4>().0;
    let half = |at: usize| {
        let lane = |channel: usize| four(halves.get(2 * channel + at).copied().unwrap_or_default());
        transposed([lane(0), lane(1), lane(2), lane(3)])
    };
    let ([mult, c, s, b], [b22, b32, b23, b33]) = (half(0), half(1));
    let Some(records) = Records::new(mult, c, s) else { return false };
    let constants = [[b; 4], [b; 4], [b, b, b22, b32], [b, b, b23, b33]];
    let inverse = _mm_set1_epi32(INVERSE_9 as i32);
    let (lanes, _) = m.as_chunks::<4>();
    for (tile, &first) in tiles.at.iter().enumerate() {
        let mut columns = [[_mm_setzero_si128(); 6]; 4];
        for (i, positions) in lanes.as_chunks::<12>().0.iter().enumerate() {
            let lane = |j: usize| positions.get(2 * j + tile).copied().unwrap_or_default().map(|m| m as u32);
            let row =
                four_of_six([four(lane(0)), four(lane(1)), four(lane(2)), four(lane(3)), four(lane(4)), four(lane(5))]);
            for (column, y) in columns.iter_mut().zip(row) {
                column.iter_mut().skip(i).take(1).for_each(|to| *to = y);
            }
        }
        for (x, (column, constants)) in columns.into_iter().zip(constants).enumerate() {
            let first = first.wrapping_add(x.wrapping_mul(tiles.pixel));
            for (y, (value, constant)) in four_of_six(column).into_iter().zip(constants).enumerate() {
                let z = _mm_add_epi32(low_product(value, inverse), constant);
                let q = if relu { records.relu(z) } else { records.fast(_mm_srai_epi32::<5>(z)) };
                store(out, first.wrapping_add(y.wrapping_mul(tiles.row)), q);
            }
        }
    }
    true
}

/// The output transform of six positions.
#[inline]
#[target_feature(enable = "sse2")]
fn four_of_six([m0, m1, m2, m3, m4, m5]: [__m128i; 6]) -> [__m128i; 4] {
    let (a, b) = (_mm_add_epi32(m1, m2), _mm_sub_epi32(m1, m2));
    let (c, d) = (_mm_add_epi32(m3, m4), _mm_sub_epi32(m3, m4));
    let last = _mm_add_epi32(_mm_slli_epi32::<3>(d), _mm_slli_epi32::<1>(m5));
    [
        _mm_add_epi32(_mm_add_epi32(m0, a), c),
        _mm_add_epi32(b, _mm_slli_epi32::<1>(d)),
        _mm_add_epi32(a, _mm_slli_epi32::<2>(c)),
        _mm_add_epi32(b, last),
    ]
}
