//! What the exact Winograd convolutions share: tiles, borders, channel groups, scratch and packing.
//!
//! A row of tiles is transformed into `v` four channels at a time: vertically into `t` (which keeps columns of padding
//! on both sides), then horizontally. Then, for every four output channels, the products of some pairs of tiles are
//! formed, position by position, so that weights are read from slow flash once for all of them; then each pair is transformed
//! back and requantized, straight into the output; tiles that reach over its edge go through a small buffer.
//!
//! Channel counts that are no multiple of four need no padding in memory: the last group of input channels overlaps the
//! one before it, with weights of zero for what has been counted, and the last block of output channels computes some
//! channels twice. Fewer than four input channels are copied out first.

use core::ops::Range;

use super::conv_gemm::clamp_row;
use super::{ConvAlgorithm, Layer, Map, Packed, block_start};
use crate::kernels::Backend;
use crate::kernels::blocks::elementwise::copy;
use crate::kernels::blocks::narrow::Narrow;
use crate::kernels::blocks::pairs::word;
use crate::kernels::blocks::pieces::{every, pieces, pieces_mut};
use crate::kernels::blocks::{F2, Transform, winograd};
use crate::sys::cast;
pub use crate::sys::shapes::Scheme;
use crate::sys::shapes::{Columns, Products, Tiles};
use crate::uses::Linked;

/// When the weights are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At export.
    Export,
    /// In every inference, four output channels at a time, over this many rows of tiles whose transformed inputs are
    /// kept in scratch. For [`Scheme::F2`] only.
    RunTime(usize),
}

impl When {
    const fn is_run_time(self) -> bool {
        matches!(self, When::RunTime(_))
    }

    /// Rows of tiles that are transformed before the weights are walked through.
    const fn tile_rows(self) -> usize {
        match self {
            When::Export | When::RunTime(0) => 1,
            When::RunTime(rows) => rows,
        }
    }

    /// Words of an output channel and group of four input channels in the packed weights.
    const fn weights(self, scheme: Scheme) -> usize {
        if self.is_run_time() { 9 } else { 2 * scheme.slots() }
    }
}

/// The extents that scratch and loops follow from, in words unless said otherwise.
struct Extents {
    /// Pairs of tiles in a row of tiles.
    tile_pairs: usize,
    /// Pairs of input channels.
    channel_pairs: usize,
    /// Columns of `t`.
    columns: usize,
    /// `v` of one row of tiles.
    v: usize,
    /// Pairs of tiles whose products are formed together.
    together: usize,
    /// `t`, and then, in its place, `m` of pairs of tiles together.
    t_or_m: usize,
    /// Weights transformed at run time.
    u: usize,
    /// Input rows copied out, for fewer than four channels.
    narrow: usize,
}

/// Pairs of tiles, of `tile_pairs` in a row, whose products are formed together: up to four, as even as can be, where reading weights again
/// takes more than going from one pair of tiles to the next at each position. More would take memory, and save little.
const fn together(scheme: Scheme, tile_pairs: usize, channel_pairs: usize, run_time: bool) -> usize {
    // Positions of more than 14 channel pairs are multiplied in parts.
    let deep = channel_pairs.saturating_mul(if matches!(scheme, Scheme::S2) { 4 } else { 1 }) > 14;
    if run_time || tile_pairs < 2 || channel_pairs < 4 || (tile_pairs == 2 && deep) {
        return 1;
    }
    let times = tile_pairs.div_ceil(4);
    tile_pairs.div_ceil(if times == 0 { 1 } else { times })
}

const fn extents(layer: &Layer, scheme: Scheme, run_time: bool) -> Extents {
    let (tile, side, slots) = (scheme.tile(), scheme.side(), scheme.slots());
    let tile_pairs = layer.output.w.div_ceil(tile).div_ceil(2);
    let channel_pairs = layer.input.c.div_ceil(4).saturating_mul(2);
    let step = tile * scheme.stride();
    let columns = tile_pairs.saturating_mul(2 * step).saturating_add(side - step);
    let together = together(scheme, tile_pairs, channel_pairs, run_time);
    let (t, m) =
        (columns.saturating_mul(scheme.column()), scheme.positions().saturating_mul(8).saturating_mul(together));
    Extents {
        tile_pairs,
        channel_pairs,
        columns,
        together,
        t_or_m: if t < m { m } else { t },
        v: tile_pairs.saturating_mul(slots).saturating_mul(channel_pairs).saturating_mul(2),
        u: if run_time { slots.saturating_mul(channel_pairs).saturating_mul(4) } else { 0 },
        narrow: if layer.input.c < 4 { side.saturating_mul(layer.input.w) } else { 0 },
    }
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer, scheme: Scheme, when: When) -> usize {
    let e = extents(layer, scheme, when.is_run_time());
    let fixed = e.t_or_m.saturating_add(e.u).saturating_add(e.narrow);
    fixed.saturating_add(e.v.saturating_mul(when.tile_rows()))
}

