//! Depthwise 3x3 by rows: four channels apart, two columns of a row to a word.
//!
//! A plane has the words of a channel, `x[3 * pair of columns + row]`, three rows next to each other. The weights of a channel are
//! `w[2 * kernel row..][..2]`, those of columns 0 and 1, and of 1 and 2.

use super::pairs::{bytes4, high, low, pair};
use super::requantize::with_record;
use crate::sys::shapes::{PlaneRow, Planes, proven};

/// Takes pixels of four channels apart, into a row of their planes.
pub fn planes(dst: &mut [u32], src: &[i8], planes: &Planes) {
    if !proven(planes.fit(dst.len(), src.len())) {
        return;
    }
    for p in 0..planes.pairs {
        let at = p.wrapping_mul(2).wrapping_mul(planes.pixel);
        let [a, b] = [at, at.wrapping_add(planes.pixel)].map(|at| bytes4(src, at).unwrap_or_default());
        for (channel, (a, b)) in a.into_iter().zip(b).enumerate() {
            if let Some(to) = dst.get_mut(channel.wrapping_mul(planes.plane).wrapping_add(p.wrapping_mul(3))) {
                *to = pair(a.into(), b.into());
            }
        }
    }
}

/// `out[row.pixel * i + channel]`, requantized, of the planes of four channels from `x` on.
pub fn depthwise_row(x: &[u32], w: &[u32; 24], records: &[u32; 16], out: &mut [i8], row: &PlaneRow) {
    if !proven(row.fits(x.len(), out.len())) {
        return;
    }
    for (channel, (w, record)) in w.as_chunks::<6>().0.iter().zip(records.as_chunks::<4>().0).enumerate() {
        let plane = x.get(channel.wrapping_mul(row.plane)..).unwrap_or_default();
        for i in 0..row.count {
            let mut acc = 0i32;
            for (slot, &offset) in row.rows.iter().enumerate() {
                let word =
                    |pair: usize| plane.get(pair.wrapping_mul(3).wrapping_add(slot)).copied().unwrap_or_default();
                let weight =
                    |word: usize| w.get(offset.wrapping_mul(2).wrapping_add(word)).copied().unwrap_or_default();
                let (first, a, b) = (i.wrapping_mul(row.stride), weight(0), weight(1));
                let (now, next) = (word(first / 2), word((first / 2).wrapping_add(1)));
                let products = if first.is_multiple_of(2) {
                    [low(now).wrapping_mul(low(a)), high(now).wrapping_mul(high(a)), low(next).wrapping_mul(high(b))]
                } else {
                    [high(now).wrapping_mul(low(a)), low(next).wrapping_mul(low(b)), high(next).wrapping_mul(high(b))]
                };
                acc = products.into_iter().fold(acc, i32::wrapping_add);
            }
            if let Some(out) = out.get_mut(i.wrapping_mul(row.pixel).wrapping_add(channel)) {
                *out = with_record(acc, record);
            }
        }
    }
}
