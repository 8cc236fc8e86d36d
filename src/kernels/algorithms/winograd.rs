//! What the exact Winograd convolutions share: tiles, borders, channel groups, scratch and packing.
//!
//! A row of tiles is transformed into `v` four channels at a time: vertically into `t` (which keeps columns of padding
//! on both sides), then horizontally. Then, for every four output channels, the products of each pair of tiles are
//! formed, transformed back and requantized, straight into the output; tiles that reach over its edge go through a
//! small buffer.
//!
//! Channel counts that are no multiple of four need no padding in memory: the last group of input channels overlaps the
//! one before it, with weights of zero for what has been counted, and the last block of output channels computes some
//! channels twice. Fewer than four input channels are copied out first.

use core::ops::Range;

use super::conv_gemm::clamp_row;
use super::{Layer, Map, Packed, block_start};
use crate::kernels::blocks::elementwise::copy;
use crate::kernels::blocks::halves::word;
use crate::kernels::blocks::pieces::{every, pieces, pieces_mut};
use crate::kernels::blocks::{Blocks, Tiles};
use crate::sys::cast;

/// Rows of four channels in a tile's reach: offsets, column step, columns, fill word, missing rows.
pub(super) struct Reach {
    pub(super) rows: [usize; 6],
    pub(super) step: usize,
    pub(super) count: usize,
    pub(super) fill: u32,
    pub(super) missing: u32,
}

/// One of the exact Winograd convolutions.
pub(super) trait Scheme {
    /// Outputs of a tile along each axis.
    const TILE: usize;
    /// Inputs of a tile along each axis, which is also its transformed side.
    const SIDE: usize;
    /// The convolution's stride.
    const STRIDE: usize;
    /// Transformed inputs of a tile and channel.
    const SLOTS: usize;
    /// Accumulators of a tile and output channel.
    const POSITIONS: usize;
    /// Words of a channel's record.
    const RECORD: usize;
    /// Words per output channel and channel group of the packed weights.
    const WEIGHTS: usize;
    /// Whether weights are transformed at run time.
    const AT_RUN_TIME: bool = false;

    /// The word that stands for four channels of padding.
    fn fill(zero_in: i8) -> u32;
    /// A column of padding in `t`, of `fill` words.
    fn border(fill: u32, t: &mut [u32]);
    /// The vertical input transform.
    fn vertical<B: Blocks>(src: &[i8], reach: &Reach, t: &mut [u32]);
    /// The horizontal input transform.
    fn horizontal<B: Blocks>(t: &[u32], v: &mut [u32], at: usize, position: usize, pairs: usize);
    /// What [`Scheme::products`] is told of `channel_pairs`: the same for all tiles of a layer.
    type Counts;
    /// Of so many channel pairs.
    fn counts(channel_pairs: usize) -> Self::Counts;
    /// The products of a pair of tiles.
    fn products<B: Blocks>(v: &[u32], u: &[u32], m: &mut [i32], counts: &Self::Counts);
    /// The output transform of a pair of tiles.
    fn output<B: Blocks>(m: &[i32], records: &[u32], relu: bool, out: &mut [i8], tiles: Tiles);
    /// The weights' transform at run time.
    fn weights<B: Blocks>(_src: &[u32], _u: &mut [u32], _lane: usize, _position: usize) {}
}

/// The extents that scratch and loops follow from, in words unless said otherwise.
struct Extents {
    /// Pairs of tiles in a row of tiles.
    tile_pairs: usize,
    /// Pairs of input channels.
    channel_pairs: usize,
    /// Columns of `t`.
    columns: usize,
    /// `t`.
    t: usize,
    /// `v` of one row of tiles.
    v: usize,
    /// `m`.
    m: usize,
    /// Weights transformed at run time.
    u: usize,
    /// Input rows copied out, for fewer than four channels.
    narrow: usize,
}

