//! Depthwise convolution with one output channel for each input channel, two pixels and four channels at a time.
//!
//! Packed: header, groups of four records, then for every group two words of weights per tap. The last group overlaps
//! the one before it when the channels are no multiple of four.

use core::ops::Range;

use super::conv_gemm::{Source, clamp_row, line_words, tile_columns};
use super::{Layer, Packed};
use crate::kernels::Backend;
use crate::sys::shapes::{Pair, TapGrid};

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer) -> bool {
    layer.input.c >= 4 && layer.input.c == layer.output.c
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer) -> usize {
    let taps = layer.kernel()[0].saturating_mul(layer.kernel()[1]);
    let per_group = taps.saturating_mul(2).saturating_add(16);
    Packed::HEADER.saturating_add(layer.output.c.div_ceil(4).saturating_mul(per_group))
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer) -> usize {
    line_words(layer, tile_columns(layer))
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
    let channels = layer.output.c;
    let packed = Packed::new(packed, channels.div_ceil(4).wrapping_mul(16))?;
    let (kernel, step) = (layer.kernel(), layer.stride()[1]);
    let taps = kernel[0].wrapping_mul(kernel[1]).wrapping_mul(2);
    let [whole, last] = packed.blocks(channels, taps)?;
    let tile = tile_columns(layer);
    let scratch = scratch.get_mut(..line_words(layer, tile))?;
    let mut start = 0;
    while start < layer.output.w {
        let end = start.wrapping_add(tile).min(layer.output.w);
        let mut source = Source::new(layer, scratch, start..end);
        for y in rows.clone() {
            let (src, row, pixel) = source.rows::<B>(input, y);
            let out = output.get_mut(layer.output.row(y)..).unwrap_or_default();
            let step = step.wrapping_mul(pixel);
            let taps = TapGrid::new(kernel, row, pixel);
            let (mut at, mut column) = (0usize, start);
            while column < end {
                // The last pixel of an odd row is computed twice, into the same place.
                let apart = usize::from(column.wrapping_add(1) < end);
                let second = apart.wrapping_mul(step);
                let out = out.get_mut(column.wrapping_mul(layer.output.pitch)..).unwrap_or_default();
                let mut pair = Pair { at, second, out: apart.wrapping_mul(layer.output.pitch) };
                B::depthwise(src, &taps, pair, whole.weights, whole.records, out);
                if !channels.is_multiple_of(4) {
                    let start = channels.wrapping_sub(4);
                    pair.at = at.wrapping_add(start);
                    let out = out.get_mut(start..).unwrap_or_default();
                    B::depthwise(src, &taps, pair, last.weights, last.records, out);
                }
                at = at.wrapping_add(step.wrapping_mul(2));
                column = column.wrapping_add(2);
            }
            // Once, when the last of its pixels are there.
            if end == layer.output.w {
                clamp_row::<B>(layer, out);
            }
        }
        start = end;
    }
    Some(())
}

/// Header and records of packed `weights`, or `None` when the fast requantization would not be exact.
#[cfg(feature = "std")]
pub(super) fn header(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> Option<Vec<u32>> {
    use super::{block_start, channel};

    let count = layer.output.c;
    assert_eq!(channels.len(), count);
    let mut out = vec![0; Packed::HEADER];
    for o in (0..count.div_ceil(4)).flat_map(|group| (0..4).map(move |lane| block_start(group, count) + lane)) {
        let filter: Vec<i8> = weights.iter().copied().skip(o).step_by(count).collect();
        out.extend(channel::record(&channels[o], layer.zero_out, channel::bound(&filter), 1 << 30)?);
    }
    Some(out)
}

/// Packs `weights`, `[kernel row][kernel column][channel]`, or `None` when the algorithm would not be exact.
///
/// # Panics
/// When the layer is not supported, or the number of weights or channels does not fit it.
#[cfg(feature = "std")]
pub fn pack(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> Option<Vec<u32>> {
    use super::block_start;
    use crate::kernels::blocks::pairs::pair;

    let count = layer.output.c;
    let taps = layer.kernel()[0] * layer.kernel()[1];
    assert!(supports(layer) && weights.len() == taps * count);
    let starts = || (0..count.div_ceil(4)).map(|group| block_start(group, count));
    let mut out = header(layer, weights, channels)?;
    for (start, tap) in starts().flat_map(|start| (0..taps).map(move |tap| (start, tap))) {
        let w = |lane: usize| i32::from(weights[tap * count + start + lane]);
        out.extend([pair(w(0), w(2)), pair(w(1), w(3))]);
    }
    Some(out)
}
