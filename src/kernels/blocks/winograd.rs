//! The exact Winograd convolutions: the transforms of their inputs, and their products.
//!
//! Transformed inputs are `v[slot][channel pair][2 tiles]`, transformed weights `u[slot][channel pair][4]` for
//! four output channels, products `m[position][2 tiles][4 channels]`.

use super::gemm::{Accumulators, block16};
use super::pairs::{bytes4, even, odd, word};
use super::pieces::{pieces, pieces_mut};
use crate::sys::shapes::{Columns, Products, Scheme, Tiles, proven};

pub use super::stride2::S2;
pub use super::winograd2::F2;
pub use super::winograd4::F4;

/// The arithmetic of an exact Winograd convolution, `SIDE` inputs of a tile along an axis.
pub trait Transform<const SIDE: usize> {
    /// Its sizes.
    const SCHEME: Scheme;
    /// Bits of four channels that are flipped before they are transformed.
    const FLIP: u32 = 0;
    /// What is added to inputs 4 and 5 of a row that is transformed.
    const OFFSET: u32 = 0;

    /// The pair of channels 0 and 2 of a word of four.
    #[inline(always)]
    fn even(word: u32) -> u32 {
        even(word)
    }

    /// The pair of channels 1 and 3 of a word of four.
    #[inline(always)]
    fn odd(word: u32) -> u32 {
        odd(word)
    }

    /// The transform of pairs along one axis.
    fn transform(d: [u32; SIDE]) -> [u32; SIDE];

    /// The outputs of 4 channels of 2 tiles from `m`, requantized with `records`.
    fn output(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles);
}

/// Transforms a column of words of four channels, vertically.
#[inline(always)]
fn column<T: Transform<N>, const N: usize>(e: [u32; N]) -> [[u32; N]; 2] {
    [T::transform(e.map(T::even)), T::transform(e.map(T::odd))]
}

/// `t[column][half][side]`, the vertical transform of four channels.
#[inline(always)]
pub fn vertical<T: Transform<N>, const N: usize>(src: &[i8], columns: &Columns, t: &mut [u32]) {
    if !proven(columns.fit(T::SCHEME, src.len(), t.len())) {
        return;
    }
    for (x, t) in pieces_mut(t, T::SCHEME.column()).take(columns.count).enumerate() {
        let mut e = [columns.fill; N];
        for (i, (e, &row)) in e.iter_mut().zip(&columns.rows).enumerate() {
            if !columns.is_missing(i) {
                let at = row.wrapping_add(x.wrapping_mul(columns.step));
                *e = word(bytes4(src, at).unwrap_or_default()) ^ T::FLIP;
            }
        }
        t.iter_mut().zip(column::<T, N>(e).as_flattened()).for_each(|(to, &from)| *to = from);
    }
}

/// The word that stands for four channels of padding, which counts as `zero`.
pub fn fill<T: Transform<N>, const N: usize>(zero: i8) -> u32 {
    u32::from(zero as u8).wrapping_mul(0x0101_0101) ^ T::FLIP
}

/// `v[pair][slot][position words]`: two channel pairs, from word `at`, of both tiles of every pair.
#[inline(always)]
pub fn horizontal<T: Transform<N>, const N: usize>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    let scheme = T::SCHEME;
    if !proven(scheme.horizontal_fits(t.len(), v.len(), at, position, pairs)) {
        return;
    }
    let step = scheme.tile() * scheme.stride();
    for (pair, v) in pieces_mut(v, position.wrapping_mul(scheme.slots())).take(pairs).enumerate() {
        for (tile, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let first = pair.wrapping_mul(2).wrapping_add(tile).wrapping_mul(step).wrapping_mul(scheme.column());
            for i in 0..N {
                let mut d = [0; N];
                for (j, d) in d.iter_mut().enumerate() {
                    let from = first.wrapping_add(half * N + i + 2 * N * j);
                    let offset = if j < 4 { 0 } else { T::OFFSET };
                    *d = t.get(from).copied().unwrap_or_default().wrapping_add(offset);
                }
                for (j, value) in T::transform(d).into_iter().enumerate() {
                    let to = position.wrapping_mul(scheme.slot(i, j)).wrapping_add(at + 2 * half + tile);
                    if let Some(to) = v.get_mut(to) {
                        *to = value;
                    }
                }
            }
        }
    }
}

/// `m[position][tile][channel]` = the sums of `v` times `u` over the channel pairs of every position, for `tiles` pairs of tiles whose `v`
/// and `m` follow each other.
pub fn products(v: &[u32], u: &[u32], m: &mut [i32], products: &Products, tiles: usize) {
    products_by(v, u, m, products, tiles, block16);
}

/// [`products`] by an instruction set's own `block`, two tiles times the weights of four channels at one position.
#[inline(always)]
pub(crate) fn products_by(
    v: &[u32],
    u: &[u32],
    m: &mut [i32],
    products: &Products,
    tiles: usize,
    block: impl Fn(&[u32], &[u32]) -> Accumulators,
) {
    if !proven(products.fit(v.len(), u.len(), m.len(), tiles)) {
        return;
    }
    let ([words_v, words_m], (table, entries)) = (products.words(), products.table());
    for (mut v, m) in pieces(v, words_v).zip(pieces_mut(m, words_m)).take(tiles) {
        let (mut u, mut m) = (u, m.as_chunks_mut::<8>().0);
        for &[pairs, positions, _] in table.iter().take(entries) {
            let (pairs, positions) = (pairs as usize, positions as usize);
            let words = pairs.wrapping_mul(positions);
            let (now, rest) = v.split_at_checked(words.wrapping_mul(2)).unwrap_or_default();
            let (weights, others) = u.split_at_checked(words.wrapping_mul(4)).unwrap_or_default();
            let (sums, more) = core::mem::take(&mut m).split_at_mut_checked(positions).unwrap_or_default();
            positions_by(now, weights, sums, pairs, &block);
            (v, u, m) = (rest, others, more);
        }
    }
}

/// The products at positions of `pairs` channel pairs each. A function of its own: its loop needs all registers of a small core.
#[inline(never)]
fn positions_by(
    v: &[u32],
    u: &[u32],
    m: &mut [[i32; 8]],
    pairs: usize,
    block: &impl Fn(&[u32], &[u32]) -> Accumulators,
) {
    let weights = pieces(u, pairs.wrapping_mul(4));
    for (m, (v, u)) in m.iter_mut().zip(pieces(v, pairs.wrapping_mul(2)).zip(weights)) {
        m.iter_mut().zip(block(v, u).as_flattened()).for_each(|(to, &from)| *to = from);
    }
}
