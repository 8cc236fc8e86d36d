//! Convolution as a matrix product over a tile of pixels: the weights of four output channels, of 8 bits in the file, are widened into
//! scratch once for the tile, or copied if they are paired. So slow flash is read once for many pixels, and no product has to widen them
//! again.
//!
//! Patches and packing are those of [`conv_gemm`] with [`Width::Bits8`] or [`Width::Paired`]. Where a kernel sees one pixel, the rows of a
//! tile are one row: their pixels follow each other.

use core::ops::Range;

use super::conv_gemm::{self, Source, Width, clamp_row, line_words, patch_words};
use super::{ConvAlgorithm, Layer, Map, Packed, block_start};
use crate::kernels::Backend;
use crate::kernels::blocks::narrow::Narrow;
use crate::kernels::blocks::pieces::{pieces, pieces_mut};
use crate::sys::shapes::{Patch, Rows, Strip};
use crate::uses::Linked;

/// The pixels that are computed together: some rows of the output, cut into parts of as many columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows.
    pub rows: usize,
    /// Parts of a row.
    pub parts: usize,
}

impl Tile {
    pub(super) const fn new(rows: u32, parts: u32) -> Self {
        Self { rows: rows as usize, parts: parts as usize }
    }
}

/// How the weights lie in the file.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'m> {
    /// In 8 bits.
    Bytes,
    /// By twos in the halves of words: [`Width::Paired`].
    Paired,
    /// In fewer bits.
    Narrow(Narrow<'m>),
}

impl Stored<'_> {
    /// As a matrix product has them in the file.
    const fn width(self) -> Width {
        match self {
            Stored::Paired => Width::Paired,
            Stored::Bytes | Stored::Narrow(_) => Width::Bits8,
        }
    }

    /// Whether a program has such weights; asked where they are used, too, so that it has no code for others.
    #[inline(always)]
    const fn is_linked<L: Linked>(self) -> bool {
        let algorithm = match self {
            Stored::Paired => ConvAlgorithm::TiledPaired { rows: 1, parts: 1 },
            Stored::Bytes | Stored::Narrow(_) => ConvAlgorithm::Tiled { rows: 1, parts: 1 },
        };
        L::SET.convolutions.has(algorithm.id())
    }

    /// Weights of four output channels in scratch, for all pixels of a tile.
    #[inline(always)]
    fn widen<B: Backend, L: Linked>(self, slab: &mut [u32], weights: &[u32]) {
        match self {
            Stored::Narrow(narrow) if narrow.encoding().is_linked_narrow::<L>() => {
                narrow.part(weights).widen_pairs::<L>(slab);
            }
            _ => B::widen(slab, weights),
        }
    }
}

/// Whether the algorithm can compute a layer.
pub const fn supports(layer: &Layer) -> bool {
    conv_gemm::supports(layer, Width::Bits8) && layer.output.c >= 4
}

/// Columns of a part of a row, an even number.
const fn columns(layer: &Layer, tile: Tile) -> usize {
    let parts = if tile.parts == 0 { 1 } else { tile.parts };
    layer.output.w.div_ceil(parts).div_ceil(2).saturating_mul(2)
}

/// Rows of a tile.
const fn tile_rows(layer: &Layer, tile: Tile) -> usize {
    let rows = if tile.rows < layer.output.h { tile.rows } else { layer.output.h };
    if rows == 0 { 1 } else { rows }
}

/// Words of weights to a pair of inputs in scratch.
const fn slab_words(width: Width) -> usize {
    if matches!(width, Width::Paired) { width.words_per_pair() } else { Width::Bits16.words_per_pair() }
}

/// Words of scratch: the patches of a tile, the weights of four channels, and a line buffer.
pub const fn scratch_words(layer: &Layer, tile: Tile, width: Width) -> usize {
    let (patch, columns) = (patch_words(layer, width), columns(layer, tile));
    let pixels = columns.saturating_mul(tile_rows(layer, tile));
    let patches = pixels.saturating_add(slab_words(width)).saturating_mul(patch);
    patches.saturating_add(line_words(layer, columns))
}

