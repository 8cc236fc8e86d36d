//! The products in SSE2, which every x86-64 has: simulations and tests spend most of their time in them.
//!
//! `PMADDWD` is four times `SMLAD`, so the packed formats of the microcontrollers serve as they are.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_madd_epi16, _mm_set_epi32, _mm_setzero_si128, _mm_shuffle_epi32, _mm_slli_epi16,
    _mm_srai_epi16, _mm_storeu_si128, _mm_unpackhi_epi32, _mm_unpacklo_epi32,
};

use super::sse2_output;
use crate::kernels::Backend;
use crate::kernels::blocks::gemm::{self, Accumulators};
use crate::kernels::blocks::{Blocks, Tiles, halves, winograd};

/// The blocks of an x86-64.
#[derive(Clone, Copy, Debug)]
pub struct Sse2;

impl Backend for Sse2 {
    const NAME: &'static str = "sse2";
}

impl Blocks for Sse2 {
    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], shape: &gemm::Rows) {
        // What is left over of each row is gathered, which takes more than words.
        if shape.len().is_multiple_of(8) && shape.fit(dst.len(), src.len(), at) {
            // SAFETY: the target has SSE2.
            unsafe { patch(dst, src, at, shape) };
        } else {
            gemm::patch(dst, src, at, shape);
        }
    }

    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::requantized(x, w, 4, records, out, second, |x, w, records, out, at| {
            // SAFETY: the target has SSE2.
            unsafe { sse2_output::quantized(product16(x, w), records, out, at, second) }
        });
    }

    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::requantized(x, w, 2, records, out, second, |x, w, records, out, at| {
            // SAFETY: the target has SSE2.
            unsafe { sse2_output::quantized(product8(x, w), records, out, at, second) }
        });
    }

    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::accumulated(x, w, 4, acc, block16);
    }

    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::accumulated(x, w, 2, acc, block8);
    }

    fn products(v: &[u32], u: &[u32], m: &mut [i32], pairs: usize) {
        winograd::positions_by(v, u, m, pairs, block16);
    }

    fn products_table<const N: usize>(v: &[u32], u: &[u32], m: &mut [i32], table: &winograd::Table<N>) {
        winograd::products_by::<Self, N>(v, u, m, table);
    }

    fn w4_output(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: Tiles) {
        sse2_output::winograd4(m, records, relu, out, tiles);
    }
}

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

#[inline(always)]
fn block16(x: &[u32], w: &[u32]) -> Accumulators {
    // SAFETY: the target has SSE2.
    unsafe { product16(x, w).map(|acc| words(acc)) }
}

#[inline(always)]
fn block8(x: &[u32], w: &[u32]) -> Accumulators {
    // SAFETY: the target has SSE2.
    unsafe { product8(x, w).map(|acc| words(acc)) }
}

/// Widens two patches of rows that are multiples of 8 bytes; their place was checked.
#[target_feature(enable = "sse2")]
fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], shape: &gemm::Rows) {
    let mut to = dst.as_chunks_mut::<4>().0.iter_mut();
    for row in 0..shape.rows() {
        let [first, second] = at.map(|at| {
            let at = at.wrapping_add(row.wrapping_mul(shape.stride()));
            src.get(at..at.wrapping_add(shape.len())).unwrap_or_default().as_chunks::<4>().0.as_chunks::<2>().0
        });
        for (&[a, b], &[c, d]) in first.iter().zip(second) {
            let [even, odd] = widen(four([a, b, c, d].map(halves::word)));
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
pub(super) fn words(vector: __m128i) -> [i32; 4] {
    let mut words = [0; 4];
    // SAFETY: the array has the 16 bytes of a vector.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), vector) };
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Portable;
    use proptest::prelude::*;

    /// A word of data: extreme halves meet, whose products leave 32 bits.
    fn word() -> impl Strategy<Value = u32> {
        prop_oneof![3 => any::<u32>(), 1 => Just(0x8000_8000), 1 => Just(0x8080_8080), 1 => Just(0x7f80_807f)]
    }

    /// A record: most as an exporter would write it, some of any words.
    fn records(words: &[u32]) -> Vec<u32> {
        let record = |&[bias, m, c, s]: &[u32; 4]| match s % 8 {
            0 => [bias, m, c, s],
            // Results that do not saturate.
            1..=4 => [bias, 1 << 30 | m >> 2, c, 20 + s % 12],
            _ => [bias, m, c, s % 64],
        };
        words.as_chunks::<4>().0.iter().flat_map(record).collect()
    }

    /// What every block makes of the same words: accumulators and outputs.
    fn all<B: Blocks>(pairs: usize, blocks: usize, data: &[u32]) -> (Vec<i32>, Vec<i8>, Vec<u32>) {
        let [x, records] = [2 * pairs * blocks, 16 * blocks];
        let ((tiles, w), records) = (data.split_at(x), &self::records(&data[..records]));
        let (x, w) = (&tiles[..2 * pairs], &w[..4 * pairs * blocks]);
        let mut acc = vec![0; 24 * blocks];
        let [first, second, third] = [0, 1, 2].map(|block| 8 * block * blocks..8 * (block + 1) * blocks);
        B::gemm16_acc(x, w, &mut acc[first]);
        B::gemm8_acc(x, w, &mut acc[second]);
        // As many positions as there are blocks, each with its own tiles.
        B::products(tiles, w, &mut acc[third], pairs);
        let mut out = vec![1; 16 * blocks];
        let (wide, narrow) = out.split_at_mut(8 * blocks);
        B::gemm16(x, w, records, wide, 4 * blocks);
        B::gemm8(x, w, records, narrow, 4 * blocks);
        let bytes = crate::sys::cast::words_as_i8(data);
        let shape = gemm::Rows::new(blocks, 4 * pairs, 4 * pairs + 1);
        let mut patches = vec![1; 2 * gemm::patch_pairs(blocks, 4 * pairs)];
        B::patch(&mut patches, bytes, [3, 0], &shape);
        (acc, out, patches)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 5 } else { 500 }))]
        #[test]
        fn winograd_outputs_are_their_definition(
            m in prop::collection::vec(word(), 288),
            small in 0u32..24,
            words in prop::collection::vec(word(), 32),
            relu: bool,
            at in (0usize..9, 200usize..220),
        ) {
            let m: Vec<i32> = m.into_iter().map(|m| m as i32 >> small).collect();
            // `{m, c, s, b, b22, b32, b23, b33}`, of records `{b, m, c, s}` and more.
            let records: Vec<u32> = records(&words[..16]).as_chunks::<4>().0.iter().zip(words[16..].as_chunks::<4>().0)
                .flat_map(|([b, m, c, s], [b22, b32, b23, b33])| [*m, *c, *s, *b, *b22, *b32, *b23, *b33])
                .collect();
            let tiles = Tiles { at: [at.0, at.1], row: 40, pixel: 5 };
            let [mut found, mut expected] = [vec![1; 400], vec![1; 400]];
            Sse2::w4_output(&m, &records, relu, &mut found, tiles);
            Portable::w4_output(&m, &records, relu, &mut expected, tiles);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn blocks_are_their_definitions(
            pairs in (1usize..20).prop_map(|half| 2 * half),
            blocks in 1usize..6,
            data in prop::collection::vec(word(), 6 * 38 * 5),
        ) {
            prop_assert_eq!(all::<Sse2>(pairs, blocks, &data), all::<Portable>(pairs, blocks, &data));
        }
    }
}
