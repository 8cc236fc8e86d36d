//! Shapes of Winograd convolutions.

/// The exact Winograd convolutions, of 3x3 kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// F(2x2, 3x3).
    F2,
    /// F(4x4, 3x3).
    F4,
    /// Two by two outputs at stride 2.
    S2,
}

impl Scheme {
    /// Rows and columns of the largest transformed tile.
    pub const MAX_SIDE: usize = 6;

    /// Rows and columns of a tile's outputs.
    #[inline(always)]
    pub const fn tile(self) -> usize {
        match self {
            Scheme::F2 | Scheme::S2 => 2,
            Scheme::F4 => 4,
        }
    }

    /// The convolution's stride.
    #[inline(always)]
    pub const fn stride(self) -> usize {
        match self {
            Scheme::F2 | Scheme::F4 => 1,
            Scheme::S2 => 2,
        }
    }

    /// Rows and columns of a tile's inputs, transformed or not.
    #[inline(always)]
    pub const fn side(self) -> usize {
        match self {
            Scheme::F2 => 4,
            Scheme::F4 => 6,
            Scheme::S2 => 5,
        }
    }

    /// Words of a transformed column of four channels.
    #[inline(always)]
    pub const fn column(self) -> usize {
        2 * self.side()
    }

    /// Transformed inputs of a tile and channel.
    #[inline(always)]
    pub const fn slots(self) -> usize {
        self.side() * self.side()
    }

    /// The slot of row `i` and column `j` of a transformed tile.
    #[inline(always)]
    pub fn slot(self, i: usize, j: usize) -> usize {
        let slot = match self {
            Scheme::F2 | Scheme::F4 => return self.side().wrapping_mul(i).wrapping_add(j),
            Scheme::S2 => STRIDE2_SLOTS.get(i).and_then(|row| row.get(j)),
        };
        slot.copied().unwrap_or_default() as usize
    }

    /// Accumulators of a tile and output channel. At stride 2 several slots share one.
    #[inline(always)]
    pub const fn positions(self) -> usize {
        match self {
            Scheme::F2 => 16,
            Scheme::F4 => 36,
            Scheme::S2 => 9,
        }
    }

    /// Words of an output channel's record.
    #[inline(always)]
    pub const fn record(self) -> usize {
        match self {
            Scheme::F2 | Scheme::S2 => 4,
            Scheme::F4 => 8,
        }
    }

    /// Whether a horizontal transform of `pairs` pairs of tiles fits: the columns of `t` words into positions of `position` words
    /// of `v`, from word `at` of each on.
    #[inline(always)]
    pub const fn horizontal_fits(self, t: usize, v: usize, at: usize, position: usize, pairs: usize) -> bool {
        let step = self.tile() * self.stride();
        let columns = pairs.saturating_mul(2 * step).saturating_add(self.side() - step);
        pairs > 0
            && columns.saturating_mul(self.column()) <= t
            && at.saturating_add(4) <= position
            && pairs.saturating_mul(self.slots()).saturating_mul(position) <= v
    }

    /// Whether the accumulators of two tiles and the records of four channels fit, and the outputs.
    #[inline(always)]
    pub const fn output_fits(self, m: usize, records: usize, out: usize, tiles: &Tiles) -> bool {
        m >= 8 * self.positions() && records >= 4 * self.record() && tiles.fit(self.tile(), out)
    }
}

/// The inverse of 9 modulo 2^32: it makes of 576 times a convolution, which F(4x4, 3x3) gives, 64 times.
pub const INVERSE_9: u32 = 0x38e3_8e39;

/// At stride 2, the slot of the product of row `a` and column `b` of a transformed tile. Slots of a position follow each other.
pub const STRIDE2_SLOTS: [[u32; 5]; 5] =
    [[0, 1, 16, 4, 5], [2, 3, 17, 6, 7], [18, 19, 24, 20, 21], [8, 9, 22, 12, 13], [10, 11, 23, 14, 15]];

/// The columns of four channels that a vertical input transform reads.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Byte offset of the first column in every row; that of any other row for one that is missing. As many as a scheme's side.
    pub rows: [usize; Scheme::MAX_SIDE],
    /// Bytes from column to column.
    pub step: usize,
    /// Number of columns.
    pub count: usize,
    /// The word that stands for a pixel of a missing row.
    pub fill: u32,
    /// Bit `i` is set when row `i` lies in the padding.
    pub missing: u32,
}

impl Columns {
    /// Whether every row lies within `src` bytes and the result within `t` words.
    #[inline(always)]
    pub fn fit(&self, scheme: Scheme, src: usize, t: usize) -> bool {
        let last = self.rows.iter().take(scheme.side()).fold(0, |last, &row| if row > last { row } else { last });
        let reach = self.count.saturating_sub(1).saturating_mul(self.step).saturating_add(4);
        self.count > 0 && self.count.saturating_mul(scheme.column()) <= t && last.saturating_add(reach) <= src
    }

