//! Convolution as a matrix product, 2 pixels x 4 channels at a time: any kernel, stride and number of channels.
//!
//! Two patches of the input are widened to pairs and multiplied with all blocks of output channels. Rows that touch
//! padding, and inputs whose pixels do not follow each other, go through a padded line buffer, some columns at a time;
//! so every row runs the same loop, without a test for borders. On cores with products of bytes nothing is widened, see
//! [`gemm_bytes`].
//!
//! Packed: header, `ceil(channels / 4)` blocks of four records, then as many blocks of weights, of 16 or 8 bits. The
//! last block overlaps the one before it when the channels are no multiple of four (and is padded when there are fewer
//! than four).

use core::ops::Range;

use super::{ConvAlgorithm, Layer, Map, Packed, Part, block_start};
use crate::kernels::Backend;
#[cfg(feature = "std")]
use crate::kernels::blocks::dense::{self, together};
use crate::kernels::blocks::elementwise::copy;
use crate::kernels::blocks::gemm_bytes;
use crate::kernels::blocks::pieces::{every, pieces, pieces_mut};
use crate::quant::{Channel, Clamp, Multiplier, OutputStage, Rounding};
use crate::sys::cast;
use crate::sys::shapes::{MAX_REST, Patch, patch_pairs};
use crate::uses::Linked;

/// The flag of packed weights whose requantization is the reference one.
pub(crate) const EXACT: u32 = Packed::EXACT;

/// How the weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 16 bits: fewer instructions.
    Bits16,
    /// 8 bits: half the flash.
    Bits8,
    /// 8 bits, those of two channels in each half of a word: 256 times the second's plus the first's. So half of them need no widening.
    Paired,
    /// 8 bits, and the inputs are not widened either: [`gemm_bytes`].
    Bytes,
}

impl Width {
    /// Whether the program has this width.
    const fn is_linked<L: Linked>(self) -> bool {
        let algorithm = match self {
            Width::Bits16 => ConvAlgorithm::Gemm16,
            Width::Bits8 => ConvAlgorithm::Gemm8,
            Width::Paired => ConvAlgorithm::GemmPaired,
            Width::Bytes => ConvAlgorithm::GemmBytes,
        };
        L::SET.convolutions.has(algorithm.id())
    }

    pub(super) const fn words_per_pair(self) -> usize {
        match self {
            Width::Bits16 => 4,
            Width::Bits8 | Width::Paired => 2,
            // Four times as many bytes as a pair of patches has, in its words.
            Width::Bytes => 4,
        }
    }

    /// Two patches for the products.
    #[inline(always)]
    fn patch<B: Backend, L: Linked>(self, x: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
        match self {
            Width::Bytes if Width::Bytes.is_linked::<L>() => B::patch_bytes(x, src, at, patch),
            Width::Bits16 | Width::Bits8 | Width::Paired
                if Width::Bits16.is_linked::<L>()
                    || Width::Bits8.is_linked::<L>()
                    || Width::Paired.is_linked::<L>() =>
            {
                B::patch(x, src, at, patch);
            }
            _ => {}
        }
    }

    /// The products of two patches with some blocks.
    #[inline(always)]
    fn multiply<B: Backend, L: Linked>(self, x: &[u32], part: &Part<'_>, out: &mut [i8], second: usize) {
        let Part { records, weights } = *part;
        match self {
            Width::Bits16 if Width::Bits16.is_linked::<L>() => B::gemm16(x, weights, records, out, second),
            Width::Bits8 if Width::Bits8.is_linked::<L>() => B::gemm8(x, weights, records, out, second),
            Width::Paired if Width::Paired.is_linked::<L>() => B::gemm_paired(x, weights, records, out, second),
            Width::Bytes if Width::Bytes.is_linked::<L>() => B::gemm_bytes(x, weights, records, out, second),
            _ => {}
        }
    }
}

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer, width: Width) -> bool {
    matches!(width, Width::Bytes)
        || layer.kernel()[0].saturating_mul(layer.kernel()[1].wrapping_mul(layer.input.c) % 4) <= MAX_REST
}

/// Words of a patch.
pub(super) const fn patch_words(layer: &Layer, width: Width) -> usize {
    let (rows, len) = (layer.kernel()[0], layer.kernel()[1].saturating_mul(layer.input.c));
    match width {
        Width::Bits16 | Width::Bits8 | Width::Paired => patch_pairs(rows, len),
        Width::Bytes => gemm_bytes::patch_bytes(rows, len) / 4,
    }
}

