//! Shapes of matrix products.

/// Whether `x` words of widened inputs and `w` words of weights, `words_per_pair` for each pair, hold a product of `blocks` blocks;
/// also that loops may run from 1.
#[inline(always)]
pub const fn product_fits(x: usize, w: usize, blocks: usize, words_per_pair: usize) -> bool {
    let pairs = x / 2;
    pairs >= 2
        && pairs.is_multiple_of(2)
        && blocks > 0
        // A slice's length in bytes fits a usize, so up to 8 times half of its words does.
        && pairs.wrapping_mul(words_per_pair).saturating_mul(blocks) <= w
}

/// The same for two patches of bytes in `x` words.
#[inline(always)]
pub const fn byte_product_fits(x: usize, w: usize, blocks: usize) -> bool {
    x >= 8 && x.is_multiple_of(8) && blocks > 0 && x.saturating_mul(2).saturating_mul(blocks) <= w
}

/// Pairs of pixels of a row of the output, four channels of which are computed together.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// How many.
    pub pairs: usize,
    /// Bytes from the first pixel of a pair to the second; 0 when both are the same.
    pub second: usize,
    /// Bytes from a pair to the next.
    pub next: usize,
}

impl Strip {
    /// Whether the widened inputs of all pairs lie within `x` words, for `w` words of weights of 16 bits, and the outputs within `out`
    /// bytes; also that loops may run from 1.
    #[inline(always)]
    pub const fn fits(&self, x: usize, w: usize, out: usize) -> bool {
        let pairs = w / 4;
        pairs >= 2
            && pairs.is_multiple_of(2)
            && self.pairs > 0
            && self.pairs.saturating_mul(pairs.wrapping_mul(2)) <= x
            && (self.pairs - 1).saturating_mul(self.next).saturating_add(self.second).saturating_add(4) <= out
    }
}

/// The first channel of block `block` of four of `channels`: the last block overlaps the one before it.
#[inline(always)]
pub const fn block_start(block: usize, channels: usize) -> usize {
    let start = block.wrapping_mul(4);
    let last = channels.saturating_sub(4);
    if start < last { start } else { last }
}

/// Rows of pixels of the output, computed with all of its channels, four of them at a time.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// How many.
    pub rows: usize,
    /// Pixels of a row.
    pub columns: usize,
    /// Words of the widened inputs of a row, by twos of pixels.
    pub words: usize,
    /// Bytes of the output from row to row.
    pub row: usize,
    /// Bytes of the output from pixel to pixel.
    pub pixel: usize,
    /// Channels of a pixel, at least 4.
    pub channels: usize,
}

impl Rows {
    /// A pair of pixels with `words` words of widened inputs, the second so many bytes behind the first, and as many blocks of channels as
    /// `records` words hold.
    #[inline(always)]
    pub const fn pair(words: usize, second: usize, records: usize) -> Self {
        Self { rows: 1, columns: 2, words, row: 0, pixel: second, channels: (records / 16).wrapping_mul(4) }
    }

    /// Blocks of four channels, of which the last may overlap the one before.
    #[inline(always)]
    pub const fn blocks(&self) -> usize {
        self.channels.div_ceil(4)
    }

    /// Whether the widened inputs lie within `x` words, those of a pair of pixels being as many as the `slab` of a block's paired weights
    /// has, the weights and records of all blocks within `w` and `records` words, and the outputs within `out` bytes; also that loops may
    /// run from 1.
    #[inline(always)]
    pub const fn fit(&self, x: usize, slab: usize, w: usize, records: usize, out: usize) -> bool {
        let (above, before) = (self.rows.wrapping_sub(1), self.columns.wrapping_sub(1));
        let words = self.columns.div_ceil(2).saturating_mul(slab);
        let bytes = before.saturating_mul(self.pixel).saturating_add(self.channels);
        slab >= 4
            && slab.is_multiple_of(4)
            && self.rows > 0
            && self.columns > 0
            && self.words > 0
            && self.channels >= 4
            && above.saturating_mul(self.words).saturating_add(words) <= x
            && self.blocks().saturating_mul(slab) <= w
            && self.blocks().saturating_mul(16) <= records
            && above.saturating_mul(self.row).saturating_add(bytes) <= out
    }
}

/// Whether `w` words of weights of 8 bits are widened into `slab` words, a multiple of 8 of them.
#[inline(always)]
pub const fn widened_fit(w: usize, slab: usize) -> bool {
    w >= 4 && w.is_multiple_of(4) && slab / 2 >= w
}

/// Whether `w` words of weights, of two units in a half, and `channels` entries of their table are those of `units` units, in eights, of
/// `inputs` inputs, in fours.
#[inline(always)]
pub const fn paired_fit(inputs: usize, w: usize, channels: usize, units: usize) -> bool {
    let whole = inputs > 0 && inputs.is_multiple_of(4) && units > 0 && units.is_multiple_of(8);
    whole && units <= channels && (inputs / 4).saturating_mul(units) == w
}

/// Whether `blocks` blocks of 4 channels of two pixels fit into `out` bytes.
#[inline(always)]
pub const fn outputs_fit(blocks: usize, second: usize, out: usize) -> bool {
    // Blocks are counted in records of 64 bytes, of which slices hold fewer than a quarter of all numbers.
    blocks.wrapping_mul(4).saturating_add(second) <= out
}
