//! 3x3 at stride 1 by exact integer Winograd F(2x2, 3x3): 4/9 of the multiplications, with weights transformed at
//! export (3.6 times the flash), or at run time from plain 8 bits (no flash, some scratch).

use core::ops::Range;

use super::Layer;
use super::winograd::{self, Reach, Scheme};
use crate::kernels::blocks::{Blocks, Columns, Tiles, winograd2};

struct F2<const AT_RUN_TIME: bool>;

impl<const AT_RUN_TIME: bool> Scheme for F2<AT_RUN_TIME> {
    const TILE: usize = 2;
    const SIDE: usize = 4;
    const STRIDE: usize = 1;
    const SLOTS: usize = 16;
    const POSITIONS: usize = 16;
    const RECORD: usize = 4;
    const WEIGHTS: usize = if AT_RUN_TIME { 9 } else { 32 };
    const AT_RUN_TIME: bool = AT_RUN_TIME;

    fn fill(zero_in: i8) -> u32 {
        u32::from(zero_in as u8).wrapping_mul(0x0101_0101)
    }

    fn border(fill: u32, t: &mut [u32]) {
        winograd2::border(fill, t);
    }

    #[inline(always)]
    fn vertical<B: Blocks>(src: &[i8], reach: &Reach, t: &mut [u32]) {
        let &Reach { rows: [a, b, c, d, ..], step, count, fill, missing } = reach;
        B::w2_vertical(src, &Columns { rows: [a, b, c, d], step, count, fill, missing }, t);
    }

    #[inline(always)]
    fn horizontal<B: Blocks>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        B::w2_horizontal(t, v, at, position, pairs);
    }

    type Counts = usize;

    #[inline(always)]
    fn counts(channel_pairs: usize) -> usize {
        channel_pairs
    }

    #[inline(always)]
    fn products<B: Blocks>(v: &[u32], u: &[u32], m: &mut [i32], &channel_pairs: &usize) {
        B::products(v, u, m, channel_pairs);
    }

    #[inline(always)]
    fn output<B: Blocks>(m: &[i32], records: &[u32], _relu: bool, out: &mut [i8], tiles: Tiles) {
        B::w2_output(m, records, out, tiles);
    }

    #[inline(always)]
    fn weights<B: Blocks>(src: &[u32], u: &mut [u32], lane: usize, position: usize) {
        B::w2_weights(src, u, lane, position);
    }
}

/// When the weights are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At export.
    Export,
    /// In every inference, four output channels at a time, over this many rows of tiles whose transformed inputs are
    /// kept in scratch.
    RunTime(usize),
}

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer) -> bool {
    winograd::supports(layer, 1)
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer, when: When) -> usize {
    let weights = match when {
        When::Export => F2::<false>::WEIGHTS,
        When::RunTime(_) => F2::<true>::WEIGHTS,
    };
    winograd::packed_words(layer, F2::<false>::RECORD, weights)
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer, when: When) -> usize {
    let (run_time, chunk) = match when {
        When::Export => (false, 1),
        When::RunTime(rows) => (true, rows),
    };
    winograd::scratch_words(layer, [2, 4, 1, 16], run_time, chunk)
}

/// Computes output rows `rows`; whole tiles of two rows are the cheapest.
pub fn run<B: Blocks>(
    layer: &Layer,
    when: When,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) {
    match when {
        When::Export => winograd::run::<F2<false>, B>(layer, 1, packed, input, output, scratch, rows),
        When::RunTime(chunk) => winograd::run::<F2<true>, B>(layer, chunk, packed, input, output, scratch, rows),
    }
}

/// Packs OHWI `weights`, or `None` when the algorithm would not be exact.
///
/// # Panics
/// When the layer is not supported, or the number of weights or channels does not fit it.
#[cfg(feature = "std")]
pub fn pack(layer: &Layer, when: When, weights: &[i8], channels: &[crate::quant::Channel]) -> Option<Vec<u32>> {
    const G: [[i32; 3]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];
    let per_filter = 9 * layer.input.c;
    assert!(supports(layer) && weights.len() == per_filter * channels.len());
    let record =
        |o: usize| constants(layer, &weights[o * per_filter..(o + 1) * per_filter], &channels[o]).map(Vec::from);
    let groups = layer.input.c.div_ceil(4);
    winograd::pack(layer, 0, channels.len(), record, |filters, out| {
        let taps = |o: usize, g: usize| winograd::group_taps(layer, weights, o, g);
        if matches!(when, When::RunTime(_)) {
            for (o, g) in filters.into_iter().flat_map(|o| (0..groups).map(move |g| (o, g))) {
                out.extend(taps(o, g).map(|lanes| u32::from_le_bytes(lanes.map(|v| v as i8 as u8))));
            }
            return;
        }
        let taps = filters.map(|o| (0..groups).map(|g| taps(o, g)).collect::<Vec<_>>());
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            for (group, half) in (0..groups).flat_map(|group| [(group, 0), (group, 1)]) {
                for filter in &taps {
                    let value =
                        |lane: usize| (0..9).map(|k| G[i][k / 3] * G[j][k % 3] * filter[group][k][lane]).sum::<i32>();
                    out.push(winograd::halves(value(half), value(half + 2)));
                }
            }
        }
    })
}

/// The record of a channel, `None` when the algorithm would not be exact.
#[cfg(feature = "std")]
fn constants(layer: &Layer, filter: &[i8], channel: &crate::quant::Channel) -> Option<[u32; 4]> {
    let bound = super::channel::bound(channel, filter);
    if bound < 1 << 28 { super::channel::record(channel, layer.zero_out, bound) } else { None }
}

/// Whether the constants of every channel allow the algorithm to be exact.
#[cfg(feature = "std")]
pub fn is_exact(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> bool {
    let filters = weights.chunks_exact(layer.filter().max(1));
    filters.zip(channels).all(|(filter, channel)| constants(layer, filter, channel).is_some())
}