/// Words of the weights of a block of four output channels.
pub(super) const fn block_words(layer: &Layer, width: Width) -> usize {
    patch_words(layer, width).saturating_mul(width.words_per_pair())
}

/// Words of the packed weights.
pub const fn packed_words(layer: &Layer, width: Width) -> usize {
    let per_block = block_words(layer, width).saturating_add(16);
    Packed::HEADER.saturating_add(layer.output.c.div_ceil(4).saturating_mul(per_block))
}

/// Bytes that the line buffer should not exceed.
const LINE_LIMIT: usize = 1024;

/// Bytes of a row of the line buffer under `columns` output columns.
const fn line_bytes(layer: &Layer, columns: usize) -> usize {
    let input = columns.saturating_sub(1).saturating_mul(layer.stride()[1]).saturating_add(layer.kernel()[1]);
    input.saturating_mul(layer.input.c)
}

/// Output columns that go through the line buffer at a time: all, or an even number of them, at least 2, that keeps to
/// [`LINE_LIMIT`]. The columns that two neighbors share are copied twice.
pub(super) const fn tile_columns(layer: &Layer) -> usize {
    let (all, [rows, columns], stride) = (layer.output.w, layer.kernel(), layer.stride()[1]);
    if !needs_line(layer) || rows.saturating_mul(line_bytes(layer, all)) <= LINE_LIMIT {
        return all;
    }
    let Some(input) = LINE_LIMIT.checked_div(rows.saturating_mul(layer.input.c)) else { return all };
    let Some(further) = input.saturating_sub(columns).checked_div(stride) else { return all };
    let fitting = further.saturating_add(1) / 2;
    // As even as can be.
    let pairs = all.div_ceil(2);
    let tiles = pairs.div_ceil(if fitting == 0 { 1 } else { fitting });
    pairs.div_ceil(if tiles == 0 { 1 } else { tiles }).saturating_mul(2)
}

/// Whether some row needs the line buffer.
const fn needs_line(layer: &Layer) -> bool {
    layer.window.is_padded()
        || (layer.window.kernel[1] > 1 && layer.input.pitch != layer.input.c)
        || (layer.window.kernel[0] > 1 && layer.input.ring < layer.input.h)
}

/// Words of the line buffer for `columns` output columns.
pub(super) const fn line_words(layer: &Layer, columns: usize) -> usize {
    if needs_line(layer) { layer.kernel()[0].saturating_mul(line_bytes(layer, columns)).div_ceil(4) } else { 0 }
}

/// Words of scratch.
pub const fn scratch_words(layer: &Layer, width: Width) -> usize {
    patch_words(layer, width).saturating_mul(2).saturating_add(line_words(layer, tile_columns(layer)))
}

/// Computes output rows `rows`, by what the program links.
pub fn run<B: Backend, L: Linked>(
    layer: &Layer,
    width: Width,
    packed: &[u32],
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    let blocks = layer.output.c.div_ceil(4);
    let packed = Packed::new(packed, blocks.wrapping_mul(16))?;
    let (x, line) = scratch.split_at_mut_checked(patch_words(layer, width).wrapping_mul(2))?;
    if matches!(width, Width::Bytes) && Width::Bytes.is_linked::<L>() {
        // Patches do not fill their last step. What lies behind them must not count, whatever weights a file has there.
        x.fill(0);
    }
    let per_block = block_words(layer, width);
    let parts = packed.blocks(layer.output.c, per_block)?;
    let ([kernel, kernel_w], [_, stride]) = (layer.kernel(), layer.stride());
    let patch_row = kernel_w.wrapping_mul(layer.input.c);
    let tile = tile_columns(layer);
    let line = line.get_mut(..line_words(layer, tile))?;
    let mut start = 0;
    while start < layer.output.w {
        let end = start.wrapping_add(tile).min(layer.output.w);
        let mut source = Source::new(layer, line, start..end);
        for y in rows.clone() {
            let (src, row_bytes, pixel) = source.rows::<B>(input, y);
            let out = output.get_mut(layer.output.row(y)..).unwrap_or_default();
            let patch = Patch::new(kernel, patch_row, row_bytes);
            let step = stride.wrapping_mul(pixel);
            let (mut first, mut column) = (0usize, start);
            while column < end {
                // The last pixel of an odd row is computed twice, into the same place.
                let apart = usize::from(column.wrapping_add(1) < end);
                let at = [first, first.wrapping_add(apart.wrapping_mul(step))];
                width.patch::<B, L>(x, src, at, &patch);
                let out = out.get_mut(column.wrapping_mul(layer.output.pitch)..).unwrap_or_default();
                let second = apart.wrapping_mul(layer.output.pitch);
                if L::SET.exact && !matches!(width, Width::Paired) && packed.flags & Packed::EXACT != 0 {
                    exact::<B, L>(layer, width, &packed, x, out, second);
                } else {
                    fast::<B, L>(layer, width, &parts, x, out, second);
                }
                first = first.wrapping_add(step.wrapping_mul(2));
                column = column.wrapping_add(2);
            }
            // Once, when the last of its pixels are there.
            if packed.flags & Packed::EXACT == 0 && end == layer.output.w {
                clamp_row::<B>(layer, out);
            }
        }
        start = end;
    }
    Some(())
}

