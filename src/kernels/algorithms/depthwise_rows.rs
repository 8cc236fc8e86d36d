//! Depthwise 3x3, one output channel for each input channel, a row of four channels at a time.
//!
//! Three rows of the input are kept with their channels apart and two columns to a word, so that a product is of two taps, and the
//! weights of a channel stay in registers for a whole row. Of maps that are higher than wide the columns are taken for rows: longer
//! rows, and fewer.
//!
//! Packed: header, groups of four records, then for every group six words of weights per channel, see [`planes`]. The last group
//! overlaps the one before it when the channels are no multiple of four.
//!
//! [`planes`]: crate::kernels::blocks::planes

use core::ops::Range;

use super::conv_gemm::clamp_row;
use super::{Layer, Map, Packed, block_start};
use crate::kernels::Backend;
use crate::kernels::blocks::pairs::{bytes4, high, low, pair};
use crate::sys::shapes::{PlaneRow, Planes};

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer) -> bool {
    let [rows, columns] = layer.kernel();
    let channels = layer.input.c >= 4 && layer.input.c == layer.output.c;
    channels && rows == 3 && columns == 3 && matches!(layer.stride()[1], 1 | 2)
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer) -> usize {
    Packed::HEADER.saturating_add(layer.output.c.div_ceil(4).saturating_mul(16 + 24))
}

/// Whether columns are better lines than rows.
const fn is_high(layer: &Layer) -> bool {
    layer.output.h > layer.output.w && matches!(layer.stride()[0], 1 | 2)
}

/// Pairs of pixels of a line of the input that `outputs` outputs read.
const fn pairs(outputs: usize, stride: usize) -> usize {
    outputs.div_ceil(2).saturating_mul(stride).saturating_add(1)
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer) -> usize {
    let [down, right] = layer.stride();
    let (rows, columns) = (pairs(layer.output.w, right), pairs(layer.output.h, down));
    let pairs = if is_high(layer) && rows < columns { columns } else { rows };
    pairs.saturating_mul(4 * 3)
}

/// A map as lines of pixels: its rows, or its columns.
#[derive(Clone, Copy)]
struct Grid {
    lines: usize,
    /// Lines in memory, as in a [`Map`].
    ring: usize,
    /// Bytes from line to line.
    line: usize,
    pixels: usize,
    /// Bytes from pixel to pixel.
    pixel: usize,
}

impl Grid {
    const fn rows(map: &Map) -> Self {
        Self { lines: map.h, ring: map.ring, line: map.row_bytes(), pixels: map.w, pixel: map.pitch }
    }

    /// The columns of `rows` rows that follow each other.
    const fn columns(map: &Map, rows: usize) -> Self {
        Self { lines: map.w, ring: map.w, line: map.pitch, pixels: rows, pixel: map.row_bytes() }
    }

    const fn start(&self, line: usize) -> usize {
        let line = if line < self.ring || self.ring == 0 { line } else { line % self.ring };
        line.wrapping_mul(self.line)
    }
}

/// A convolution by lines.
struct Lines {
    input: Grid,
    output: Grid,
    /// Across the lines and along them.
    stride: [usize; 2],
    /// Likewise.
    before: [usize; 2],
    zero: i8,
    /// Whether lines are columns.
    turned: bool,
}

/// Computes output rows `rows`.
pub fn run<B: Backend>(
    layer: &Layer,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) {
    let map = &layer.output;
    let Some(packed) = Packed::new(packed, map.c.div_ceil(4).wrapping_mul(16)) else { return };
    let origin = layer.window.origin(0, rows.start as u32);
    let (first, padded) = (origin.max(0) as usize, origin.wrapping_neg().max(0) as usize);
    // Rows of the input from the first that is read on, to the last, as far as they are there.
    let reach = rows.len().wrapping_mul(layer.stride()[0]).wrapping_add(2).wrapping_sub(padded);
    let there = reach.min(layer.input.h.saturating_sub(first));
    let follow = layer.input.contiguous(first, there) && map.contiguous(rows.start, rows.len());
    let zero = layer.zero_in;
    if is_high(layer) && rows.len() > map.w && follow {
        let ([down, right], [_, left]) = (layer.stride(), layer.before());
        let lines = Lines {
            input: Grid::columns(&layer.input, there),
            output: Grid::columns(map, rows.len()),
            stride: [right, down],
            before: [left, padded],
            zero,
            turned: true,
        };
        let input = input.get(layer.input.row(first)..).unwrap_or_default();
        let output = output.get_mut(map.row(rows.start)..).unwrap_or_default();
        lines.run::<B>(&packed, map.c, input, output, scratch, 0..map.w);
    } else {
        let (stride, before) = (layer.stride(), layer.before());
        let lines =
            Lines { input: Grid::rows(&layer.input), output: Grid::rows(map), stride, before, zero, turned: false };
        lines.run::<B>(&packed, map.c, input, output, scratch, rows.clone());
    }
    for y in rows {
        clamp_row::<B>(layer, output.get_mut(map.row(y)..).unwrap_or_default());
    }
}

