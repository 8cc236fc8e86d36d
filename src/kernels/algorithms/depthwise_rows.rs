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
use crate::kernels::blocks::pairs::{high, low, pair};
use crate::sys::shapes::{Grid, Lines, line_pairs};

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

/// Words of scratch.
pub const fn scratch_words(layer: &Layer) -> usize {
    let [down, right] = layer.stride();
    let (rows, columns) = (line_pairs(layer.output.w, right), line_pairs(layer.output.h, down));
    let pairs = if is_high(layer) && rows < columns { columns } else { rows };
    pairs.saturating_mul(4 * 3)
}

/// The rows of a map.
const fn rows_of(map: &Map) -> Grid {
    Grid { lines: map.h, ring: map.ring, line: map.row_bytes(), pixels: map.w, pixel: map.pitch }
}

/// The columns of `rows` rows of a map that follow each other.
const fn columns_of(map: &Map, rows: usize) -> Grid {
    Grid { lines: map.w, ring: map.w, line: map.pitch, pixels: rows, pixel: map.row_bytes() }
}

/// Computes output rows `rows`.
pub fn run<B: Backend>(
    layer: &Layer,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    let map = &layer.output;
    let packed = Packed::new(packed, map.c.div_ceil(4).wrapping_mul(16))?;
    let scratch = scratch.get_mut(..scratch_words(layer))?;
    let origin = layer.window.origin(0, rows.start as u32);
    let (first, padded) = (origin.max(0) as usize, origin.wrapping_neg().max(0) as usize);
    // Rows of the input from the first that is read on, to the last, as far as they are there.
    let reach = rows.len().wrapping_mul(layer.stride()[0]).wrapping_add(2).wrapping_sub(padded);
    let there = reach.min(layer.input.h.saturating_sub(first));
    let follow = layer.input.contiguous(first, there) && map.contiguous(rows.start, rows.len());
    let ([down, right], [above, left], zero) = (layer.stride(), layer.before(), layer.zero_in);
    if is_high(layer) && rows.len() > map.w && follow {
        let (from, to) = (columns_of(&layer.input, there), columns_of(map, rows.len()));
        let shape = Lines { input: from, output: to, stride: [right, down], before: [left, padded], zero };
        let input = input.get(layer.input.row(first)..).unwrap_or_default();
        let output = output.get_mut(map.row(rows.start)..).unwrap_or_default();
        groups::<B>(&shape, &packed, true, map.c, input, output, scratch, 0..map.w);
    } else {
        let (from, to) = (rows_of(&layer.input), rows_of(map));
        let shape = Lines { input: from, output: to, stride: [down, right], before: [above, left], zero };
        groups::<B>(&shape, &packed, false, map.c, input, output, scratch, rows.clone());
    }
    for y in rows {
        clamp_row::<B>(layer, output.get_mut(map.row(y)..).unwrap_or_default());
    }
    Some(())
}

/// Computes some lines of all `channels` channels; of columns if they are `turned`.
#[expect(clippy::too_many_arguments)]
fn groups<B: Backend>(
    shape: &Lines,
    packed: &Packed<'_>,
    turned: bool,
    channels: usize,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    lines: Range<usize>,
) {
    let groups = packed.records.as_chunks::<16>().0.iter().zip(packed.weights.as_chunks::<24>().0);
    for (group, (records, weights)) in groups.enumerate() {
        let weights = if turned { &transposed(weights) } else { weights };
        let channel = block_start(group, channels);
        let input = input.get(channel..).unwrap_or_default();
        let output = output.get_mut(channel..).unwrap_or_default();
        B::depthwise_lines(scratch, input, weights, records, output, shape, lines.clone());
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
