//! Packs the weights of the exact Winograd convolutions, and says for which constants they are exact.

use super::winograd::{Scheme, When, supports};
use super::{Layer, Packed, block_start, channel};
use crate::kernels::blocks::{pairs, winograd4};
use crate::quant::Channel;

/// Packs OHWI `weights`: header, the record of every channel of every block of four, then for every block the transformed weights,
/// or as they are where they are transformed at run time. `None` when the algorithm would not be exact.
///
/// # Panics
/// When the layer is not supported, or the number of weights or channels does not fit it.
pub fn pack(layer: &Layer, scheme: Scheme, when: When, weights: &[i8], channels: &[Channel]) -> Option<Vec<u32>> {
    let (per_filter, count) = (layer.filter(), layer.output.c);
    assert!(supports(layer, scheme) && channels.len() == count && weights.len() == per_filter * count);
    let relu = scheme == Scheme::F4 && is_relu(layer, channels);
    let block = |block: usize| [0, 1, 2, 3].map(|lane| block_start(block, count) + lane);
    let mut out = vec![if relu { Packed::RELU } else { 0 }, 0, 0, 0];
    for o in (0..count.div_ceil(4)).flat_map(block) {
        let filter = &weights[o * per_filter..(o + 1) * per_filter];
        let record = record(layer, scheme, filter, &channels[o])?;
        match scheme {
            Scheme::F2 | Scheme::S2 => out.extend(record),
            Scheme::F4 => out.extend(record4(layer, relu, record, filter, &channels[o])),
        }
    }
    let groups = layer.input.c.div_ceil(4);
    let order = slots(scheme);
    for filters in (0..count.div_ceil(4)).map(block) {
        let taps = filters.map(|o| (0..groups).map(|g| group_taps(layer, weights, o, g)).collect::<Vec<_>>());
        if let When::RunTime(_) = when {
            let words = taps.iter().flatten().flatten();
            out.extend(words.map(|lanes| u32::from_le_bytes(lanes.map(|v| v as i8 as u8))));
            continue;
        }
        for &(i, j) in &order {
            for (group, half) in (0..groups).flat_map(|group| [(group, 0), (group, 1)]) {
                for filter in &taps {
                    let value = |lane: usize| transformed(scheme, &filter[group], i, j, lane);
                    out.push(pairs::pair(value(half), value(half + 2)));
                }
            }
        }
    }
    Some(out)
}

/// Whether the constants of every channel allow the algorithm to be exact.
pub fn is_exact(layer: &Layer, scheme: Scheme, weights: &[i8], channels: &[Channel]) -> bool {
    let filters = weights.chunks_exact(layer.filter().max(1));
    filters.zip(channels).all(|(filter, channel)| record(layer, scheme, filter, channel).is_some())
}

/// The fast requantization's record of a channel, `None` when the algorithm would not be exact.
fn record(layer: &Layer, scheme: Scheme, filter: &[i8], channel: &Channel) -> Option<[u32; 4]> {
    // Products are the convolution times 4, times 64 after the division by 9, or the convolution itself.
    let limit = match scheme {
        Scheme::F2 => 1 << 28,
        Scheme::F4 => 1 << 25,
        Scheme::S2 => 1 << 30,
    };
    channel::record(channel, layer.zero_out, channel::bound(filter), limit)
}

/// The record of F(4x4, 3x3).
fn record4(layer: &Layer, relu: bool, [_, m, c, s]: [u32; 4], filter: &[i8], channel: &Channel) -> [u32; 8] {
    let (c, s) = if relu { ((c as i32 * 32 + 16) as u32, s + 5) } else { (c, s) };
    let sum = |weights: &[i8]| weights.iter().map(|&w| i32::from(w)).sum::<i32>();
    let taps = |taps: &[usize]| taps.iter().map(|&t| sum(&filter[t * layer.input.c..][..layer.input.c])).sum::<i32>();
    // The inputs are taken as 0..=255, that is with 128 added, and the outputs (2, 2), (3, 2), (2, 3) and (3, 3) of a
    // tile see the constant K under the taps that they share with columns 4 and 5 of rows 4 and 5.
    let base = channel.bias.wrapping_sub(128 * sum(filter));
    let shared: [&[usize]; 5] = [&[], &[8], &[8, 5], &[8, 7], &[4, 5, 7, 8]];
    let [b, b22, b32, b23, b33] =
        shared.map(|at| base.wrapping_sub((winograd4::K as i32).wrapping_mul(taps(at))).wrapping_mul(64) as u32);
    [m, c, s, b, b22, b32, b23, b33]
}

/// Whether negative results are clamped away: then it does not matter how they are rounded, which saves two
/// instructions per output.
fn is_relu(layer: &Layer, channels: &[Channel]) -> bool {
    layer.zero_out == i8::MIN && channels.iter().all(|channel| channel.factor.shift >= -17)
}

/// Row and column of every slot.
fn slots(scheme: Scheme) -> Vec<(usize, usize)> {
    let mut slots = vec![(0, 0); scheme.slots()];
    for (i, j) in (0..scheme.side()).flat_map(|i| (0..scheme.side()).map(move |j| (i, j))) {
        slots[scheme.slot(i, j)] = (i, j);
    }
    slots
}

/// Row `i` and column `j` of a filter's transform, of one channel.
fn transformed(scheme: Scheme, taps: &[[i32; 4]; 9], i: usize, j: usize, lane: usize) -> i32 {
    let g: &[[i32; 3]] = match scheme {
        Scheme::F2 => &[[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]],
        Scheme::F4 => &[[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]],
        Scheme::S2 => &[[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [0, -1, 0]],
    };
    (0..9).map(|k| g[i][k / 3] * g[j][k % 3] * taps[k][lane]).sum()
}

/// The weights of a filter's channel group, `[tap][lane]`: zero for lanes that a group before has.
fn group_taps(layer: &Layer, weights: &[i8], filter: usize, group: usize) -> [[i32; 4]; 9] {
    let c = layer.input.c;
    let start = block_start(group, c);
    let mut taps = [[0; 4]; 9];
    for (tap, lanes) in taps.iter_mut().enumerate() {
        for (lane, value) in lanes.iter_mut().enumerate() {
            let channel = start + lane;
            if channel < c && channel >= group * 4 {
                *value = i32::from(weights[(filter * 9 + tap) * c + channel]);
            }
        }
    }
    taps
}
