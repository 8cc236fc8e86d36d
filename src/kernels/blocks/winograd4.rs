//! Exact integer Winograd F(4x4, 3x3): blocks.
//!
//! Inputs are taken as 0..=255 (the sign bit flipped), two channels to a word, and transformed with ordinary 32-bit
//! arithmetic: borrows between the halves are linear and cancel. Every half of the horizontal result has `K` = 12,800
//! added, so that it lies in 50..=30,140 and is right as it stands. Products are the convolution times 576, modulo
//! 2^32; the record's `b` words take the constant back out.

use super::pieces::pieces_mut;
use super::requantize::{fast, high_product, saturate, shift};
use super::winograd::{Columns, Tiles};

/// What is added to every half of a transformed input.
pub const K: u32 = 12_800;
/// Rows and columns of a transformed tile.
pub const SIDE: usize = 6;
/// Words of a transformed column of four channels.
pub const COLUMN: usize = 12;
/// The inverse of 9 modulo 2^32: 576 times the convolution becomes 64 times.
pub const INVERSE_9: u32 = 0x38e3_8e39;

const K2: u32 = K << 16 | K;

#[inline(always)]
fn bt(e: [u32; 6]) -> [u32; 6] {
    let [e0, e1, e2, e3, e4, e5] = e;
    let four = |x: u32| x.wrapping_shl(2);
    let two = |x: u32| x.wrapping_shl(1);
    let (b, f) = (e3.wrapping_sub(four(e1)), e3.wrapping_sub(e1));
    let (a, c) = (e4.wrapping_sub(four(e2)), e4.wrapping_sub(e2));
    let v1 = a.wrapping_add(b);
    let v3 = c.wrapping_add(two(f));
    [
        c.wrapping_add(four(e0.wrapping_sub(e2))),
        v1,
        v1.wrapping_sub(two(b)),
        v3,
        v3.wrapping_sub(four(f)),
        e5.wrapping_sub(e3).wrapping_sub(four(f)),
    ]
}

/// `t[column][half][6]`, the vertical transform of four channels.
pub fn vertical(src: &[i8], columns: &Columns<6>, t: &mut [u32]) {
    if !columns.fits(src.len(), t.len(), COLUMN) {
        return;
    }
    for (column, t) in t.as_chunks_mut::<COLUMN>().0.iter_mut().take(columns.count).enumerate() {
        let mut e = columns.column(src, column);
        for (i, e) in e.iter_mut().enumerate() {
            if !columns.is_missing(i) {
                *e ^= 0x8080_8080;
            }
        }
        let even = bt(e.map(|e| e & 0x00ff_00ff));
        let odd = bt(e.map(|e| (e >> 8) & 0x00ff_00ff));
        t.iter_mut().zip(even.iter().chain(&odd)).for_each(|(to, &from)| *to = from);
    }
}

/// Whether a horizontal transform of `pairs` pairs of tiles fits: `columns` words per column, `step` columns from tile
/// to tile, `extra` beyond, `positions` positions of `position` words.
pub(super) fn horizontal_fits(t: usize, v: usize, at: usize, position: usize, pairs: usize, shape: [usize; 4]) -> bool {
    let [words, step, extra, positions] = shape;
    let columns = pairs.saturating_mul(2).saturating_mul(step).saturating_add(extra);
    pairs > 0
        && columns.saturating_mul(words) <= t
        && at.saturating_add(4) <= position
        && pairs.saturating_mul(positions).saturating_mul(position) <= v
}

/// The column that [`vertical`] makes of padding, `fill` in every row.
pub fn border(fill: u32, t: &mut [u32]) {
    let halves = [bt([fill & 0x00ff_00ff; 6]), bt([(fill >> 8) & 0x00ff_00ff; 6])];
    t.iter_mut().zip(halves.as_flattened()).for_each(|(to, &from)| *to = from);
}