/// Clamps a row of the output, where saturation is not all.
pub(super) fn clamp_row<B: Backend>(layer: &Layer, row: &mut [i8]) {
    if layer.is_saturating() {
        return;
    }
    if layer.output.pitch == layer.output.c {
        B::clamp(row.get_mut(..layer.output.row_bytes()).unwrap_or_default(), layer.low, layer.high);
    } else {
        let mut row = row;
        for _ in 0..layer.output.w {
            let n = row.len();
            B::clamp(row.get_mut(..layer.output.c.min(n)).unwrap_or_default(), layer.low, layer.high);
            row = row.get_mut(layer.output.pitch..).unwrap_or_default();
        }
    }
}

/// The input from the first tap of output row `y` and column `column` on, when its patches can be read where they lie.
#[inline(always)]
fn direct<'a>(layer: &Layer, y: usize, column: usize, input: &'a [i8]) -> Option<&'a [i8]> {
    let window = &layer.window;
    let rows = layer.kernel()[0];
    let origin = usize::try_from(window.origin(0, y as u32)).ok()?;
    let dense = window.kernel[1] == 1 || layer.input.pitch == layer.input.c;
    let padded = window.before[1] | window.after[1] != 0;
    let inside = origin.saturating_add(rows) <= layer.input.h && layer.input.contiguous(origin, rows);
    let across = column.wrapping_mul(layer.stride()[1]).wrapping_mul(layer.input.pitch);
    if dense && !padded && inside { input.get(layer.input.row(origin).wrapping_add(across)..) } else { None }
}

#[inline(always)]
fn fast<B: Backend, L: Linked>(
    layer: &Layer,
    width: Width,
    [whole, last]: &[Part<'_>; 2],
    x: &[u32],
    out: &mut [i8],
    second: usize,
) {
    let channels = layer.output.c;
    if channels < 4 {
        let mut few = [0i8; 8];
        width.multiply::<B, L>(x, last, &mut few, 4);
        for (to, from) in [(0, 0), (second, 4)] {
            let to = out.get_mut(to..).unwrap_or_default();
            copy(to.get_mut(..channels).unwrap_or_default(), few.get(from..).unwrap_or_default());
        }
        return;
    }
    width.multiply::<B, L>(x, whole, out, second);
    if !channels.is_multiple_of(4) {
        width.multiply::<B, L>(x, last, out.get_mut(channels.wrapping_sub(4)..).unwrap_or_default(), second);
    }
}

/// The same with the reference requantization.
fn exact<B: Backend, L: Linked>(
    layer: &Layer,
    width: Width,
    packed: &Packed,
    x: &[u32],
    out: &mut [i8],
    second: usize,
) {
    let channels = layer.output.c;
    let clamp = Clamp { min: i32::from(layer.low), max: i32::from(layer.high) };
    let stage = OutputStage { rounding: Rounding::Double, zero_point: i32::from(layer.zero_out), clamp };
    let per_block = (x.len() / 2).wrapping_mul(width.words_per_pair());
    let blocks = packed.records.as_chunks::<16>().0.iter().zip(pieces(packed.weights, per_block));
    for (block, (records, weights)) in blocks.enumerate() {
        let mut acc = [0i32; 8];
        match width {
            Width::Bits16 if Width::Bits16.is_linked::<L>() => B::gemm16_acc(x, weights, &mut acc),
            Width::Bits8 if Width::Bits8.is_linked::<L>() => B::gemm8_acc(x, weights, &mut acc),
            Width::Bytes if Width::Bytes.is_linked::<L>() => B::gemm_bytes_acc(x, weights, &mut acc),
            // No paired weights have such records.
            _ => {}
        }
        let first = block_start(block, channels);
        for (acc, at) in acc.as_chunks::<4>().0.iter().zip([first, first.wrapping_add(second)]) {
            let out = out.get_mut(at..).unwrap_or_default().iter_mut().take(channels.wrapping_sub(first));
            for (out, (&acc, &[bias, m, s, _])) in out.zip(acc.iter().zip(records.as_chunks::<4>().0)) {
                let factor = Multiplier { multiplier: m as i32, shift: s as i32 };
                *out = stage.apply(acc, Channel { bias: bias as i32, factor });
            }
        }
    }
}

/// The rows under some columns of one output row: where they lie, or padded on all sides and without gaps in a line
/// buffer.
pub(super) struct Source<'a> {
    layer: &'a Layer,
    columns: Range<usize>,
    bytes: &'a mut [i8],
    origin: Option<i32>,
}

