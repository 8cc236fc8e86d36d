//! Depthwise convolution: two pixels, four channels at a time.

use super::pairs::{bytes4, even, high, low, odd, word};
use super::requantize::with_record;
use crate::sys::shapes::{Pair, TapGrid, proven};

/// `out[pair.out * pixel + channel]`, requantized, a group of four channels per 16 words of `records`, from
/// `w[group][tap][2]`: the weights of channels 0 and 2, and of 1 and 3.
pub fn depthwise(src: &[i8], taps: &TapGrid, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
    let (records, _) = records.as_chunks::<16>();
    if !proven(pair.fits(taps, src.len(), w.len(), records.len(), out.len())) {
        return;
    }
    let [rows, columns] = taps.kernel();
    let mut weights = w.as_chunks::<2>().0;
    for (group, records) in records.iter().enumerate() {
        let Some((now, rest)) = weights.split_at_checked(rows.wrapping_mul(columns)) else { return };
        weights = rest;
        let channel = group.wrapping_mul(4);
        for (first, to) in [(pair.at, channel), (pair.at.wrapping_add(pair.second), channel.wrapping_add(pair.out))] {
            let acc = sums(src, first.wrapping_add(channel), taps, now);
            let out = out.get_mut(to..).unwrap_or_default();
            for ((acc, record), out) in acc.into_iter().zip(records.as_chunks::<4>().0).zip(out) {
                *out = with_record(acc, record);
            }
        }
    }
}

/// The sums of four channels of one pixel.
#[inline(always)]
fn sums(src: &[i8], at: usize, taps: &TapGrid, weights: &[[u32; 2]]) -> [i32; 4] {
    let mut acc = [0i32; 4];
    let mut weights = weights.iter();
    let [rows, columns] = taps.kernel();
    for row in 0..rows {
        for (column, &[a, b]) in (0..columns).zip(weights.by_ref()) {
            let at = at.wrapping_add(row.wrapping_mul(taps.row())).wrapping_add(column.wrapping_mul(taps.step()));
            let x = word(bytes4(src, at).unwrap_or_default());
            let (e, o) = (even(x), odd(x));
            acc[0] = acc[0].wrapping_add(low(e).wrapping_mul(low(a)));
            acc[1] = acc[1].wrapping_add(low(o).wrapping_mul(low(b)));
            acc[2] = acc[2].wrapping_add(high(e).wrapping_mul(high(a)));
            acc[3] = acc[3].wrapping_add(high(o).wrapping_mul(high(b)));
        }
    }
    acc
}
