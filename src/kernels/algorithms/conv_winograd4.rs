//! 3x3 at stride 1 by exact integer Winograd F(4x4, 3x3): a quarter of the multiplications.

use core::ops::Range;

use super::Layer;
use super::winograd::{self, Reach, Scheme};
use crate::kernels::blocks::{Blocks, Columns, Tiles, winograd4};

struct F4;

impl Scheme for F4 {
    const TILE: usize = 4;
    const SIDE: usize = 6;
    const STRIDE: usize = 1;
    const SLOTS: usize = 36;
    const POSITIONS: usize = 36;
    const RECORD: usize = 8;
    const WEIGHTS: usize = 72;

    fn fill(zero_in: i8) -> u32 {
        u32::from(zero_in as u8 ^ 0x80).wrapping_mul(0x0101_0101)
    }

    fn border(fill: u32, t: &mut [u32]) {
        winograd4::border(fill, t);
    }

    #[inline(always)]
    fn vertical<B: Blocks>(src: &[i8], reach: &Reach, t: &mut [u32]) {
        let &Reach { rows, step, count, fill, missing } = reach;
        B::w4_vertical(src, &Columns { rows, step, count, fill, missing }, t);
    }

    #[inline(always)]
    fn horizontal<B: Blocks>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize) {
        B::w4_horizontal(t, v, at, position, pairs);
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
    fn output<B: Blocks>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: Tiles) {
        B::w4_output(m, records, relu, out, tiles);
    }
}

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer) -> bool {
    winograd::supports(layer, 1)
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer) -> usize {
    winograd::packed_words(layer, F4::RECORD, F4::WEIGHTS)
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer) -> usize {
    winograd::scratch_words(layer, [F4::TILE, F4::SIDE, F4::STRIDE, F4::SLOTS], false, 1)
}

/// Computes output rows `rows`; whole tiles of four rows are the cheapest.
pub fn run<B: Blocks>(
    layer: &Layer,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) {
    winograd::run::<F4, B>(layer, 1, packed, input, output, scratch, rows);
}

/// Packs OHWI `weights`, or `None` when the algorithm would not be exact.
///
/// # Panics
/// When the layer is not supported, or the number of weights or channels does not fit it.
#[cfg(feature = "std")]
pub fn pack(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> Option<Vec<u32>> {
    const G: [[i32; 3]; 6] = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]];
    let per_filter = 9 * layer.input.c;
    assert!(supports(layer) && weights.len() == per_filter * channels.len());
    let relu = is_relu(layer, channels);
    let record = |o: usize| {
        let filter = &weights[o * per_filter..(o + 1) * per_filter];
        let [_, m, c, s] = constants(layer, filter, &channels[o])?;
        let (c, s) = if relu { ((c as i32 * 32 + 16) as u32, s + 5) } else { (c, s) };
        let taps =
            |taps: &[usize]| taps.iter().map(|&t| sum(&filter[t * layer.input.c..][..layer.input.c])).sum::<i32>();
        // The inputs are taken as 0..=255, that is with 128 added, and the outputs (2, 2), (3, 2), (2, 3) and (3, 3) of a
        // tile see the constant K under the taps that they share with columns 4 and 5 of rows 4 and 5.
        let base = channels[o].bias.wrapping_sub(128 * sum(filter));
        let shared: [&[usize]; 5] = [&[], &[8], &[8, 5], &[8, 7], &[4, 5, 7, 8]];
        let [b, b22, b32, b23, b33] =
            shared.map(|at| base.wrapping_sub((winograd4::K as i32).wrapping_mul(taps(at))).wrapping_mul(64) as u32);
        Some(vec![m, c, s, b, b22, b32, b23, b33])
    };
    let flags = if relu { super::Packed::RELU } else { 0 };
    let groups = layer.input.c.div_ceil(4);
    winograd::pack(layer, flags, channels.len(), record, |filters, out| {
        let taps: Vec<_> = filters
            .iter()
            .map(|&o| (0..groups).map(|g| winograd::group_taps(layer, weights, o, g)).collect())
            .collect();
        let taps: Vec<Vec<[[i32; 4]; 9]>> = taps;
        for (i, j) in (0..6).flat_map(|i| (0..6).map(move |j| (i, j))) {
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

/// Whether negative results are clamped away: then it does not matter how they are rounded, which saves two
/// instructions per output.
#[cfg(feature = "std")]
fn is_relu(layer: &Layer, channels: &[crate::quant::Channel]) -> bool {
    layer.zero_out == i8::MIN && channels.iter().all(|channel| channel.factor.shift >= -17)
}

/// The fast requantization's record of a channel, `None` when the algorithm would not be exact.
#[cfg(feature = "std")]
fn constants(layer: &Layer, filter: &[i8], channel: &crate::quant::Channel) -> Option<[u32; 4]> {
    let bound = super::channel::bound(channel, filter);
    if bound < 1 << 25 { super::channel::record(channel, layer.zero_out, bound) } else { None }
}

/// Whether the constants of every channel allow the algorithm to be exact.
#[cfg(feature = "std")]
pub fn is_exact(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> bool {
    let filters = weights.chunks_exact(layer.filter().max(1));
    filters.zip(channels).all(|(filter, channel)| constants(layer, filter, channel).is_some())
}

#[cfg(feature = "std")]
fn sum(weights: &[i8]) -> i32 {
    weights.iter().map(|&w| i32::from(w)).sum()
}