impl<'a> Source<'a> {
    /// For output columns `columns`, with [`line_words`] words for the line buffer.
    pub(super) fn new(layer: &'a Layer, line: &'a mut [u32], columns: Range<usize>) -> Self {
        Self { layer, columns, bytes: cast::words_as_i8_mut(line), origin: None }
    }

    /// The bytes from the first tap of output row `y` on, and the bytes from row to row and from pixel to pixel.
    #[inline(always)]
    pub(super) fn rows<'s, B: Backend>(&'s mut self, input: &'s [i8], y: usize) -> (&'s [i8], usize, usize) {
        let (layer, columns) = (self.layer, self.columns.len());
        match direct(layer, y, self.columns.start, input) {
            Some(src) => (src, layer.input.row_bytes(), layer.input.pitch),
            None => (self.line::<B>(input, y), line_bytes(layer, columns), layer.input.c),
        }
    }

    /// The line buffer, filled for output row `y`; rows that the last call has left are kept.
    #[inline(never)]
    fn line<B: Backend>(&mut self, input: &[i8], y: usize) -> &[i8] {
        let ([kernel, _], [stride, _]) = (self.layer.kernel(), self.layer.stride());
        let len = line_bytes(self.layer, self.columns.len());
        let left = self.layer.window.origin(1, self.columns.start as u32);
        let origin = self.layer.window.origin(0, y as u32);
        let kept = match self.origin {
            Some(last) if stride < kernel && origin.wrapping_sub(last) == stride as i32 => kernel.wrapping_sub(stride),
            _ => 0,
        };
        if kept > 0 {
            let (from, to) = (stride.wrapping_mul(len), kernel.wrapping_mul(len));
            B::move_down(self.bytes.get_mut(..to).unwrap_or_default(), from);
        }
        for row in kept..kernel {
            let start = row.wrapping_mul(len);
            let line = self.bytes.get_mut(start..start.wrapping_add(len)).unwrap_or_default();
            fill::<B>(self.layer, line, input, origin.wrapping_add(row as i32), left);
        }
        self.origin = Some(origin);
        self.bytes
    }
}

/// Row `y` of the input from column `x` on with its padding, or padding alone, as much as `line` holds.
fn fill<B: Backend>(layer: &Layer, line: &mut [i8], input: &[i8], y: i32, x: i32) {
    let Map { c, w, pitch, .. } = layer.input;
    let (before, x) = ((x.wrapping_neg().max(0) as usize).wrapping_mul(c), x.max(0) as usize);
    let row = match usize::try_from(y) {
        Ok(y) if y < layer.input.h => {
            input.get(layer.input.row(y).wrapping_add(x.wrapping_mul(pitch))..).unwrap_or_default()
        }
        _ => {
            line.fill(layer.zero_in);
            return;
        }
    };
    let inside = w.saturating_sub(x).wrapping_mul(c).min(line.len().saturating_sub(before));
    let Some((left, rest)) = line.split_at_mut_checked(before) else { return };
    let Some((middle, right)) = rest.split_at_mut_checked(inside) else { return };
    left.fill(layer.zero_in);
    right.fill(layer.zero_in);
    if pitch == c {
        B::copy(middle, row);
    } else {
        for (to, from) in pieces_mut(middle, c).zip(every(row, pitch)) {
            copy(to, from);
        }
    }
}

/// Whether the fast requantization is exact for every channel.
#[cfg(feature = "std")]
pub(super) fn is_fast(layer: &Layer, weights: &[i8], channels: &[crate::quant::Channel]) -> bool {
    let filters = weights.chunks_exact(layer.filter().max(1));
    filters.zip(channels).all(|(filter, channel)| record(layer, filter, channel).is_some())
}