/// Computes output rows `rows`.
#[allow(clippy::too_many_arguments)]
pub(super) fn run<B: Backend, L: Linked>(
    layer: &Layer,
    tile: Tile,
    packed: Packed<'_>,
    stored: Stored<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    if !stored.is_linked::<L>() {
        return None;
    }
    let (columns, tile_rows) = (columns(layer, tile), tile_rows(layer, tile));
    match flat(layer, &rows) {
        Some(flat) => {
            let input = input.get(layer.input.row(rows.start)..).unwrap_or_default();
            let output = output.get_mut(layer.output.row(rows.start)..).unwrap_or_default();
            let work = Work { layer: &flat, packed, stored, rows: 1, columns: columns.wrapping_mul(tile_rows) };
            work.run::<B, L>(input, output, scratch, 0..1)
        }
        None => Work { layer, packed, stored, rows: tile_rows, columns }.run::<B, L>(input, output, scratch, rows),
    }
}

/// Rows `rows` as one row, where a kernel sees one pixel and the pixels of all rows follow each other.
fn flat(layer: &Layer, rows: &Range<usize>) -> Option<Layer> {
    let one = layer.is_window(1, 1) && !layer.window.is_padded();
    let follow = |map: &Map| map.contiguous(rows.start, rows.len());
    let flat = |map: &Map| Map { h: 1, w: map.w.wrapping_mul(rows.len()), ring: 1, ..*map };
    let all = one && follow(&layer.input) && follow(&layer.output);
    all.then(|| Layer { input: flat(&layer.input), output: flat(&layer.output), ..*layer })
}

/// A layer in tiles of `rows` rows and up to `columns` columns.
struct Work<'a> {
    layer: &'a Layer,
    packed: Packed<'a>,
    stored: Stored<'a>,
    rows: usize,
    columns: usize,
}

