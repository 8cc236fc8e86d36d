//! Depthwise 3x3 by lines, four channels at a time.
//!
//! The weights of a channel are `w[2 * kernel row..][..2]`, those of columns 0 and 1, and of 1 and 2: a core that multiplies halves of
//! words keeps three lines of the input with their channels apart and two pixels to a word, and starts windows at either. Column 1 is
//! there twice; that of the first word counts, so that no output depends on where a window starts.

use core::ops::Range;

use super::pairs::{add, bytes4, high, low};
use super::requantize::fast;
use crate::sys::shapes::{Lines, proven};

/// Lines `lines` of the output, requantized. Weights are doubled, in 16 bits, as the requantization doubles sums.
pub fn depthwise_lines(
    x: &[u32],
    input: &[i8],
    w: &[u32; 24],
    records: &[u32; 16],
    out: &mut [i8],
    shape: &Lines,
    lines: Range<usize>,
) {
    if !proven(shape.fit(x.len(), input.len(), out.len(), lines.start, lines.end)) {
        return;
    }
    let Lines { input: from, output: to, stride, before, zero } = *shape;
    let mut weights = [[[0i32; 3]; 3]; 4];
    for (rows, w) in weights.iter_mut().zip(w.as_chunks::<6>().0) {
        for (row, w) in rows.iter_mut().zip(w.as_chunks::<2>().0) {
            let [a, b] = w.map(|w| add(w, w));
            *row = [low(a), high(a), high(b)];
        }
    }
    for y in lines {
        for i in 0..to.pixels {
            let mut sums = [0i32; 4];
            for row in 0..3 {
                let line = y.wrapping_mul(stride[0]).wrapping_add(row).wrapping_sub(before[0]);
                let line = if line < from.lines { input.get(from.start(line)..) } else { None };
                for column in 0..3 {
                    let pixel = i.wrapping_mul(stride[1]).wrapping_add(column).wrapping_sub(before[1]);
                    let line = if pixel < from.pixels { line } else { None };
                    let pixel = line.and_then(|line| bytes4(line, pixel.wrapping_mul(from.pixel)));
                    for ((sum, x), w) in sums.iter_mut().zip(pixel.unwrap_or([zero; 4])).zip(&weights) {
                        let w = w.get(row).and_then(|row| row.get(column)).copied().unwrap_or_default();
                        *sum = sum.wrapping_add(w.wrapping_mul(x.into()));
                    }
                }
            }
            let out = out.get_mut(to.start(y).wrapping_add(i.wrapping_mul(to.pixel))..).unwrap_or_default();
            for ((out, sum), &[bias2, m, c, s]) in out.iter_mut().zip(sums).zip(records.as_chunks::<4>().0) {
                *out = fast((bias2 as i32).wrapping_add(sum), m as i32, c as i32, s);
            }
        }
    }
}
