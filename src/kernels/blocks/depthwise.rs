//! Depthwise convolution: two pixels, four channels at a time.

use super::halves::{bytes4, even, high, low, odd, word};
use super::requantize::with_record;

/// Where the taps and the outputs of a pair of pixels lie.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Byte offset of tap (0, 0) of the first pixel.
    pub at: usize,
    /// Bytes from there to tap (0, 0) of the second pixel.
    pub second: usize,
    /// Bytes from row to row.
    pub row: usize,
    /// Bytes from tap to tap.
    pub step: usize,
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Bytes from the first output pixel to the second; 0 when both are the same.
    pub out: usize,
}

impl Pair {
    /// Whether all taps of `groups` groups of four channels lie within `src` bytes, their weights within `w` words, and
    /// the outputs within `out` bytes.
    pub const fn fits(&self, src: usize, w: usize, groups: usize, out: usize) -> bool {
        let [rows, columns] = self.kernel;
        let channels = groups.saturating_mul(4);
        let reach = rows.saturating_sub(1).saturating_mul(self.row);
        let reach = reach.saturating_add(columns.saturating_sub(1).saturating_mul(self.step)).saturating_add(channels);
        rows > 0
            && columns > 0
            && groups > 0
            && self.at.saturating_add(self.second).saturating_add(reach) <= src
            && rows.saturating_mul(columns).saturating_mul(groups).saturating_mul(2) <= w
            && self.out.saturating_add(channels) <= out
    }
}

/// `out[pair.out * pixel + channel]`, requantized, a group of four channels per 16 words of `records`, from
/// `w[group][tap][2]`: the weights of channels 0 and 2, and of 1 and 3.
pub fn depthwise(src: &[i8], pair: &Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
    let (records, _) = records.as_chunks::<16>();
    if !pair.fits(src.len(), w.len(), records.len(), out.len()) {
        return;
    }
    let mut taps = w.as_chunks::<2>().0;
    for (group, records) in records.iter().enumerate() {
        let Some((now, rest)) = taps.split_at_checked(pair.kernel[0].wrapping_mul(pair.kernel[1])) else { return };
        taps = rest;
        let channel = group.wrapping_mul(4);
        for (first, to) in [(pair.at, channel), (pair.at.wrapping_add(pair.second), channel.wrapping_add(pair.out))] {
            let acc = sums(src, first.wrapping_add(channel), pair, now);
            let out = out.get_mut(to..).unwrap_or_default();
            for ((acc, record), out) in acc.into_iter().zip(records.as_chunks::<4>().0).zip(out) {
                *out = with_record(acc, record);
            }
        }
    }
}

/// The sums of four channels of one pixel.
#[inline(always)]
fn sums(src: &[i8], at: usize, pair: &Pair, taps: &[[u32; 2]]) -> [i32; 4] {
    let mut acc = [0i32; 4];
    let mut taps = taps.iter();
    for row in 0..pair.kernel[0] {
        for (column, &[a, b]) in (0..pair.kernel[1]).zip(taps.by_ref()) {
            let at = at.wrapping_add(row.wrapping_mul(pair.row)).wrapping_add(column.wrapping_mul(pair.step));
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