const fn extents(layer: &Layer, tile: usize, side: usize, stride: usize, slots: usize, run_time: bool) -> Extents {
    let tile_pairs = layer.output.w.div_ceil(if tile == 0 { 1 } else { tile }).div_ceil(2);
    let channel_pairs = layer.input.c.div_ceil(4).saturating_mul(2);
    let step = tile * stride;
    let columns = tile_pairs.saturating_mul(2 * step).saturating_add(side - step);
    Extents {
        tile_pairs,
        channel_pairs,
        columns,
        t: columns.saturating_mul(2 * side),
        v: tile_pairs.saturating_mul(slots).saturating_mul(channel_pairs).saturating_mul(2),
        m: 36 * 8,
        u: if run_time { slots.saturating_mul(channel_pairs).saturating_mul(4) } else { 0 },
        narrow: if layer.input.c < 4 { side.saturating_mul(layer.input.w) } else { 0 },
    }
}

/// Words of scratch for `chunk` rows of tiles at a time.
pub(super) const fn scratch_words(layer: &Layer, shape: [usize; 4], run_time: bool, chunk: usize) -> usize {
    let [tile, side, stride, slots] = shape;
    let e = extents(layer, tile, side, stride, slots, run_time);
    let fixed = e.t.saturating_add(e.m).saturating_add(e.u).saturating_add(e.narrow);
    fixed.saturating_add(e.v.saturating_mul(if chunk == 0 { 1 } else { chunk }))
}

/// Words of the packed weights.
pub(super) const fn packed_words(layer: &Layer, record: usize, weights: usize) -> usize {
    let groups = layer.input.c.div_ceil(4);
    let per_block = groups.saturating_mul(weights).saturating_add(record).saturating_mul(4);
    Packed::HEADER.saturating_add(layer.output.c.div_ceil(4).saturating_mul(per_block))
}

/// Whether a layer has the window and the channels that the schemes take.
pub(super) const fn supports(layer: &Layer, stride: u32) -> bool {
    layer.is_window(3, stride) && layer.output.c >= 4
}

/// Computes output rows `rows`, transforming `chunk` rows of tiles before the weights are walked through.
pub(super) fn run<S: Scheme, B: Blocks>(
    layer: &Layer,
    chunk: usize,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) {
    let e = extents(layer, S::TILE, S::SIDE, S::STRIDE, S::SLOTS, S::AT_RUN_TIME);
    let blocks = layer.output.c.div_ceil(4);
    let Some(packed) = Packed::new(packed, blocks.wrapping_mul(4 * S::RECORD)) else { return };
    let Some((t, rest)) = scratch.split_at_mut_checked(e.t) else { return };
    let Some((m, rest)) = rest.split_at_mut_checked(e.m) else { return };
    let Some((u, rest)) = rest.split_at_mut_checked(e.u) else { return };
    let Some((narrow, v)) = rest.split_at_mut_checked(e.narrow) else { return };
    let m = cast::words_as_i32_mut(m).get_mut(..S::POSITIONS.wrapping_mul(8)).unwrap_or_default();
    let fill = S::fill(layer.zero_in);
    t.chunks_exact_mut(2 * S::SIDE).for_each(|column| S::border(fill, column));

    let mut work = Work::<S> { layer, e, packed, fill, rows, scheme: core::marker::PhantomData };
    let end = work.rows.end.min(layer.output.h).div_ceil(S::TILE);
    let chunk = chunk.max(1);
    let mut first = work.rows.start / S::TILE;
    while first < end {
        let tile_rows = first..first.saturating_add(chunk).min(end);
        for (tile_row, v) in tile_rows.clone().zip(pieces_mut(v, work.e.v)) {
            work.transform::<B>(tile_row, input, t, narrow, v);
        }
        work.multiply::<B>(tile_rows.clone(), v, u, m, output);
        for y in tile_rows.start.wrapping_mul(S::TILE)..tile_rows.end.wrapping_mul(S::TILE).min(layer.output.h) {
            if work.rows.contains(&y) {
                clamp_row::<B>(layer, output.get_mut(layer.output.row(y)..).unwrap_or_default());
            }
        }
        first = tile_rows.end;
    }
}

struct Work<'a, S> {
    layer: &'a Layer,
    e: Extents,
    packed: Packed<'a>,
    fill: u32,
    rows: Range<usize>,
    scheme: core::marker::PhantomData<S>,
}

