//! SSE2, which every x86-64 has: simulations and tests spend most of their time in its products.

use super::blocks::{Transform, gemm, winograd};
use super::{Backend, Portable};
use crate::sys::shapes::{Patch, Products, Rows, Scheme, Strip, Tiles};
use crate::sys::sse2;

/// 16-bit products by eights: `PMADDWD`.
#[derive(Clone, Copy, Debug)]
pub struct Sse2;

impl Backend for Sse2 {
    type Base = Portable;

    const NAME: &'static str = "sse2";

    fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        // What is left over of each row is gathered, which takes more than words.
        if patch.len().is_multiple_of(8) {
            sse2::patch(dst, src, at, patch);
        } else {
            Portable::patch(dst, src, at, patch);
        }
    }

    fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::requantized(x, w, 4, records, out, second, |x, w, records, out, at| {
            quantized(sse2::block16(x, w), records, out, at);
        });
    }

    fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        gemm::requantized(x, w, 2, records, out, second, |x, w, records, out, at| {
            quantized(sse2::block8(x, w), records, out, at);
        });
    }

    fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
        paired(x, x.len(), w, records, out, &Rows::pair(x.len(), second, records.len()));
    }

    fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::accumulated(x, w, 4, acc, sse2::block16);
    }

    fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
        gemm::accumulated(x, w, 2, acc, sse2::block8);
    }

    fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
        gemm::strip_by(x, w, records, out, strip, |x, w, records, out, at| {
            quantized(sse2::block16(x, w), records, out, at);
        });
    }

    fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
        paired(x, slab.len(), w, records, out, rows);
    }

    fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
        winograd::products_by(v, u, m, products, tiles, sse2::block16);
    }

    fn output<T: Transform<N>, const N: usize>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        if T::SCHEME != Scheme::F4 || !sse2::winograd4(m, records, relu, out, tiles) {
            Portable::output::<T, N>(m, records, relu, out, tiles);
        }
    }
}

fn paired(x: &[u32], words: usize, w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
    gemm::rows_by(x, words, w, records, out, rows, |x, w, records, out, at| {
        quantized(sse2::block_paired(x, w).map(gemm::apart), records, out, at);
    });
}

#[inline(always)]
fn quantized(acc: gemm::Accumulators, records: &[u32; 16], out: &mut [i8], at: [usize; 2]) {
    if !sse2::quantized(acc, records, out, at) {
        gemm::quantized(acc, records, out, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::blocks::F4;
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
    fn all<B: Backend>(pairs: usize, blocks: usize, data: &[u32]) -> (Vec<i32>, Vec<i8>, Vec<u32>) {
        let [x, records] = [2 * pairs * blocks, 16 * blocks];
        let ((tiles, w), records) = (data.split_at(x), &self::records(&data[..records]));
        let (x, w) = (&tiles[..2 * pairs], &w[..4 * pairs * blocks]);
        let mut acc = vec![0; 16 * blocks + 128];
        let (first, rest) = acc.split_at_mut(8 * blocks);
        let (second, third) = rest.split_at_mut(8 * blocks);
        B::gemm16_acc(x, w, first);
        B::gemm8_acc(x, w, second);
        for scheme in [Scheme::F2, Scheme::S2] {
            B::products(data, &data[blocks..], third, &Products::new(scheme, 2 * blocks.min(4)), 1);
        }
        let mut out = vec![1; 24 * blocks];
        let [wide, narrow, paired] = out.chunks_mut(8 * blocks).collect::<Vec<_>>().try_into().unwrap();
        B::gemm16(x, w, records, wide, 4 * blocks);
        B::gemm8(x, w, records, narrow, 4 * blocks);
        B::gemm_paired(x, w, records, paired, 4 * blocks);
        let bytes = crate::sys::cast::words_as_i8(data);
        let shape = Patch::new(blocks, 4 * pairs, 4 * pairs + 1);
        let mut patches = vec![1; 2 * crate::sys::shapes::patch_pairs(blocks, 4 * pairs)];
        B::patch(&mut patches, bytes, [3, 0], &shape);
        (acc, out, patches)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 500 }))]
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
            Sse2::output::<F4, _>(&m, &records, relu, &mut found, &tiles);
            Portable::output::<F4, _>(&m, &records, relu, &mut expected, &tiles);
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