/// How often all weights are read.
#[cfg(feature = "std")]
pub(super) fn passes(layer: &Layer, scheme: Scheme, when: When) -> usize {
    let (e, tile_rows) = (extents(layer, scheme, when.is_run_time()), layer.output.h.div_ceil(scheme.tile()));
    match when {
        When::Export => tile_rows * e.tile_pairs.div_ceil(e.together.max(1)),
        When::RunTime(rows) => tile_rows.div_ceil(rows),
    }
}

/// Pairs of tiles whose products are formed together.
#[cfg(feature = "std")]
pub(super) fn tiles_together(layer: &Layer, scheme: Scheme, when: When) -> usize {
    extents(layer, scheme, when.is_run_time()).together
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer, scheme: Scheme, when: When) -> usize {
    let groups = layer.input.c.div_ceil(4);
    let per_block = groups.saturating_mul(when.weights(scheme)).saturating_add(scheme.record()).saturating_mul(4);
    Packed::HEADER.saturating_add(layer.output.c.div_ceil(4).saturating_mul(per_block))
}

/// Whether a layer has the window and the channels that the scheme takes.
pub const fn supports(layer: &Layer, scheme: Scheme) -> bool {
    layer.is_window(3, scheme.stride() as u32) && layer.output.c >= 4
}

/// Computes output rows `rows`; whole tiles are the cheapest. `RUN_TIME` is whether the weights are transformed now, as `when` says.
pub fn run<T: Transform<N>, const N: usize, B: Backend, L: Linked, const RUN_TIME: bool>(
    layer: &Layer,
    when: When,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    let blocks = layer.output.c.div_ceil(4);
    let packed = Packed::new(packed, blocks.wrapping_mul(4 * T::SCHEME.record()))?;
    compute::<T, N, B, L, RUN_TIME>(layer, when, packed, None, &mut [], input, output, scratch, rows)
}

