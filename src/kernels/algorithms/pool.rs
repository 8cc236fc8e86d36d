//! Pools in rows of bytes.

use core::ops::Range;

use super::Map;
use crate::kernels::Backend;
use crate::window::Window;

/// A maximum pool.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    /// The input.
    pub input: Map,
    /// The output.
    pub output: Map,
    /// Kernel, stride and padding.
    pub window: Window,
    /// Least output.
    pub low: i8,
    /// Greatest output.
    pub high: i8,
}

impl MaxPool {
    /// Bytes of scratch: a row of maxima over the kernel's rows, padded.
    pub const fn scratch_bytes(&self) -> usize {
        let columns = self.input.w.saturating_add(self.window.before[1] as usize);
        columns.saturating_add(self.window.after[1] as usize).saturating_mul(self.input.c)
    }

    /// Computes output rows `rows`: first the maxima over the kernel's rows, then over its columns.
    pub fn run<B: Backend>(&self, input: &[i8], output: &mut [i8], scratch: &mut [i8], rows: Range<usize>) {
        let (i, o, c) = (&self.input, &self.output, self.input.c);
        let Some(line) = scratch.get_mut(..self.scratch_bytes()) else { return };
        // The least byte stands for padding, which takes no part.
        line.fill(i8::MIN);
        let step = self.window.stride[1] as usize;
        let taps = self.window.kernel[1] as usize;
        for y in rows {
            let inside = self.window.taps(0, y as u32, i.h as u32);
            let sources = Rows { map: i, input, first: inside.start as usize, count: inside.len as usize };
            let middle = line.get_mut((self.window.before[1] as usize).wrapping_mul(c)..).unwrap_or_default();
            if i.pitch == c {
                sources.max::<B>(middle, 0, i.w.wrapping_mul(c));
            } else {
                for x in 0..i.w {
                    let middle = middle.get_mut(x.wrapping_mul(c)..).unwrap_or_default();
                    sources.max::<B>(middle, x.wrapping_mul(i.pitch), c);
                }
            }
            let out = output.get_mut(o.row(y)..).unwrap_or_default();
            if step == 1 && o.pitch == c {
                columns::<B>(out, line, c, taps, o.w.wrapping_mul(c));
                self.clamp::<B>(out, o.w.wrapping_mul(c));
            } else {
                for x in 0..o.w {
                    let out = out.get_mut(x.wrapping_mul(o.pitch)..).unwrap_or_default();
                    let line = line.get(x.wrapping_mul(step).wrapping_mul(c)..).unwrap_or_default();
                    columns::<B>(out, line, c, taps, c);
                    self.clamp::<B>(out, c);
                }
            }
        }
    }

    fn clamp<B: Backend>(&self, out: &mut [i8], len: usize) {
        if self.low != i8::MIN || self.high != i8::MAX {
            let len = len.min(out.len());
            B::clamp(out.get_mut(..len).unwrap_or_default(), self.low, self.high);
        }
    }
}

/// The rows under an output row.
struct Rows<'a> {
    map: &'a Map,
    input: &'a [i8],
    first: usize,
    count: usize,
}

impl Rows<'_> {
    /// `len` bytes from byte `at` of row `index`; the last row again beyond it.
    fn row(&self, index: usize, at: usize, len: usize) -> &[i8] {
        let index = index.min(self.count.saturating_sub(1));
        let start = self.map.row(self.first.wrapping_add(index)).wrapping_add(at);
        self.input.get(start..start.wrapping_add(len)).unwrap_or_default()
    }

    /// The maxima over all rows.
    #[inline(never)]
    fn max<B: Backend>(&self, to: &mut [i8], at: usize, len: usize) {
        let Some(to) = to.get_mut(..len) else { return };
        match self.count {
            0 => return,
            1 => B::copy(to, self.row(0, at, len)),
            _ => B::max3(to, self.row(0, at, len), self.row(1, at, len), self.row(2, at, len)),
        }
        let mut row = 3;
        while row < self.count {
            B::max_into(to, self.row(row, at, len), self.row(row.wrapping_add(1), at, len));
            row = row.wrapping_add(2);
        }
    }
}

