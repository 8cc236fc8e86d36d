//! 3x3 at stride 2 by an exact Winograd scheme: 25 products instead of 36.

use core::ops::Range;

use super::Layer;
use super::winograd::{self, Reach, Scheme};
use crate::kernels::blocks::winograd::Table;
use crate::kernels::blocks::{Blocks, Columns, Tiles, stride2};

struct S2;

impl Scheme for S2 {
    const TILE: usize = 2;
    const SIDE: usize = 5;
    const STRIDE: usize = 2;
    const SLOTS: usize = 25;
    const POSITIONS: usize = 9;
    const RECORD: usize = 4;
    const WEIGHTS: usize = 50;

    fn fill(zero_in: i8) -> u32 {
        u32::from(zero_in as u8).wrapping_mul(0x0101_0101)
    }

    fn border(fill: u32, t: &mut [u32]) {
        stride2::border(fill, t);
    }

    #[inline(always)]
    fn vertical<B: Blocks>(src: &[i8], reach: &Reach, t: &mut [u32]) {
        let &Reach { rows: [a, b, c, d, e, ..], step, count, fill, missing } = reach;
        B::s2_vertical(src, &Columns { rows: [a, b, c, d, e], step, count, fill, missing }, t);
    }

    #[inline(always)]
    fn horizontal<B: Blocks>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        B::s2_horizontal(t, v, at, position, pairs);
    }

    /// Channel pairs of a position, and the number of positions that have so many.
    type Counts = Table<3>;

    #[inline(always)]
    fn counts(channel_pairs: usize) -> Self::Counts {
        Table::new(stride2::PER_POSITION.map(|[slots, n]| [slots.wrapping_mul(channel_pairs as u32), n]))
    }

    #[inline(always)]
    fn products<B: Blocks>(v: &[u32], u: &[u32], m: &mut [i32], counts: &Self::Counts) {
        B::products_table(v, u, m, counts);
    }

    #[inline(always)]
    fn output<B: Blocks>(m: &[i32], records: &[u32], _relu: bool, out: &mut [i8], tiles: Tiles) {
        B::s2_output(m, records, out, tiles);
    }
}

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer) -> bool {
    winograd::supports(layer, 2)
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer) -> usize {
    winograd::packed_words(layer, S2::RECORD, S2::WEIGHTS)
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer) -> usize {
    winograd::scratch_words(layer, [S2::TILE, S2::SIDE, S2::STRIDE, S2::SLOTS], false, 1)
}

/// Computes output rows `rows`; whole tiles of two rows are the cheapest.
pub fn run<B: Blocks>(
    layer: &Layer,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) {
    winograd::run::<S2, B>(layer, 1, packed, input, output, scratch, rows);
}

/// Packs OHWI `weights`, or `None` when the algorithm would not be exact.
///
/// # Panics
/// When the layer is not supported, or the number of weights or channels does not fit it.
#[cfg(feature = "std")]
pub fn pack(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> Option<Vec<u32>> {
    const G: [[i32; 3]; 5] = [[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [0, -1, 0]];
    let per_filter = 9 * layer.input.c;
    assert!(supports(layer) && weights.len() == per_filter * channels.len());
    let record =
        |o: usize| constants(layer, &weights[o * per_filter..(o + 1) * per_filter], &channels[o]).map(Vec::from);
    // Row and column of every slot.
    let mut slots = [(0, 0); 25];
    for (a, row) in stride2::SLOTS.iter().enumerate() {
        for (b, &slot) in row.iter().enumerate() {
            slots[slot as usize] = (a, b);
        }
    }
    let groups = layer.input.c.div_ceil(4);
    winograd::pack(layer, 0, channels.len(), record, |filters, out| {
        let taps = filters.map(|o| (0..groups).map(|g| winograd::group_taps(layer, weights, o, g)).collect::<Vec<_>>());
        for (i, j) in slots {
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
    if bound < 1 << 30 { super::channel::record(channel, layer.zero_out, bound) } else { None }
}

/// Whether the constants of every channel allow the algorithm to be exact.
#[cfg(feature = "std")]
pub fn is_exact(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> bool {
    let filters = weights.chunks_exact(layer.filter().max(1));
    filters.zip(channels).all(|(filter, channel)| constants(layer, filter, channel).is_some())
}
