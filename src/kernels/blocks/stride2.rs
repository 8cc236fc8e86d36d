//! Winograd for 3x3 at stride 2, two outputs from five inputs along each axis: blocks.
//!
//! Along one axis `M0 = (x0 - x2) w0 + x1 w1`, `M1 = x2 (w0 + w2)`, `M2 = (x2 - x4) w2 - x3 w1`, and the outputs are
//! `M0 + M1` and `M1 - M2`. Both products of `M0` and of `M2` share an accumulator, so in two dimensions there are nine
//! positions made of 25 *slots* of transformed inputs.

use super::halves::{even, odd, sub};
use super::pieces::pieces_mut;
use super::winograd::{Columns, Tiles};
use super::winograd2::store;
use super::winograd4::horizontal_fits;

/// Rows and columns of a transformed tile.
pub const SIDE: usize = 5;
/// Words of a transformed column of four channels.
pub const COLUMN: usize = 10;
/// The slot of the product of row `a` and column `b` of a transformed tile.
pub const SLOTS: [[u32; 5]; 5] =
    [[0, 1, 16, 4, 5], [2, 3, 17, 6, 7], [18, 19, 24, 20, 21], [8, 9, 22, 12, 13], [10, 11, 23, 14, 15]];
/// Slots of a position, and the number of positions that have so many. Positions with as many slots lie together: those
/// of the 3 x 3 are in the order 0, 2, 6, 8, 1, 3, 5, 7, 4.
pub const PER_POSITION: [[u32; 2]; 3] = [[4, 4], [2, 4], [1, 1]];

/// Inputs 0-4 as the five factors `x0 - x2, x1, x2, x2 - x4, x3`.
#[inline(always)]
fn factors([x0, x1, x2, x3, x4]: [u32; 5]) -> [u32; 5] {
    [sub(x0, x2), x1, x2, sub(x2, x4), x3]
}

/// `t[column][half][5]`, the vertical transform of four channels.
pub fn vertical(src: &[i8], columns: &Columns<5>, t: &mut [u32]) {
    if !columns.fits(src.len(), t.len(), COLUMN) {
        return;
    }
    for (column, t) in t.as_chunks_mut::<COLUMN>().0.iter_mut().take(columns.count).enumerate() {
        let e = columns.column(src, column);
        let halves = [factors(e.map(even)), factors(e.map(odd))];
        t.iter_mut().zip(halves.as_flattened()).for_each(|(to, &from)| *to = from);
    }
}

/// The column that [`vertical`] makes of padding, `fill` in every row.
pub fn border(fill: u32, t: &mut [u32]) {
    let halves = [factors([even(fill); 5]), factors([odd(fill); 5])];
    t.iter_mut().zip(halves.as_flattened()).for_each(|(to, &from)| *to = from);
}

/// The lengths that [`horizontal`] needs.
pub fn fits(t: usize, v: usize, at: usize, position: usize, pairs: usize) -> bool {
    horizontal_fits(t, v, at, position, pairs, [COLUMN, 4, 1, 25])
}

/// `v[pair][slot][position words]`: two channel pairs, from word `at`, of both tiles of every pair.
pub fn horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    if !fits(t.len(), v.len(), at, position, pairs) {
        return;
    }
    let tile_words = position.wrapping_mul(25);
    for (pair, v) in pieces_mut(v, tile_words).take(pairs).enumerate() {
        for (tile, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for (i, slots) in SLOTS.iter().enumerate() {
                let first =
                    pair.wrapping_mul(8).wrapping_add(4 * tile).wrapping_mul(COLUMN).wrapping_add(half * SIDE + i);
                let mut d = [0u32; 5];
                for (d, &t) in d.iter_mut().zip(t.get(first..).unwrap_or_default().iter().step_by(COLUMN)) {
                    *d = t;
                }
                for (&slot, value) in slots.iter().zip(factors(d)) {
                    let to = position.wrapping_mul(slot as usize).wrapping_add(at + 2 * half + tile);
                    v.iter_mut().skip(to).take(1).for_each(|to| *to = value);
                }
            }
        }
    }
}

/// 2x2 pixels of 4 channels of 2 tiles from `m[9][tile][channel]`, with records `{2 * bias, m, c, s}`.
pub fn output(m: &[i32], records: &[u32], out: &mut [i8], tiles: Tiles) {
    let (Some(m), Some(records)) = (m.first_chunk::<72>(), records.first_chunk::<16>()) else { return };
    if !tiles.fits(2, out.len()) {
        return;
    }
    for (tile, &first) in tiles.at.iter().enumerate() {
        for (channel, record) in records.as_chunks::<4>().0.iter().enumerate() {
            let value = |p: usize| m.get(p * 8 + 4 * tile + channel).copied().unwrap_or_default();
            let row = |a, b, c| (value(a), value(b), value(c));
            let ((a0, a1, a2), (b0, b1, b2), (c0, c1, c2)) = (row(0, 4, 1), row(5, 8, 6), row(2, 7, 3));
            let values = [
                a0.wrapping_add(b0).wrapping_add(a1.wrapping_add(b1)),
                a1.wrapping_add(b1).wrapping_sub(a2.wrapping_add(b2)),
                b0.wrapping_sub(c0).wrapping_add(b1.wrapping_sub(c1)),
                b1.wrapping_sub(c1).wrapping_sub(b2.wrapping_sub(c2)),
            ];
            store(values.map(|v| v.wrapping_shl(1)), record, out, first.wrapping_add(channel), tiles);
        }
    }
}