/// Whether the weights of two channels at a time fit a half of a word, and sums of products with them a word.
#[cfg(feature = "std")]
pub(super) fn are_paired(layer: &Layer, weights: &[i8]) -> bool {
    let filter = |channel: usize| &weights[channel * layer.filter()..][..layer.filter()];
    let halves_fit = |[first, second]: [&[i8]; 2]| {
        dense::sums_fit(second) && first.iter().zip(second).all(|(&first, &second)| together([first, second]).is_some())
    };
    let firsts = (0..layer.output.c.div_ceil(4)).map(|block| block_start(block, layer.output.c));
    let pairs = firsts.flat_map(|first| [first, first + 2]).filter(|first| first + 1 < layer.output.c);
    pairs.map(|first| [filter(first), filter(first + 1)]).all(halves_fit)
}

/// The fast requantization's record of a channel.
#[cfg(feature = "std")]
fn record(layer: &Layer, filter: &[i8], constants: &crate::quant::Channel) -> Option<[u32; 4]> {
    super::channel::record(constants, layer.zero_out, super::channel::bound(filter), 1 << 30)
}

/// Packs OHWI `weights`.
///
/// # Panics
/// When the number of weights or channels does not fit the layer, or weights are to be paired that are not.
#[cfg(feature = "std")]
pub fn pack(layer: &Layer, width: Width, weights: &[i8], channels: &[crate::quant::Channel]) -> Vec<u32> {
    use super::channel;
    use crate::kernels::blocks::pairs::pair as word;

    let ([rows, columns], pairs) = (layer.kernel(), patch_words(layer, width));
    let (len, count) = (columns * layer.input.c, layer.output.c);
    assert_eq!((weights.len(), channels.len()), (rows * len * count, count));
    let filter = |o: usize| &weights[o * rows * len..(o + 1) * rows * len];
    let records: Vec<_> = (0..count).map(|o| record(layer, filter(o), &channels[o])).collect();
    let exact = records.iter().any(Option::is_none);
    let mut out = vec![if exact { Packed::EXACT } else { 0 }, 0, 0, 0];
    let lanes = |block: usize| (0..4).map(move |lane| block_start(block, count) + lane);
    for o in (0..count.div_ceil(4)).flat_map(lanes) {
        let record = channels.get(o).map_or([0; 4], |constants| match records[o] {
            Some(record) if !exact => record,
            _ => channel::exact_record(constants),
        });
        out.extend(record);
    }
    if width == Width::Bytes {
        let steps = pairs / 4;
        for (block, step) in (0..count.div_ceil(4)).flat_map(|block| (0..steps).map(move |step| (block, step))) {
            for (o, word) in lanes(block).flat_map(|o| (0..4).map(move |word| (o, word))) {
                let value = |byte: usize| {
                    let at = step * gemm_bytes::STEP + word * 4 + byte;
                    if o < count { filter(o).get(at).map_or(0, |&w| w as u8) } else { 0 }
                };
                out.push(u32::from_le_bytes([value(0), value(1), value(2), value(3)]));
            }
        }
        return out;
    }
    // Where in a filter the value at place `p` of a patch lies, see `gemm::patch`.
    let (whole, rest) = (len / 4 * 4, len % 4);
    let source = |p: usize| match p.checked_sub(rows * whole) {
        None => Some(p / whole * len + p % whole),
        Some(r) => (r < rows * rest).then(|| r / rest * len + whole + r % rest),
    };
    let value = |o: usize, pair: usize, half: usize| {
        let place = source(pair / 2 * 4 + pair % 2 + 2 * half);
        if o < count { place.map_or(0, |at| filter(o)[at]) } else { 0 }
    };
    for (block, pair) in (0..count.div_ceil(4)).flat_map(|block| (0..pairs).map(move |pair| (block, pair))) {
        let pairs: Vec<[i8; 2]> = lanes(block).map(|o| [value(o, pair, 0), value(o, pair, 1)]).collect();
        match width {
            Width::Bits16 => {
                out.extend(pairs.iter().map(|p| u32::from(i16::from(p[0]) as u16) | (i32::from(p[1]) << 16) as u32))
            }
            Width::Paired => out.extend(pairs.chunks(2).map(|p| {
                let [low, high] =
                    [0, 1].map(|half| together([p[0][half], p[1][half]]).expect("weights that are paired"));
                word(low.into(), high.into())
            })),
            Width::Bits8 | Width::Bytes => out.extend(
                pairs.chunks(2).map(|p| u32::from_le_bytes([p[0][0], p[1][0], p[0][1], p[1][1]].map(|v| v as u8))),
            ),
        }
    }
    out
}