impl Work<'_> {
    fn run<B: Backend, L: Linked>(
        &self,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) -> Option<()> {
        let layer = self.layer;
        let patch = patch_words(layer, Width::Bits8);
        let slab = patch.wrapping_mul(slab_words(self.stored.width()));
        let (slab, scratch) = scratch.split_at_mut_checked(slab)?;
        let strip = self.columns.wrapping_mul(patch);
        let (x, line) = scratch.split_at_mut_checked(strip.wrapping_mul(self.rows))?;
        let line = line.get_mut(..line_words(layer, self.columns))?;
        let mut start = 0;
        while start < layer.output.w {
            let columns = start..start.saturating_add(self.columns).min(layer.output.w);
            let mut source = Source::new(layer, line, columns.clone());
            let mut y = rows.start;
            while y < rows.end {
                let tile = y..y.saturating_add(self.rows).min(rows.end);
                for (y, x) in tile.clone().zip(pieces_mut(x, strip)) {
                    self.widen::<B>(&mut source, input, y, columns.len(), x);
                }
                match self.stored {
                    Stored::Paired if Stored::Paired.is_linked::<L>() => {
                        self.multiply_paired::<B>(slab, x, tile.clone(), columns.clone(), output);
                    }
                    _ if Stored::Bytes.is_linked::<L>() => {
                        self.multiply::<B, L>(slab, x, tile.clone(), columns.clone(), output);
                    }
                    _ => return None,
                }
                // Once, when the last of its pixels are there.
                if columns.end == layer.output.w {
                    for y in tile.clone() {
                        clamp_row::<B>(layer, output.get_mut(layer.output.row(y)..).unwrap_or_default());
                    }
                }
                y = tile.end;
            }
            start = columns.end;
        }
        Some(())
    }

    /// Widens the patches of `columns` pixels of row `y`, by twos.
    #[inline(always)]
    fn widen<B: Backend>(&self, source: &mut Source<'_>, input: &[i8], y: usize, columns: usize, x: &mut [u32]) {
        let layer = self.layer;
        let ([kernel, kernel_w], stride) = (layer.kernel(), layer.stride()[1]);
        let (src, row_bytes, pixel) = source.rows::<B>(input, y);
        let patch = Patch::new(kernel, kernel_w.wrapping_mul(layer.input.c), row_bytes);
        let step = stride.wrapping_mul(pixel);
        let (mut at, mut left) = (0usize, columns);
        for x in pieces_mut(x, patch_words(layer, Width::Bits8).wrapping_mul(2)).take(columns.div_ceil(2)) {
            // The last pixel of an odd number has itself for a neighbor.
            let second = at.wrapping_add(if left > 1 { step } else { 0 });
            B::patch(x, src, [at, second], &patch);
            (at, left) = (second.wrapping_add(step), left.saturating_sub(2));
        }
    }

    /// Multiplies the patches of a tile with all weights, which are paired: all rows at once where they follow each other in the output.
    #[inline(always)]
    fn multiply_paired<B: Backend>(
        &self,
        slab: &mut [u32],
        x: &[u32],
        tile: Range<usize>,
        columns: Range<usize>,
        output: &mut [i8],
    ) {
        let (map, Packed { records, weights, .. }) = (&self.layer.output, &self.packed);
        let words = self.columns.wrapping_mul(patch_words(self.layer, Width::Paired));
        let rows = if map.contiguous(tile.start, tile.len()) { tile.len() } else { 1 };
        let shape =
            Rows { rows, columns: columns.len(), words, row: map.row_bytes(), pixel: map.pitch, channels: map.c };
        let (mut y, mut x) = (tile.start, x);
        while y < tile.end {
            let out = map.row(y).wrapping_add(columns.start.wrapping_mul(map.pitch));
            B::rows_paired(x, slab, weights, records, output.get_mut(out..).unwrap_or_default(), &shape);
            x = x.get(words.wrapping_mul(rows)..).unwrap_or_default();
            y = y.saturating_add(rows);
        }
    }

    /// Multiplies the patches of a tile with all weights, four output channels at a time.
    #[inline(always)]
    fn multiply<B: Backend, L: Linked>(
        &self,
        slab: &mut [u32],
        x: &[u32],
        rows: Range<usize>,
        columns: Range<usize>,
        output: &mut [i8],
    ) {
        let (map, patch) = (&self.layer.output, patch_words(self.layer, Width::Bits8));
        let (pairs, pitch) = (columns.len() / 2, map.pitch);
        let whole = Strip { pairs, second: pitch, next: pitch.wrapping_mul(2) };
        let odd = !columns.len().is_multiple_of(2);
        let per_block = match self.stored {
            Stored::Narrow(narrow) => narrow.encoding().words(patch.wrapping_mul(8)),
            Stored::Bytes | Stored::Paired => patch.wrapping_mul(2),
        };
        let blocks = self.packed.records.as_chunks::<16>().0.iter().zip(pieces(self.packed.weights, per_block));
        for (block, (records, weights)) in blocks.enumerate() {
            self.stored.widen::<B, L>(slab, weights);
            let channel = block_start(block, map.c).wrapping_add(columns.start.wrapping_mul(pitch));
            for (y, x) in rows.clone().zip(pieces(x, self.columns.wrapping_mul(patch))) {
                let out = output.get_mut(map.row(y).wrapping_add(channel)..).unwrap_or_default();
                let Some((x, last)) = x.split_at_checked(pairs.wrapping_mul(2).wrapping_mul(patch)) else { return };
                if pairs > 0 {
                    B::gemm_strip(x, slab, records, out, &whole);
                }
                if odd {
                    let out = out.get_mut(pairs.wrapping_mul(whole.next)..).unwrap_or_default();
                    B::gemm_strip(last, slab, records, out, &Strip { pairs: 1, second: 0, next: 0 });
                }
            }
        }
    }
}