impl<S: Scheme> Work<'_, S> {
    /// Words of a slot of `v`.
    fn slot(&self) -> usize {
        self.e.channel_pairs.wrapping_mul(2)
    }

    /// Transforms the inputs of a row of tiles.
    fn transform<B: Blocks>(
        &mut self,
        tile_row: usize,
        input: &[i8],
        t: &mut [u32],
        narrow: &mut [u32],
        v: &mut [u32],
    ) {
        let (map, before) = (&self.layer.input, self.layer.before());
        let mut reach = Reach { rows: [0; 6], step: map.pitch, count: map.w, fill: self.fill, missing: 0 };
        reach.count = map.w.min(self.e.columns.saturating_sub(before[1]));
        let origin = tile_row.wrapping_mul(S::TILE * S::STRIDE);
        for (i, row) in reach.rows.iter_mut().enumerate().take(S::SIDE) {
            // In the padding any row will do: it is read, and then replaced.
            let (mut y, padded) = (origin.wrapping_add(i), before[0]);
            if y < padded {
                reach.missing |= 1 << i;
                y = padded;
            } else if y.wrapping_sub(padded) >= map.h {
                reach.missing |= 1 << i;
                y = padded.wrapping_add(map.h.wrapping_sub(1));
            }
            *row = map.row(y.wrapping_sub(padded));
        }
        let mut src = input;
        if map.c < 4 {
            copy_narrow(src, &mut reach, S::SIDE, (map.w, map.c), narrow);
            src = cast::words_as_i8_mut(narrow);
        }
        let interior = before[1].wrapping_mul(2 * S::SIDE);
        let first_rows = reach.rows;
        for group in 0..map.c.div_ceil(4) {
            let start = block_start(group, map.c);
            for (row, first) in reach.rows.iter_mut().zip(first_rows) {
                *row = first.wrapping_add(start);
            }
            S::vertical::<B>(src, &reach, t.get_mut(interior..).unwrap_or_default());
            S::horizontal::<B>(t, v, group.wrapping_mul(4), self.slot(), self.e.tile_pairs);
        }
    }

    /// Multiplies rows of tiles with the weights and writes the outputs.
    fn multiply<B: Blocks>(&self, rows: Range<usize>, v: &[u32], u: &mut [u32], m: &mut [i32], output: &mut [i8]) {
        let groups = self.layer.input.c.div_ceil(4);
        let per_filter = groups.wrapping_mul(S::WEIGHTS);
        let blocks = self.packed.records.chunks_exact(4 * S::RECORD);
        let weights = pieces(self.packed.weights, per_filter.wrapping_mul(4));
        let relu = self.packed.flags & Packed::RELU != 0;
        let tile_words = S::SLOTS.wrapping_mul(self.slot());
        let map = &self.layer.output;
        let row_bytes = map.row_bytes();
        let counts = S::counts(self.e.channel_pairs);
        for (block, (records, mut weights)) in blocks.zip(weights).enumerate() {
            if S::AT_RUN_TIME {
                for (lane, filter) in pieces(weights, per_filter).enumerate() {
                    S::weights::<B>(filter, u, lane, self.e.channel_pairs.wrapping_mul(4));
                }
                weights = u;
            }
            let channel = block_start(block, self.layer.output.c);
            for (tile_row, v) in rows.clone().zip(pieces(v, self.e.v)) {
                let y = tile_row.wrapping_mul(S::TILE);
                let whole = if self.is_whole(y) { map.w } else { 0 };
                let row = map.row(y).wrapping_add(channel);
                let tile_bytes = S::TILE.wrapping_mul(map.pitch);
                let mut tiles = Tiles { at: [row, row.wrapping_add(tile_bytes)], row: row_bytes, pixel: map.pitch };
                let mut x = 0usize;
                for v in pieces(v, tile_words) {
                    S::products::<B>(v, weights, m, &counts);
                    let next = x.wrapping_add(2 * S::TILE);
                    if next <= whole {
                        S::output::<B>(m, records, relu, output, tiles);
                    } else {
                        self.store_edge::<B>(m, records, relu, [y, x], channel, output);
                    }
                    x = next;
                    tiles.at = tiles.at.map(|at| at.wrapping_add(tile_bytes.wrapping_mul(2)));
                }
            }
        }
    }

    /// Whether the rows of tiles from row `y` lie wholly within what is asked for, and follow each other in memory.
    fn is_whole(&self, y: usize) -> bool {
        let map = &self.layer.output;
        y >= self.rows.start && y.wrapping_add(S::TILE) <= self.rows.end.min(map.h) && map.contiguous(y, S::TILE)
    }

    /// Writes what lies inside the output of a pair of tiles of four channels, by way of a buffer.
    #[inline(never)]
    fn store_edge<B: Blocks>(
        &self,
        m: &[i32],
        records: &[u32],
        relu: bool,
        [y, x]: [usize; 2],
        channel: usize,
        output: &mut [i8],
    ) {
        let map = &self.layer.output;
        let mut buffer = [0i8; 128];
        let row = 8 * S::TILE;
        let tiles = Tiles { at: [0, 4 * S::TILE], row, pixel: 4 };
        S::output::<B>(m, records, relu, &mut buffer, tiles);
        let rows = y..self.rows.end.min(map.h).min(y.wrapping_add(S::TILE));
        store_inside(map, (rows, self.rows.start), x, channel, (&buffer, row), output);
    }
}

