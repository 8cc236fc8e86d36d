//! Depthwise convolution: two pixels, four channels at a time.

use super::halves::{bytes4, even, high, low, odd, word};
use super::requantize::with_record;

/// Where the taps of a pixel lie, the same for all pixels of a row.
#[derive(Clone, Copy, Debug)]
pub struct Taps {
    row: usize,
    step: usize,
    kernel: [usize; 2],
    /// Bytes from tap (0, 0) to the last tap.
    reach: usize,
    /// Words of weights of four channels.
    words: usize,
}

impl Taps {
    /// Of `kernel` rows and columns, `row` bytes from row to row and `step` bytes from tap to tap.
    pub const fn new(kernel: [usize; 2], row: usize, step: usize) -> Self {
        let [rows, columns] = kernel;
        let reach = rows.saturating_sub(1).saturating_mul(row);
        let reach = reach.saturating_add(columns.saturating_sub(1).saturating_mul(step));
        let words = rows.saturating_mul(columns).saturating_mul(2);
        // A kernel without taps fits nowhere.
        Self { row, step, kernel, reach, words: if words == 0 { usize::MAX } else { words } }
    }

    /// Bytes from row to row.
    pub const fn row(&self) -> usize {
        self.row
    }

    /// Bytes from tap to tap.
    pub const fn step(&self) -> usize {
        self.step
    }

    /// Kernel rows and columns.
    pub const fn kernel(&self) -> [usize; 2] {
        self.kernel
    }
}

/// A pair of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Byte offset of tap (0, 0) of the first pixel.
    pub at: usize,
    /// Bytes from there to tap (0, 0) of the second pixel.
    pub second: usize,
    /// Bytes from the first output pixel to the second; 0 when both are the same.
    pub out: usize,
}

impl Pair {
    /// Whether all `taps` of `groups` groups of four channels lie within `src` bytes, their weights within `w` words, and
    /// the outputs within `out` bytes.
    #[inline(always)]
    pub const fn fits(&self, taps: &Taps, src: usize, w: usize, groups: usize, out: usize) -> bool {
        let channels = groups.saturating_mul(4);
        groups > 0
            && self.at.saturating_add(self.second).saturating_add(taps.reach).saturating_add(channels) <= src
            && taps.words.saturating_mul(groups) <= w
            && self.out.saturating_add(channels) <= out
    }
}

/// `out[pair.out * pixel + channel]`, requantized, a group of four channels per 16 words of `records`, from
/// `w[group][tap][2]`: the weights of channels 0 and 2, and of 1 and 3.
pub fn depthwise(src: &[i8], taps: &Taps, pair: Pair, w: &[u32], records: &[u32], out: &mut [i8]) {
    let (records, _) = records.as_chunks::<16>();
    if !pair.fits(taps, src.len(), w.len(), records.len(), out.len()) {
        return;
    }
    let mut weights = w.as_chunks::<2>().0;
    for (group, records) in records.iter().enumerate() {
        let Some((now, rest)) = weights.split_at_checked(taps.kernel[0].wrapping_mul(taps.kernel[1])) else { return };
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
fn sums(src: &[i8], at: usize, taps: &Taps, weights: &[[u32; 2]]) -> [i32; 4] {
    let mut acc = [0i32; 4];
    let mut weights = weights.iter();
    for row in 0..taps.kernel[0] {
        for (column, &[a, b]) in (0..taps.kernel[1]).zip(weights.by_ref()) {
            let at = at.wrapping_add(row.wrapping_mul(taps.row)).wrapping_add(column.wrapping_mul(taps.step));
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