/// The lengths that [`horizontal`] needs.
pub fn fits(t: usize, v: usize, at: usize, position: usize, pairs: usize) -> bool {
    horizontal_fits(t, v, at, position, pairs, [COLUMN, 4, 2, 36])
}

/// `v[pair][6 i + j][position words]`: two channel pairs, from word `at`, of both tiles of every pair.
pub fn horizontal(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
    if !fits(t.len(), v.len(), at, position, pairs) {
        return;
    }
    let tile_words = position.wrapping_mul(36);
    for (pair, v) in pieces_mut(v, tile_words).take(pairs).enumerate() {
        for (tile, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for i in 0..SIDE {
                let first =
                    pair.wrapping_mul(8).wrapping_add(4 * tile).wrapping_mul(COLUMN).wrapping_add(half * SIDE + i);
                let mut d = [0u32; 6];
                for (d, &t) in d.iter_mut().zip(t.get(first..).unwrap_or_default().iter().step_by(COLUMN)) {
                    *d = t;
                }
                d[4] = d[4].wrapping_add(K2);
                d[5] = d[5].wrapping_add(K2);
                let start = position.wrapping_mul(SIDE * i).wrapping_add(at + 2 * half + tile);
                let to = v.get_mut(start..).unwrap_or_default().iter_mut().step_by(position.max(1));
                to.zip(bt(d)).for_each(|(to, from)| *to = from);
            }
        }
    }
}

#[inline(always)]
fn at(m: [i32; 6]) -> [i32; 4] {
    let [m0, m1, m2, m3, m4, m5] = m;
    let (a, b) = (m1.wrapping_add(m2), m1.wrapping_sub(m2));
    let (c, d) = (m3.wrapping_add(m4), m3.wrapping_sub(m4));
    [
        m0.wrapping_add(a).wrapping_add(c),
        b.wrapping_add(d.wrapping_shl(1)),
        a.wrapping_add(c.wrapping_shl(2)),
        b.wrapping_add(d.wrapping_shl(3)).wrapping_add(m5.wrapping_shl(1)),
    ]
}

/// 4x4 pixels of 4 channels of 2 tiles from `m`. A record is `{m, c, s, b, b22, b32, b23, b33}`; with `relu`, which
/// is exact where results below the zero point -128 do not matter, `c` and `s` stand for 32 times the value.
pub fn output(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: Tiles) {
    let (Some(m), Some(records)) = (m.first_chunk::<288>(), records.first_chunk::<32>()) else { return };
    if !tiles.fits(4, out.len()) {
        return;
    }
    for (tile, &first) in tiles.at.iter().enumerate() {
        for (channel, &[mult, c, s, b, b22, b32, b23, b33]) in records.as_chunks::<8>().0.iter().enumerate() {
            let mut t = [[0i32; 6]; 4];
            for i in 0..SIDE {
                let mut row = [0i32; 6];
                for (j, to) in row.iter_mut().enumerate() {
                    *to = m.get((6 * i + j) * 8 + 4 * tile + channel).copied().unwrap_or_default();
                }
                t.iter_mut().zip(at(row)).for_each(|(t, y)| t.iter_mut().skip(i).take(1).for_each(|t| *t = y));
            }
            let constants = [[b; 4], [b; 4], [b, b, b22, b32], [b, b, b23, b33]];
            for (x, (column, constants)) in t.into_iter().zip(constants).enumerate() {
                for (y, (value, constant)) in at(column).into_iter().zip(constants).enumerate() {
                    let z = (value as u32).wrapping_mul(INVERSE_9).wrapping_add(constant) as i32;
                    let q = if relu {
                        saturate(shift((c as i32).wrapping_add(high_product(z, mult as i32, 0)), s))
                    } else {
                        fast(z >> 5, mult as i32, c as i32, s)
                    };
                    let at = first.wrapping_add(y.wrapping_mul(tiles.row)).wrapping_add(x.wrapping_mul(tiles.pixel));
                    out.iter_mut().skip(at.wrapping_add(channel)).take(1).for_each(|out| *out = q);
                }
            }
        }
    }
}