/// Writes rows `rows`, but for those before `start`, of a pair of tiles of four channels from a buffer with rows of `len` bytes.
#[inline(never)]
fn store_inside(
    map: &Map,
    (rows, start): (Range<usize>, usize),
    x: usize,
    channel: usize,
    (buffer, len): (&[i8], usize),
    output: &mut [i8],
) {
    for (y, from) in rows.zip(pieces(buffer, len)) {
        if y < start {
            continue;
        }
        for (x, from) in (x..map.w).zip(from.as_chunks::<4>().0) {
            let at = map.row(y).wrapping_add(x.wrapping_mul(map.pitch)).wrapping_add(channel);
            if let Some(to) = output.get_mut(at..).and_then(|to| to.first_chunk_mut::<4>()) {
                *to = *from;
            }
        }
    }
}

/// Copies the present rows of fewer than four channels into `words`, a word per pixel, and lets `reach` read there.
fn copy_narrow(src: &[i8], reach: &mut Reach, side: usize, (w, c): (usize, usize), words: &mut [u32]) {
    let present = reach.missing;
    let rows = pieces_mut(words, w).zip(reach.rows.iter_mut().take(side));
    for (i, (words, row)) in rows.enumerate() {
        if present >> i & 1 == 0 {
            let from = every(src.get(*row..).unwrap_or_default(), reach.step);
            for (to, from) in words.iter_mut().zip(from) {
                // Lanes beyond the channels have weights of zero; only the last pixel has nothing there to read.
                *to = match from.first_chunk::<4>() {
                    Some(&bytes) => word(bytes),
                    None => last_pixel(from, c),
                };
            }
        }
        *row = i.wrapping_mul(w).wrapping_mul(4);
    }
    reach.step = 4;
}

/// The word of a pixel that has fewer than four bytes.
#[inline(never)]
fn last_pixel(from: &[i8], c: usize) -> u32 {
    let mut bytes = [0; 4];
    copy(bytes.get_mut(..c).unwrap_or_default(), from);
    word(bytes)
}

/// The weights of a filter's channel group, `[tap][lane]`: zero for lanes that a group before has.
#[cfg(feature = "std")]
pub(super) fn group_taps(layer: &Layer, weights: &[i8], filter: usize, group: usize) -> [[i32; 4]; 9] {
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

/// Packs a layer: header, `record` of every channel of every block, then for every block `weights`, which appends what
/// the scheme wants. `None` when some channel has no record.
#[cfg(feature = "std")]
pub(super) fn pack(
    layer: &Layer,
    flags: u32,
    channels: usize,
    mut record: impl FnMut(usize) -> Option<Vec<u32>>,
    mut weights: impl FnMut([usize; 4], &mut Vec<u32>),
) -> Option<Vec<u32>> {
    assert!(channels == layer.output.c && channels >= 4);
    let block = |block: usize| [0, 1, 2, 3].map(|lane| block_start(block, channels) + lane);
    let mut out = vec![flags, 0, 0, 0];
    for o in (0..channels.div_ceil(4)).flat_map(block) {
        out.extend(record(o)?);
    }
    (0..channels.div_ceil(4)).for_each(|index| weights(block(index), &mut out));
    Some(out)
}

/// A word of two halves.
#[cfg(feature = "std")]
pub(super) fn halves(low: i32, high: i32) -> u32 {
    crate::kernels::blocks::halves::pair(low, high)
}
