//! Winograd for 3x3 at stride 2, two outputs from five inputs along each axis.
//!
//! Along one axis `M0 = (x0 - x2) w0 + x1 w1`, `M1 = x2 (w0 + w2)`, `M2 = (x2 - x4) w2 - x3 w1`, and the outputs are
//! `M0 + M1` and `M1 - M2`. Both products of `M0` and of `M2` share an accumulator, so in two dimensions there are nine
//! positions made of 25 *slots* of transformed inputs.

use super::pairs::sub;
use super::winograd::Transform;
use super::winograd2::store;
use crate::sys::shapes::{Scheme, Tiles, proven};

/// 2 x 2 outputs at stride 2 from 5 x 5 inputs.
#[derive(Clone, Copy, Debug)]
pub struct S2;

impl Transform<5> for S2 {
    const SCHEME: Scheme = Scheme::S2;

    /// Inputs 0-4 as the five factors `x0 - x2, x1, x2, x2 - x4, x3`.
    #[inline(always)]
    fn transform([x0, x1, x2, x3, x4]: [u32; 5]) -> [u32; 5] {
        [sub(x0, x2), x1, x2, sub(x2, x4), x3]
    }

    /// Records are `{2 * bias, m, c, s}`.
    fn output(m: &[i32], records: &[u32], _relu: bool, out: &mut [i8], tiles: &Tiles) {
        if !proven(Self::SCHEME.output_fits(m.len(), records.len(), out.len(), tiles)) {
            return;
        }
        let (Some(m), Some(records)) = (m.first_chunk::<72>(), records.first_chunk::<16>()) else { return };
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
}
