//! Exact integer Winograd F(2x2, 3x3): blocks. Products are the convolution times 4, on inputs as they are.

use super::halves::{add, even, odd, sub};
use super::pieces::pieces_mut;
use super::requantize::fast;
use super::winograd::{Columns, Tiles};
use super::winograd4::horizontal_fits;

/// Rows and columns of a transformed tile.
pub const SIDE: usize = 4;
/// Words of a transformed column of four channels.
pub const COLUMN: usize = 8;

#[inline(always)]
fn bt([e0, e1, e2, e3]: [u32; 4]) -> [u32; 4] {
    [sub(e0, e2), add(e1, e2), sub(e2, e1), sub(e1, e3)]
}

/// `t[column][half][4]`, the vertical transform of four channels.
pub fn vertical(src: &[i8], columns: &Columns<4>, t: &mut [u32]) {
    if !columns.fits(src.len(), t.len(), COLUMN) {
        return;
    }
    for (column, t) in t.as_chunks_mut::<COLUMN>().0.iter_mut().take(columns.count).enumerate() {
        let e = columns.column(src, column);
        let halves = [bt(e.map(even)), bt(e.map(odd))];
        t.iter_mut().zip(halves.as_flattened()).for_each(|(to, &from)| *to = from);
    }
}

/// The column that [`vertical`] makes of padding, `fill` in every row.
pub fn border(fill: u32, t: &mut [u32]) {
    let halves = [bt([even(fill); 4]), bt([odd(fill); 4])];
    t.iter_mut().zip(halves.as_flattened()).for_each(|(to, &from)| *to = from);
}

/// The lengths that [`horizontal`] needs.
pub fn fits(t: usize, v: usize, at: usize, position: usize, pairs: usize) -> bool {
    horizontal_fits(t, v, at, position, pairs, [COLUMN, 2, 2, 16])
}

/// `v[pair][4 i + j][position words]`: two channel pairs, from word `at`, of both tiles of every pair.
pub fn horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    if !fits(t.len(), v.len(), at, position, pairs) {
        return;
    }
    let tile_words = position.wrapping_mul(16);
    for (pair, v) in pieces_mut(v, tile_words).take(pairs).enumerate() {
        for (tile, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for i in 0..SIDE {
                let first =
                    pair.wrapping_mul(4).wrapping_add(2 * tile).wrapping_mul(COLUMN).wrapping_add(half * SIDE + i);
                let mut d = [0u32; 4];
                for (d, &t) in d.iter_mut().zip(t.get(first..).unwrap_or_default().iter().step_by(COLUMN)) {
                    *d = t;
                }
                let start = position.wrapping_mul(SIDE * i).wrapping_add(at + 2 * half + tile);
                let to = v.get_mut(start..).unwrap_or_default().iter_mut().step_by(position.max(1));
                to.zip(bt(d)).for_each(|(to, from)| *to = from);
            }
        }
    }
}

#[inline(always)]
fn at([m0, m1, m2, m3]: [i32; 4]) -> [i32; 2] {
    [m0.wrapping_add(m1).wrapping_add(m2), m1.wrapping_sub(m2).wrapping_sub(m3)]
}

/// 2x2 pixels of 4 channels of 2 tiles from `m`, with records `{2 * bias, m, c, s}`.
pub fn output(m: &[i32], records: &[u32], out: &mut [i8], tiles: Tiles) {
    let (Some(m), Some(records)) = (m.first_chunk::<128>(), records.first_chunk::<16>()) else { return };
    if !tiles.fits(2, out.len()) {
        return;
    }
    for (tile, &first) in tiles.at.iter().enumerate() {
        for (channel, record) in records.as_chunks::<4>().0.iter().enumerate() {
            let value = |p: usize| m.get(p * 8 + 4 * tile + channel).copied().unwrap_or_default();
            let row = |i: usize| [value(4 * i), value(4 * i + 1), value(4 * i + 2), value(4 * i + 3)];
            let [t0, t1] = [at([0, 1, 2, 3].map(|i| at(row(i))[0])), at([0, 1, 2, 3].map(|i| at(row(i))[1]))];
            let values = [t0[0] >> 1, t1[0] >> 1, t0[1] >> 1, t1[1] >> 1];
            store(values, record, out, first.wrapping_add(channel), tiles);
        }
    }
}

/// Requantizes and stores `2 * acc` of the pixels (0, 0), (0, 1), (1, 0), (1, 1).
#[inline(always)]
pub(super) fn store(values: [i32; 4], record: &[u32; 4], out: &mut [i8], first: usize, tiles: Tiles) {
    let [bias2, m, c, s] = *record;
    let at = [0, tiles.pixel, tiles.row, tiles.row.wrapping_add(tiles.pixel)];
    for (value, at) in values.into_iter().zip(at) {
        let q = fast((bias2 as i32).wrapping_add(value), m as i32, c as i32, s);
        out.iter_mut().skip(first.wrapping_add(at)).take(1).for_each(|out| *out = q);
    }
}

/// Whether the weights of `src.len() / 9` channel groups fit into 16 positions of `u`.
pub const fn weights_fit(src: usize, u: usize, at: usize, position: usize) -> bool {
    let groups = src / 9;
    groups > 0 && at < 4 && groups.saturating_mul(8) <= position && position.saturating_mul(16) <= u
}

/// Transforms one filter at run time: `src[group][9 taps]`, words of four channels, into
/// `u[4 i + j][channel pair][4]`, lane `at`, `position` words from position to position.
pub fn weights(src: &[u32], u: &mut [u32], at: usize, position: usize) {
    if !weights_fit(src.len(), u.len(), at, position) {
        return;
    }
    let gt = |[g0, g1, g2]: [u32; 3]| {
        let s = add(g0, g2);
        [add(g0, g0), add(s, g1), sub(s, g1), add(g2, g2)]
    };
    for (group, g) in src.as_chunks::<9>().0.iter().enumerate() {
        for (half, widen) in [even as fn(u32) -> u32, odd].into_iter().enumerate() {
            let [a, b, c, d, e, f, g, h, i] = g.map(widen);
            let [t0, t1, t2] = [gt([a, d, g]), gt([b, e, h]), gt([c, f, i])];
            for (row, ((x, y), z)) in t0.into_iter().zip(t1).zip(t2).enumerate() {
                let first =
                    row.wrapping_mul(4).wrapping_mul(position).wrapping_add(group.wrapping_mul(8) + 4 * half + at);
                let to = u.get_mut(first..).unwrap_or_default().iter_mut().step_by(position.max(1));
                to.zip(gt([x, y, z])).for_each(|(to, from)| *to = from);
            }
        }
    }
}