/// The same of narrow weights and the records of all channels: the filters that are transformed next are widened into `filters`.
#[allow(clippy::too_many_arguments)]
pub(super) fn run_narrow<B: Backend, L: Linked>(
    layer: &Layer,
    when: When,
    packed: Packed<'_>,
    narrow: Narrow<'_>,
    filters: &mut [u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    // Asked here as well, so that a program without the algorithm has none of this.
    if L::SET.convolutions.has(ConvAlgorithm::Winograd2AtRunTime { tile_rows: 1 }.id()) {
        compute::<F2, 4, B, L, true>(layer, when, packed, Some(narrow), filters, input, output, scratch, rows)
    } else {
        None
    }
}

#[allow(clippy::too_many_arguments)]
fn compute<T: Transform<N>, const N: usize, B: Backend, L: Linked, const RUN_TIME: bool>(
    layer: &Layer,
    when: When,
    packed: Packed<'_>,
    weights: Option<Narrow<'_>>,
    filters: &mut [u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    let (scheme, tile) = (T::SCHEME, T::SCHEME.tile());
    let e = extents(layer, scheme, RUN_TIME);
    let (t, rest) = scratch.split_at_mut_checked(e.t_or_m)?;
    let (u, rest) = rest.split_at_mut_checked(e.u)?;
    let (narrow, v) = rest.split_at_mut_checked(e.narrow)?;
    let v = v.get_mut(..e.v.wrapping_mul(when.tile_rows()))?;
    let fill = winograd::fill::<T, N>(layer.zero_in);

    let work = Work { layer, e, packed, weights, fill, rows };
    let end = work.rows.end.min(layer.output.h).div_ceil(tile);
    let mut first = work.rows.start / tile;
    while first < end {
        let tile_rows = first..first.saturating_add(when.tile_rows()).min(end);
        for (tile_row, v) in tile_rows.clone().zip(pieces_mut(v, work.e.v)) {
            work.transform::<T, N, B>(tile_row, input, t, narrow, v);
        }
        let m = cast::words_as_i32_mut(t);
        work.multiply::<T, N, B, L, RUN_TIME>(tile_rows.clone(), v, [u, filters], m, output);
        for y in tile_rows.start.wrapping_mul(tile)..tile_rows.end.wrapping_mul(tile).min(layer.output.h) {
            if work.rows.contains(&y) {
                clamp_row::<B>(layer, output.get_mut(layer.output.row(y)..).unwrap_or_default());
            }
        }
        first = tile_rows.end;
    }
    Some(())
}

struct Work<'a> {
    layer: &'a Layer,
    e: Extents,
    packed: Packed<'a>,
    /// The weights if they are narrow.
    weights: Option<Narrow<'a>>,
    fill: u32,
    rows: Range<usize>,
}

impl Work<'_> {
    /// Words of a slot of `v`.
    fn slot(&self) -> usize {
        self.e.channel_pairs.wrapping_mul(2)
    }

    /// Transforms the inputs of a row of tiles.
    fn transform<T: Transform<N>, const N: usize, B: Backend>(
        &self,
        tile_row: usize,
        input: &[i8],
        t: &mut [u32],
        narrow: &mut [u32],
        v: &mut [u32],
    ) {
        let (map, before, scheme) = (&self.layer.input, self.layer.before(), T::SCHEME);
        let count = map.w.min(self.e.columns.saturating_sub(before[1]));
        let mut columns = Columns { rows: [0; 6], step: map.pitch, count, fill: self.fill, missing: 0 };
        let origin = tile_row.wrapping_mul(scheme.tile() * scheme.stride());
        for (i, row) in columns.rows.iter_mut().enumerate().take(scheme.side()) {
            // In the padding any row will do: it is read, and then replaced.
            let (mut y, padded) = (origin.wrapping_add(i), before[0]);
            if y < padded {
                columns.missing |= 1 << i;
                y = padded;
            } else if y.wrapping_sub(padded) >= map.h {
                columns.missing |= 1 << i;
                y = padded.wrapping_add(map.h.wrapping_sub(1));
            }
            *row = map.row(y.wrapping_sub(padded));
        }
        let mut src = input;
        if map.c < 4 {
            copy_narrow(src, &mut columns, scheme.side(), (map.w, map.c), narrow);
            src = cast::words_as_i8_mut(narrow);
        }
        // The products of the last rows were where the columns of padding are: no row of those is there.
        let padding = Columns { step: 0, missing: !0, ..columns };
        let right = before[1].wrapping_add(count);
        for (first, end) in [(0, before[1]), (right, self.e.columns)] {
            let columns = Columns { count: end.saturating_sub(first), ..padding };
            let t = t.get_mut(first.wrapping_mul(scheme.column())..).unwrap_or_default();
            if columns.count > 0 {
                B::vertical::<T, N>(src, &columns, t);
            }
        }
        let interior = before[1].wrapping_mul(scheme.column());
        let first_rows = columns.rows;
        for group in 0..map.c.div_ceil(4) {
            let start = block_start(group, map.c);
            for (row, first) in columns.rows.iter_mut().zip(first_rows) {
                *row = first.wrapping_add(start);
            }
            B::vertical::<T, N>(src, &columns, t.get_mut(interior..).unwrap_or_default());
            B::horizontal::<T, N>(t, v, group.wrapping_mul(4), self.slot(), self.e.tile_pairs);
        }
    }

    /// Multiplies rows of tiles with the weights and writes the outputs.
    fn multiply<T: Transform<N>, const N: usize, B: Backend, L: Linked, const RUN_TIME: bool>(
        &self,
        rows: Range<usize>,
        v: &[u32],
        [u, filters]: [&mut [u32]; 2],
        m: &mut [i32],
        output: &mut [i8],
    ) {
        let (scheme, tile) = (T::SCHEME, T::SCHEME.tile());
        let groups = self.layer.input.c.div_ceil(4);
        let when = if RUN_TIME { When::RunTime(1) } else { When::Export };
        let per_filter = groups.wrapping_mul(when.weights(scheme));
        let blocks = pieces(self.packed.records, 4 * scheme.record());
        let narrow = self.weights.filter(|narrow| narrow.encoding().is_linked_narrow::<L>());
        let per_block = per_filter.wrapping_mul(4);
        let stored = narrow.map_or(per_block, |narrow| narrow.encoding().words(per_block.wrapping_mul(4)));
        let weights = pieces(self.packed.weights, stored);
        let relu = self.packed.flags & Packed::RELU != 0;
        let tile_words = scheme.slots().wrapping_mul(self.slot());
        let map = &self.layer.output;
        let row_bytes = map.row_bytes();
        let products = Products::new(scheme, self.e.channel_pairs);
        for (block, (records, mut weights)) in blocks.zip(weights).enumerate() {
            if let Some(narrow) = narrow {
                narrow.part(weights).widen::<L>(filters);
                weights = filters;
            }
            if RUN_TIME {
                for (lane, filter) in pieces(weights, per_filter).enumerate() {
                    B::filter(filter, u, lane, self.e.channel_pairs.wrapping_mul(4));
                }
                weights = u;
            }
            let channel = block_start(block, self.layer.output.c);
            for (tile_row, v) in rows.clone().zip(pieces(v, self.e.v)) {
                let y = tile_row.wrapping_mul(tile);
                let whole = if self.is_whole(y, tile) { map.w } else { 0 };
                let row = map.row(y).wrapping_add(channel);
                let tile_bytes = tile.wrapping_mul(map.pitch);
                let mut tiles = Tiles { at: [row, row.wrapping_add(tile_bytes)], row: row_bytes, pixel: map.pitch };
                let (mut x, mut v) = (0usize, v);
                loop {
                    let together = (v.len() / tile_words.max(1)).min(self.e.together);
                    let Some((now, rest)) = v.split_at_checked(together.wrapping_mul(tile_words)) else { break };
                    if together == 0 {
                        break;
                    }
                    B::products(now, weights, m, &products, together);
                    for m in pieces(m, scheme.positions() * 8).take(together) {
                        let next = x.wrapping_add(2 * tile);
                        if next <= whole {
                            B::output::<T, N>(m, records, relu, output, &tiles);
                        } else {
                            self.store_edge::<T, N, B>(m, records, relu, [y, x], channel, output);
                        }
                        x = next;
                        let [first, second] = tiles.at;
                        let step = tile_bytes.wrapping_mul(2);
                        tiles.at = [first.wrapping_add(step), second.wrapping_add(step)];
                    }
                    v = rest;
                }
            }
        }
    }

    /// Whether the rows of tiles from row `y` lie wholly within what is asked for, and follow each other in memory.
    fn is_whole(&self, y: usize, tile: usize) -> bool {
        let map = &self.layer.output;
        y >= self.rows.start && y.wrapping_add(tile) <= self.rows.end.min(map.h) && map.contiguous(y, tile)
    }

    /// Writes what lies inside the output of a pair of tiles of four channels, by way of a buffer.
    #[inline(never)]
    fn store_edge<T: Transform<N>, const N: usize, B: Backend>(
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
        let tile = T::SCHEME.tile();
        let row = 8 * tile;
        let tiles = Tiles { at: [0, 4 * tile], row, pixel: 4 };
        B::output::<T, N>(m, records, relu, &mut buffer, &tiles);
        let rows = y..self.rows.end.min(map.h).min(y.wrapping_add(tile));
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

/// Copies the present rows of fewer than four channels into `words`, a word per pixel, and lets `columns` read there.
fn copy_narrow(src: &[i8], columns: &mut Columns, side: usize, (w, c): (usize, usize), words: &mut [u32]) {
    let missing = columns.missing;
    let rows = pieces_mut(words, w).zip(columns.rows.iter_mut().take(side));
    for (i, (words, row)) in rows.enumerate() {
        if missing >> i & 1 == 0 {
            let from = every(src.get(*row..).unwrap_or_default(), columns.step);
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
    columns.step = 4;
}

/// The word of a pixel that has fewer than four bytes.
#[inline(never)]
fn last_pixel(from: &[i8], c: usize) -> u32 {
    let mut bytes = [0; 4];
    copy(bytes.get_mut(..c).unwrap_or_default(), from);
    word(bytes)
}
