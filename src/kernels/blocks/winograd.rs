//! What the exact Winograd convolutions have in common: the products, and the shapes of their other blocks.
//!
//! Transformed inputs are `v[position][channel pair][2 tiles]`, transformed weights `u[position][channel pair][4]` for
//! four output channels, products `m[position][2 tiles][4 channels]`.

use super::gemm::{Accumulators, block16};
use super::pieces::pieces;

/// The columns of four channels that a vertical input transform reads.
#[derive(Clone, Copy, Debug)]
pub struct Columns<const ROWS: usize> {
    /// Byte offset of the first column in every row; that of any other row for one that is missing.
    pub rows: [usize; ROWS],
    /// Bytes from column to column.
    pub step: usize,
    /// Number of columns.
    pub count: usize,
    /// The word that stands for a pixel of a missing row.
    pub fill: u32,
    /// Bit `i` is set when row `i` lies in the padding.
    pub missing: u32,
}

impl<const ROWS: usize> Columns<ROWS> {
    /// Whether every row lies within `src` bytes and the result, `words` per column, within `t` words.
    #[inline(always)]
    pub fn fits(&self, src: usize, t: usize, words: usize) -> bool {
        let last = self.rows.iter().fold(0, |last, &row| if row > last { row } else { last });
        let reach = self.count.saturating_sub(1).saturating_mul(self.step).saturating_add(4);
        self.count > 0 && self.count.saturating_mul(words) <= t && last.saturating_add(reach) <= src
    }

    /// Whether row `i` lies in the padding.
    #[inline(always)]
    pub const fn is_missing(&self, i: usize) -> bool {
        (self.missing >> (i & 31)) & 1 != 0
    }

    /// The words of column `column`, `fill` for missing rows.
    #[inline(always)]
    pub fn column(&self, src: &[i8], column: usize) -> [u32; ROWS] {
        let mut out = [self.fill; ROWS];
        for (i, (out, &row)) in out.iter_mut().zip(&self.rows).enumerate() {
            if !self.is_missing(i) {
                let at = row.wrapping_add(column.wrapping_mul(self.step));
                *out = super::halves::word(super::halves::bytes4(src, at).unwrap_or_default());
            }
        }
        out
    }
}

/// Where the outputs of a pair of tiles go: four channels of every pixel.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    /// Byte offset of the first pixel of both tiles.
    pub at: [usize; 2],
    /// Bytes from row to row.
    pub row: usize,
    /// Bytes from pixel to pixel.
    pub pixel: usize,
}

impl Tiles {
    /// Whether tiles of `size x size` pixels lie within `out` bytes.
    pub const fn fits(&self, size: usize, out: usize) -> bool {
        let reach = (size - 1).saturating_mul(self.row.saturating_add(self.pixel)).saturating_add(4);
        self.at[0].saturating_add(reach) <= out && self.at[1].saturating_add(reach) <= out
    }
}

/// Whether `pairs` channel pairs of `positions` positions fit.
pub const fn products_fit(v: usize, u: usize, positions: usize, pairs: usize) -> bool {
    let words = positions.saturating_mul(pairs);
    positions > 0
        && pairs >= 2
        && pairs.is_multiple_of(2)
        && words.saturating_mul(2) <= v
        && words.saturating_mul(4) <= u
}

/// Numbers of channel pairs, and of positions that have so many; with what they need of the slices, which is asked before every
/// product.
#[derive(Clone, Copy, Debug)]
pub struct Table<const N: usize> {
    entries: [[u32; 2]; N],
    /// Words of `v`, of `u` and of `m`.
    needs: [usize; 3],
}

impl<const N: usize> Table<N> {
    /// Channel pairs are even and at least 2, positions at least 1; other tables fit nowhere.
    #[inline(always)]
    pub fn new(entries: [[u32; 2]; N]) -> Self {
        let (mut words, mut positions, mut good) = (0usize, 0usize, N > 0);
        for [pairs, more] in entries {
            good &= pairs >= 2 && pairs.is_multiple_of(2) && more > 0;
            words = words.saturating_add((pairs as usize).saturating_mul(more as usize));
            positions = positions.saturating_add(more as usize);
        }
        let needs = [words.saturating_mul(2), words.saturating_mul(4), positions.saturating_mul(8)];
        Self { entries, needs: if good { needs } else { [usize::MAX; 3] } }
    }

    /// The channel pairs and positions.
    pub fn entries(&self) -> &[[u32; 2]; N] {
        &self.entries
    }

    /// Whether they fit into so many words of `v`, `u` and `m`.
    #[inline(always)]
    pub fn fits(&self, v: usize, u: usize, m: usize) -> bool {
        let [for_v, for_u, for_m] = self.needs;
        for_v <= v && for_u <= u && for_m <= m
    }
}

/// `m[position][tile][channel]` = the sum over `pairs` channel pairs of `v` times `u`, a position per 8 words of `m`.
pub fn products(v: &[u32], u: &[u32], m: &mut [i32], pairs: usize) {
    positions_by(v, u, m, pairs, block16);
}

/// [`products`] by an instruction set's own `block`, two tiles times the weights of four channels at one position.
#[inline(always)]
pub(crate) fn positions_by(
    v: &[u32],
    u: &[u32],
    m: &mut [i32],
    pairs: usize,
    block: impl Fn(&[u32], &[u32]) -> Accumulators,
) {
    let (m, _) = m.as_chunks_mut::<8>();
    if !products_fit(v.len(), u.len(), m.len(), pairs) {
        return;
    }
    let (v_step, u_step) = (pairs.wrapping_mul(2), pairs.wrapping_mul(4));
    for (m, (v, u)) in m.iter_mut().zip(pieces(v, v_step).zip(pieces(u, u_step))) {
        m.iter_mut().zip(block(v, u).as_flattened()).for_each(|(to, &from)| *to = from);
    }
}

/// The same for the entries of a table, one after another in `v`, `u` and `m`.
pub fn products_table<const N: usize>(v: &[u32], u: &[u32], m: &mut [i32], table: &Table<N>) {
    products_by::<crate::kernels::Portable, N>(v, u, m, table);
}

/// [`products_table`] by an instruction set's own [`products`].
#[inline(always)]
pub fn products_by<B: super::Blocks, const N: usize>(v: &[u32], u: &[u32], m: &mut [i32], table: &Table<N>) {
    if !table.fits(v.len(), u.len(), m.len()) {
        return;
    }
    let (mut v, mut u, mut m) = (v, u, m);
    for &[pairs, positions] in table.entries() {
        let (pairs, positions) = (pairs as usize, positions as usize);
        let words = pairs.wrapping_mul(positions);
        let (Some((v0, v1)), Some((u0, u1)), Some((m0, m1))) = (
            v.split_at_checked(words.wrapping_mul(2)),
            u.split_at_checked(words.wrapping_mul(4)),
            core::mem::take(&mut m).split_at_mut_checked(positions.wrapping_mul(8)),
        ) else {
            return;
        };
        B::products(v0, u0, m0, pairs);
        (v, u, m) = (v1, u1, m1);
    }
}