    /// Whether row `i` lies in the padding.
    #[inline(always)]
    pub const fn is_missing(&self, i: usize) -> bool {
        (self.missing >> (i & 31)) & 1 != 0
    }
}

/// Where the outputs of a pair of tiles go: four channels of every pixel.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    /// Byte offset of the first pixel of both tiles.
    pub at: [usize; 2],
    /// Bytes from row to row.
    pub row: usize,
    /// Bytes from pixel to pixel.
    pub pixel: usize,
}

impl Tiles {
    /// Whether tiles of `size x size` pixels lie within `out` bytes.
    #[inline(always)]
    const fn fit(&self, size: usize, out: usize) -> bool {
        let reach = (size - 1).saturating_mul(self.row.saturating_add(self.pixel)).saturating_add(4);
        self.at[0].saturating_add(reach) <= out && self.at[1].saturating_add(reach) <= out
    }
}

/// The products of pairs of tiles: numbers of channel pairs, of positions that have so many, and of channel pairs that are multiplied at
/// a time; with what a pair of tiles needs of the slices.
#[derive(Clone, Copy, Debug)]
pub struct Products {
    channel_pairs: usize,
    entries: [[u32; 3]; 3],
    len: usize,
    /// Words of `v`, of `u` and of `m`.
    needs: [usize; 3],
}

impl Products {
    /// Of `scheme` over `channel_pairs` pairs of input channels, an even number; others fit nowhere.
    #[inline(always)]
    pub const fn new(scheme: Scheme, channel_pairs: usize) -> Self {
        let (slots, positions) = (scheme.slots(), scheme.positions());
        let good = channel_pairs >= 2 && channel_pairs.is_multiple_of(2) && channel_pairs <= MAX_CHANNEL_PAIRS;
        let pairs = if good { channel_pairs as u32 } else { 0 };
        // At stride 2 the positions of the 3 x 3 are in the order 0, 2, 6, 8, 1, 3, 5, 7, 4.
        let (entries, len) = match scheme {
            Scheme::F2 | Scheme::F4 => ([entry(pairs, positions as u32), [0; 3], [0; 3]], 1),
            Scheme::S2 => ([entry(4 * pairs, 4), entry(2 * pairs, 4), entry(pairs, 1)], 3),
        };
        let words = channel_pairs.saturating_mul(slots);
        let needs = [words.saturating_mul(2), words.saturating_mul(4), positions * 8];
        Self { channel_pairs, entries, len, needs: if good { needs } else { [usize::MAX; 3] } }
    }

    /// Pairs of input channels.
    #[inline(always)]
    pub const fn channel_pairs(&self) -> usize {
        self.channel_pairs
    }

    /// The channel pairs, positions and channel pairs at a time of the entries, and how many entries there are.
    #[inline(always)]
    pub const fn table(&self) -> ([[u32; 3]; 3], usize) {
        (self.entries, self.len)
    }

    /// Words of `v` and of `m` of a pair of tiles.
    #[inline(always)]
    pub const fn words(&self) -> [usize; 2] {
        [self.needs[0], self.needs[2]]
    }

    /// Whether those of `tiles` pairs of tiles, not 0, fit into so many words of `v`, `u` and `m`.
    #[inline(always)]
    pub const fn fit(&self, v: usize, u: usize, m: usize, tiles: usize) -> bool {
        let [for_v, for_u, for_m] = self.needs;
        tiles > 0 && for_v.saturating_mul(tiles) <= v && for_u <= u && for_m.saturating_mul(tiles) <= m
    }
}

/// An entry of `positions` positions of `pairs` channel pairs. Of those so many are multiplied at a time that their weights for four
/// output channels, 16 bytes for each, stay in a cache of 256 bytes wherever they begin.
#[inline(always)]
const fn entry(pairs: u32, positions: u32) -> [u32; 3] {
    const MOST: u32 = 14;
    let times = pairs.div_ceil(MOST);
    [pairs, positions, if times == 0 { MOST } else { pairs.div_ceil(times).next_multiple_of(2) }]
}

/// Most pairs of channels of a product: four times as many fit 32 bits.
const MAX_CHANNEL_PAIRS: usize = 1 << 24;

/// Whether the weights of `src / 9` channel groups of a filter fit, transformed for F(2x2, 3x3), into 16 positions of `u`.
#[inline(always)]
pub const fn filter_fits(src: usize, u: usize, at: usize, position: usize) -> bool {
    let groups = src / 9;
    groups > 0 && at < 4 && groups.saturating_mul(8) <= position && position.saturating_mul(16) <= u
}
