//! Depthwise convolution: two pixels of four channels.

use super::halves::{bytes4, even, high, low, odd, word};
use super::requantize::with_record;

/// Where the taps of a pair of pixels lie.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
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
}

impl Patch {
    /// Whether all taps lie within `src` bytes, and have two words of `w` each.
    pub const fn fits(&self, src: usize, w: usize) -> bool {
        let [rows, columns] = self.kernel;
        let reach = rows.saturating_sub(1).saturating_mul(self.row);
        let reach = reach.saturating_add(columns.saturating_sub(1).saturating_mul(self.step)).saturating_add(4);
        rows > 0
            && columns > 0
            && self.at.saturating_add(self.second).saturating_add(reach) <= src
            && rows.saturating_mul(columns).saturating_mul(2) <= w
    }
}

/// `out[second * pixel + channel]`, four channels of two pixels, from `w[tap][2]`: the weights of channels 0 and 2, and
/// of 1 and 3.
pub fn depthwise(src: &[i8], patch: &Patch, w: &[u32], records: &[u32; 16], out: &mut [i8], second: usize) {
    if !patch.fits(src.len(), w.len()) || second.saturating_add(4) > out.len() {
        return;
    }
    for (first, to) in [(patch.at, 0), (patch.at.wrapping_add(patch.second), second)] {
        let mut acc = [0i32; 4];
        let mut taps = w.as_chunks::<2>().0.iter();
        for row in 0..patch.kernel[0] {
            for (column, &[a, b]) in (0..patch.kernel[1]).zip(taps.by_ref()) {
                let at = first.wrapping_add(row.wrapping_mul(patch.row)).wrapping_add(column.wrapping_mul(patch.step));
                let x = word(bytes4(src, at).unwrap_or_default());
                let (e, o) = (even(x), odd(x));
                acc[0] = acc[0].wrapping_add(low(e).wrapping_mul(low(a)));
                acc[1] = acc[1].wrapping_add(low(o).wrapping_mul(low(b)));
                acc[2] = acc[2].wrapping_add(high(e).wrapping_mul(high(a)));
                acc[3] = acc[3].wrapping_add(high(o).wrapping_mul(high(b)));
            }
        }
        let out = out.get_mut(to..).unwrap_or_default();
        for ((acc, record), out) in acc.into_iter().zip(records.as_chunks::<4>().0).zip(out) {
            *out = with_record(acc, record);
        }
    }
}