impl Lines {
    /// Pairs of pixels of a line of the input.
    const fn pairs(&self) -> usize {
        pairs(self.output.pixels, self.stride[1])
    }

    /// Computes some lines of all `channels` channels.
    fn run<B: Backend>(
        &self,
        packed: &Packed<'_>,
        channels: usize,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        lines: Range<usize>,
    ) {
        let plane = self.pairs().wrapping_mul(3);
        let groups = packed.records.as_chunks::<16>().0.iter().zip(packed.weights.as_chunks::<24>().0);
        for (group, (records, weights)) in groups.enumerate() {
            let weights = &if self.turned { transposed(weights) } else { *weights };
            let channel = block_start(group, channels);
            let mut last: Option<i32> = None;
            for y in lines.clone() {
                let first = (y.wrapping_mul(self.stride[0]) as i32).wrapping_sub(self.before[0] as i32);
                // The places of the three lines, and which line is in each place.
                let (slots, order) = match first.rem_euclid(3) {
                    0 => ([0, 1, 2], [0, 1, 2]),
                    1 => ([1, 2, 0], [2, 0, 1]),
                    _ => ([2, 0, 1], [1, 2, 0]),
                };
                for (line, slot) in (first..first.wrapping_add(3)).zip(slots) {
                    // Lines that the one before had are there.
                    if last.is_none_or(|last| line >= last.wrapping_add(3)) {
                        self.fill::<B>(input, line, channel, scratch.get_mut(slot..).unwrap_or_default());
                    }
                }
                last = Some(first);
                let (pixel, count) = (self.output.pixel, self.output.pixels);
                let row = PlaneRow { stride: self.stride[1], plane, pixel, count, rows: order };
                let out = output.get_mut(self.output.start(y).wrapping_add(channel)..).unwrap_or_default();
                B::depthwise_row(scratch, weights, records, out, &row);
            }
        }
    }

    /// Takes line `y` of the input, or padding, apart: four channels from `channel` on.
    fn fill<B: Backend>(&self, input: &[i8], y: i32, channel: usize, x: &mut [u32]) {
        let (grid, pairs, before) = (&self.input, self.pairs(), self.before[1]);
        let line = usize::try_from(y).ok().filter(|&y| y < grid.lines);
        let line = line.and_then(|y| input.get(grid.start(y).wrapping_add(channel)..));
        // Pairs of which both pixels are there.
        let inside = match line {
            Some(_) => before.div_ceil(2).min(pairs)..(grid.pixels.wrapping_add(before) / 2).min(pairs),
            None => 0..0,
        };
        let plane = pairs.wrapping_mul(3);
        let pixel = |at: usize| {
            let at = at.checked_sub(before).filter(|&at| at < grid.pixels)?;
            bytes4(line?, at.wrapping_mul(grid.pixel))
        };
        for p in (0..inside.start).chain(inside.end..pairs) {
            let at = p.wrapping_mul(2);
            let two = [at, at.wrapping_add(1)].map(|at| pixel(at).unwrap_or([self.zero; 4]));
            let to = x.get_mut(p.wrapping_mul(3)..).unwrap_or_default();
            B::planes(to, two.as_flattened(), &Planes { pixel: 4, pairs: 1, plane });
        }
        if let Some(line) = line.filter(|_| !inside.is_empty()) {
            let from = inside.start.wrapping_mul(2).wrapping_sub(before).wrapping_mul(grid.pixel);
            let planes = Planes { pixel: grid.pixel, pairs: inside.len(), plane };
            let to = x.get_mut(inside.start.wrapping_mul(3)..).unwrap_or_default();
            B::planes(to, line.get(from..).unwrap_or_default(), &planes);
        }
    }
}

/// Weights whose rows are columns.
fn transposed(weights: &[u32; 24]) -> [u32; 24] {
    let mut turned = [0; 24];
    for (to, &[a, ab, b, bb, c, cb]) in turned.as_chunks_mut::<6>().0.iter_mut().zip(weights.as_chunks::<6>().0) {
        let columns = [[low(a), low(b), low(c)], [high(a), high(b), high(c)], [high(ab), high(bb), high(cb)]];
        for (to, [first, second, third]) in to.as_chunks_mut::<2>().0.iter_mut().zip(columns) {
            *to = [pair(first, second), pair(second, third)];
        }
    }
    turned
}

/// Packs `weights`, `[kernel row][kernel column][channel]`, or `None` when the algorithm would not be exact.
///
/// # Panics
/// When the layer is not supported, or the number of weights or channels does not fit it.
#[cfg(feature = "std")]
pub fn pack(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> Option<Vec<u32>> {
    let count = layer.output.c;
    assert!(supports(layer) && weights.len() == 9 * count);
    let mut out = super::depthwise::header(layer, weights, channels)?;
    for o in (0..count.div_ceil(4)).flat_map(|group| (0..4).map(move |lane| block_start(group, count) + lane)) {
        let w = |row: usize, column: usize| i32::from(weights[(row * 3 + column) * count + o]);
        out.extend((0..3).flat_map(|row| [pair(w(row, 0), w(row, 1)), pair(w(row, 1), w(row, 2))]));
    }
    Some(out)
}