/// The maxima over `taps` columns of `line`, `c` bytes apart.
#[inline(never)]
fn columns<B: Backend>(out: &mut [i8], line: &[i8], c: usize, taps: usize, len: usize) {
    let tap = |index: usize| {
        let start = index.min(taps.saturating_sub(1)).wrapping_mul(c);
        line.get(start..start.wrapping_add(len)).unwrap_or_default()
    };
    let Some(out) = out.get_mut(..len) else { return };
    if taps < 2 {
        B::copy(out, tap(0));
        return;
    }
    B::max3(out, tap(0), tap(1), tap(2));
    let mut index = 3;
    while index < taps {
        B::max_into(out, tap(index), tap(index.wrapping_add(1)));
        index = index.wrapping_add(2);
    }
}

/// A rectangle of pixels of a tensor, seen from one channel on.
#[derive(Clone, Copy, Debug)]
pub struct Rectangle<'a> {
    /// The tensor's elements, from the first column and the first channel of interest of its first kept row on.
    pub elements: &'a [i8],
    /// The kept row that the first row of pixels lies in.
    pub first_row: usize,
    /// Rows that the tensor keeps: after the last comes the first, in a line buffer.
    pub kept_rows: usize,
    /// Rows of pixels.
    pub rows: usize,
    /// Pixels in a row.
    pub columns: usize,
    /// Elements from one row to the next.
    pub row_pitch: usize,
    /// Elements from one pixel to the next.
    pub pitch: usize,
}

impl<'a> Rectangle<'a> {
    /// Every pixel's elements from the channel of interest on, row by row.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a [i8]> {
        let Self { elements, first_row, kept_rows, rows, columns, row_pitch, pitch } = *self;
        (0..rows).flat_map(move |row| {
            let row = first_row.wrapping_add(row);
            let row = if row < kept_rows { row } else { row.wrapping_sub(kept_rows) };
            let row = elements.get(row.wrapping_mul(row_pitch)..).unwrap_or_default();
            (0..columns).map(move |column| row.get(column.wrapping_mul(pitch)..).unwrap_or_default())
        })
    }
}

/// The sums of up to 16 channels over a rectangle of pixels, sixteen or four channels at a time.
pub fn sum<B: Backend>(pixels: &Rectangle<'_>, sums: &mut [i32]) {
    sums.fill(0);
    let Rectangle { elements, first_row, kept_rows, mut rows, mut columns, row_pitch, pitch } = *pixels;
    // Rows without gaps are one.
    if row_pitch == columns.wrapping_mul(pitch) && first_row.saturating_add(rows) <= kept_rows {
        (rows, columns) = (rows.min(1), columns.saturating_mul(rows));
    }
    let (wide, rest) = sums.as_chunks_mut::<16>();
    let (blocks, rest) = rest.as_chunks_mut::<4>();
    let wide_end = wide.len().wrapping_mul(16);
    let end = wide_end.wrapping_add(blocks.len().wrapping_mul(4));
    for row in 0..rows {
        let row = first_row.wrapping_add(row);
        let row = if row < kept_rows { row } else { row.wrapping_sub(kept_rows) };
        let row = elements.get(row.wrapping_mul(row_pitch)..).unwrap_or_default();
        let from = |channel: usize| row.get(channel..).unwrap_or_default();
        for (block, sums) in wide.iter_mut().enumerate() {
            row_by(from(block.wrapping_mul(16)), pitch, columns, |src, now| B::sum16(src, pitch, now, sums));
        }
        for (block, sums) in blocks.iter_mut().enumerate() {
            let at = wide_end.wrapping_add(block.wrapping_mul(4));
            row_by(from(at), pitch, columns, |src, now| B::sum4(src, pitch, now, sums));
        }
        for (channel, sum) in rest.iter_mut().enumerate() {
            let mut src = from(end.wrapping_add(channel));
            for _ in 0..columns {
                *sum = sum.wrapping_add(src.first().copied().map_or(0, i32::from));
                src = src.get(pitch..).unwrap_or_default();
            }
        }
    }
}

/// A row of `columns` pixels, at most 255 at a time.
#[inline(always)]
fn row_by(row: &[i8], pitch: usize, columns: usize, mut add: impl FnMut(&[i8], usize)) {
    let (mut src, mut left) = (row, columns);
    while left > 0 {
        let now = left.min(255);
        add(src, now);
        src = src.get(now.wrapping_mul(pitch)..).unwrap_or_default();
        left = left.wrapping_sub(now);
    }
}
