//! Depthwise 3x3, one output channel for each input channel, a row of four channels at a time.
//!
//! Three rows of the input are kept with their channels apart and two columns to a word, so that a product is of two taps, and the
//! weights of a channel stay in registers for a whole row.
//!
//! Packed: header, groups of four records, then for every group six words of weights per channel, see [`planes`]. The last group
//! overlaps the one before it when the channels are no multiple of four.
//!
//! [`planes`]: crate::kernels::blocks::planes

use core::ops::Range;

use super::conv_gemm::clamp_row;
use super::{Layer, Packed, block_start};
use crate::kernels::Backend;
use crate::kernels::blocks::pairs::{bytes4, pair};
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

/// Pairs of columns of the input that a row of the output reads.
const fn pairs(layer: &Layer) -> usize {
    layer.output.w.div_ceil(2).saturating_mul(layer.stride()[1]).saturating_add(1)
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer) -> usize {
    pairs(layer).saturating_mul(4 * 3)
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
    let plane = pairs(layer).wrapping_mul(3);
    let groups = packed.records.as_chunks::<16>().0.iter().zip(packed.weights.as_chunks::<24>().0);
    for (group, (records, weights)) in groups.enumerate() {
        let channel = block_start(group, map.c);
        let mut last: Option<i32> = None;
        for y in rows.clone() {
            let first = layer.window.origin(0, y as u32);
            let mut order = [0; 3];
            for (offset, row) in (first..first.wrapping_add(3)).enumerate() {
                let slot = row.rem_euclid(3) as usize;
                if let Some(order) = order.get_mut(slot) {
                    *order = offset;
                }
                // Rows that the one before had are there.
                if last.is_none_or(|last| row >= last.wrapping_add(3)) {
                    fill::<B>(layer, input, row, channel, scratch.get_mut(slot..).unwrap_or_default());
                }
            }
            last = Some(first);
            let row = PlaneRow { stride: layer.stride()[1], plane, pixel: map.pitch, count: map.w, rows: order };
            let out = output.get_mut(map.row(y).wrapping_add(channel)..).unwrap_or_default();
            B::depthwise_row(scratch, weights, records, out, &row);
        }
    }
    for y in rows {
        clamp_row::<B>(layer, output.get_mut(map.row(y)..).unwrap_or_default());
    }
}

/// Takes row `y` of the input, or padding, apart: four channels from `channel` on.
fn fill<B: Backend>(layer: &Layer, input: &[i8], y: i32, channel: usize, x: &mut [u32]) {
    let (map, pairs, before) = (&layer.input, pairs(layer), layer.before()[1]);
    let row =
        usize::try_from(y).ok().filter(|&y| y < map.h).and_then(|y| input.get(map.row(y).wrapping_add(channel)..));
    // Pairs of which both columns are there.
    let inside = match row {
        Some(_) => before.div_ceil(2).min(pairs)..(map.w.wrapping_add(before) / 2).min(pairs),
        None => 0..0,
    };
    let plane = pairs.wrapping_mul(3);
    let pixel = |column: usize| {
        let column = column.checked_sub(before).filter(|&column| column < map.w)?;
        bytes4(row?, column.wrapping_mul(map.pitch))
    };
    for p in (0..inside.start).chain(inside.end..pairs) {
        let column = p.wrapping_mul(2);
        let [a, b] = [column, column.wrapping_add(1)].map(|column| pixel(column).unwrap_or([layer.zero_in; 4]));
        let words = x.iter_mut().skip(p.wrapping_mul(3)).step_by(plane.max(1));
        for (to, (a, b)) in words.zip(a.into_iter().zip(b)) {
            *to = pair(a.into(), b.into());
        }
    }
    if let Some(row) = row.filter(|_| !inside.is_empty()) {
        let from = inside.start.wrapping_mul(2).wrapping_sub(before).wrapping_mul(map.pitch);
        let planes = Planes { pixel: map.pitch, pairs: inside.len(), plane };
        let to = x.get_mut(inside.start.wrapping_mul(3)..).unwrap_or_default();
        B::planes(to, row.get(from..).unwrap_or_default(), &planes);
    }
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
