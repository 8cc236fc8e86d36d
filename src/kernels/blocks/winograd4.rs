//! Exact integer Winograd F(4x4, 3x3).
//!
//! Inputs are taken as 0..=255 (the sign bit flipped), two channels to a word, and transformed with ordinary 32-bit
//! arithmetic: borrows between the halves are linear and cancel. Every half of the horizontal result has `K` = 12,800
//! added, so that it lies in 50..=30,140 and is right as it stands. Products are the convolution times 576, modulo
//! 2^32; the record's `b` words take the constant back out.

use super::requantize::{fast, saturate, shift};
use super::winograd::Transform;
use crate::quant::high_product;
use crate::sys::shapes::{INVERSE_9, Scheme, Tiles, proven};

/// What is added to every half of a transformed input.
pub const K: u32 = 12_800;

/// 4 x 4 outputs from 6 x 6 inputs.
#[derive(Clone, Copy, Debug)]
pub struct F4;

impl Transform<6> for F4 {
    const SCHEME: Scheme = Scheme::F4;
    const FLIP: u32 = 0x8080_8080;
    const OFFSET: u32 = K << 16 | K;

    #[inline(always)]
    fn even(word: u32) -> u32 {
        word & 0x00ff_00ff
    }

    #[inline(always)]
    fn odd(word: u32) -> u32 {
        (word >> 8) & 0x00ff_00ff
    }

    #[inline(always)]
    fn transform([e0, e1, e2, e3, e4, e5]: [u32; 6]) -> [u32; 6] {
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

    /// A record is `{m, c, s, b, b22, b32, b23, b33}`; with `relu`, which is exact where results below the zero point -128 do not
    /// matter, `c` and `s` stand for 32 times the value.
    fn output(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: &Tiles) {
        if !proven(Self::SCHEME.output_fits(m.len(), records.len(), out.len(), tiles)) {
            return;
        }
        let (Some(m), Some(records)) = (m.first_chunk::<288>(), records.first_chunk::<32>()) else { return };
        for (tile, &first) in tiles.at.iter().enumerate() {
            for (channel, &[mult, c, s, b, b22, b32, b23, b33]) in records.as_chunks::<8>().0.iter().enumerate() {
                let mut t = [[0i32; 6]; 4];
                for i in 0..6 {
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
                        let at =
                            first.wrapping_add(y.wrapping_mul(tiles.row)).wrapping_add(x.wrapping_mul(tiles.pixel));
                        out.iter_mut().skip(at.wrapping_add(channel)).take(1).for_each(|out| *out = q);
                    }
                }
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
