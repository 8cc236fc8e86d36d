//! Exact integer Winograd F(2x2, 3x3). Products are the convolution times 4, on inputs as they are.

use super::pairs::{add, even, odd, sub};
use super::requantize::fast;
use super::winograd::Transform;
use crate::sys::shapes::{Scheme, Tiles, filter_fits, proven};

/// 2 x 2 outputs from 4 x 4 inputs.
#[derive(Clone, Copy, Debug)]
pub struct F2;

impl Transform<4> for F2 {
    const SCHEME: Scheme = Scheme::F2;

    #[inline(always)]
    fn transform([e0, e1, e2, e3]: [u32; 4]) -> [u32; 4] {
        [sub(e0, e2), add(e1, e2), sub(e2, e1), sub(e1, e3)]
    }

    /// Records are `{2 * bias, m, c, s}`.
    fn output(m: &[i32], records: &[u32], _relu: bool, out: &mut [i8], tiles: &Tiles) {
        if !proven(Self::SCHEME.output_fits(m.len(), records.len(), out.len(), tiles)) {
            return;
        }
        let (Some(m), Some(records)) = (m.first_chunk::<128>(), records.first_chunk::<16>()) else { return };
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
}

#[inline(always)]
fn at([m0, m1, m2, m3]: [i32; 4]) -> [i32; 2] {
    [m0.wrapping_add(m1).wrapping_add(m2), m1.wrapping_sub(m2).wrapping_sub(m3)]
}

/// Requantizes and stores `2 * acc` of the pixels (0, 0), (0, 1), (1, 0), (1, 1).
#[inline(always)]
pub(super) fn store(values: [i32; 4], record: &[u32; 4], out: &mut [i8], first: usize, tiles: &Tiles) {
    let [bias2, m, c, s] = *record;
    let at = [0, tiles.pixel, tiles.row, tiles.row.wrapping_add(tiles.pixel)];
    for (value, at) in values.into_iter().zip(at) {
        let q = fast((bias2 as i32).wrapping_add(value), m as i32, c as i32, s);
        out.iter_mut().skip(first.wrapping_add(at)).take(1).for_each(|out| *out = q);
    }
}

/// Transforms one filter at run time: `src[group][9 taps]`, words of four channels, into
/// `u[4 i + j][channel pair][4]`, lane `at`, `position` words from position to position.
pub fn filter(src: &[u32], u: &mut [u32], at: usize, position: usize) {
    if !proven(filter_fits(src.len(), u.len(), at, position)) {
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
