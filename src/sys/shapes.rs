//! The shapes that primitives work on, and what they need of their slices: the proofs that every unsafe call rests on.
//!
//! The portable definitions ask the same questions, so that a primitive gives the same on every instruction set. What does not
//! fit is a broken invariant of the caller: debug builds stop, release builds leave the output as it is.

/// Whether a primitive's slices fit, which [`crate::Model`] has proven: debug builds stop where they do not.
#[inline(always)]
#[track_caller]
pub(crate) fn proven(fits: bool) -> bool {
    debug_assert!(fits, "slices do not fit the primitive that was called with them");
    fits
}

/// Most bytes that are left over when the rows of a patch are cut into words, together.
pub const MAX_REST: usize = 60;

/// Pairs of a patch of `rows` rows of `len` bytes: whole words row by row, then the rest bytes of all rows together,
/// filled up with zeros to a word.
pub const fn patch_pairs(rows: usize, len: usize) -> usize {
    (rows.saturating_mul(len / 4)).saturating_add(rows.saturating_mul(len % 4).div_ceil(4)).saturating_mul(2)
}

/// The rows of a patch, the same for all pixels of a row; with what they need of the slices, which is asked before every patch.
#[derive(Clone, Copy, Debug)]
pub struct Patch {
    stride: usize,
    rows: usize,
    len: usize,
    /// Bytes from the first to the last.
    reach: usize,
    /// Words of two widened patches.
    words: usize,
}

impl Patch {
    /// `rows` rows of `len` bytes, `stride` bytes from one to the next. Patches of nothing fit nowhere; neither do patches with
    /// more than [`MAX_REST`] rest bytes when they are widened.
    pub const fn new(rows: usize, len: usize, stride: usize) -> Self {
        let (reach, good) = match rows > 0 && len > 0 {
            true => ((rows - 1).saturating_mul(stride).saturating_add(len), rows.saturating_mul(len % 4) <= MAX_REST),
            false => (usize::MAX, false),
        };
        let words = if good { patch_pairs(rows, len).saturating_mul(2) } else { usize::MAX };
        Self { stride, rows, len, reach, words }
    }

    /// Bytes from one row to the next.
    #[inline(always)]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// How many rows.
    #[inline(always)]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of a row.
    #[allow(clippy::len_without_is_empty)]
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether two patches from `at` on lie within `src` bytes.
    #[inline(always)]
    const fn lie_within(&self, src: usize, at: [usize; 2]) -> bool {
        at[0].saturating_add(self.reach) <= src && at[1].saturating_add(self.reach) <= src
    }

    /// Whether two patches can be read from `at` on, of `src` bytes, and their pairs be written into `dst` words.
    #[inline(always)]
    pub const fn fit_widened(&self, dst: usize, src: usize, at: [usize; 2]) -> bool {
        self.words <= dst && self.lie_within(src, at)
    }

    /// Whether two patches can be read from `at` on, of `src` bytes, and be copied each into half of `dst` words.
    #[inline(always)]
    pub const fn fit_copied(&self, dst: usize, src: usize, at: [usize; 2]) -> bool {
        self.rows.saturating_mul(self.len) <= dst.saturating_mul(4) / 2 && self.lie_within(src, at)
    }
}

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

/// Where the taps of a depthwise pixel lie, the same for all pixels of a row.
#[derive(Clone, Copy, Debug)]
pub struct TapGrid {
    row: usize,
    step: usize,
    kernel: [usize; 2],
    /// Bytes from tap (0, 0) to the last tap.
    reach: usize,
    /// Words of weights of four channels.
    words: usize,
}

impl TapGrid {
    /// Of `kernel` rows and columns, `row` bytes from row to row and `step` bytes from tap to tap.
    pub const fn new(kernel: [usize; 2], row: usize, step: usize) -> Self {
        let [rows, columns] = kernel;
        let reach = rows.saturating_sub(1).saturating_mul(row);
        let reach = reach.saturating_add(columns.saturating_sub(1).saturating_mul(step));
        let words = rows.saturating_mul(columns).saturating_mul(2);
        // A kernel without taps fits nowhere.
        Self { row, step, kernel, reach, words: if words == 0 { usize::MAX } else { words } }
    }

    /// Bytes from row to row.
    #[inline(always)]
    pub const fn row(&self) -> usize {
        self.row
    }

    /// Bytes from tap to tap.
    #[inline(always)]
    pub const fn step(&self) -> usize {
        self.step
    }

    /// Kernel rows and columns.
    #[inline(always)]
    pub const fn kernel(&self) -> [usize; 2] {
        self.kernel
    }
}

/// A pair of depthwise pixels.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Byte offset of tap (0, 0) of the first pixel.
    pub at: usize,
    /// Bytes from there to tap (0, 0) of the second pixel.
    pub second: usize,
    /// Bytes from the first output pixel to the second; 0 when both are the same.
    pub out: usize,
}

impl Pair {
    /// Whether all `taps` of `groups` groups of four channels lie within `src` bytes, their weights within `w` words, and
    /// the outputs within `out` bytes.
    #[inline(always)]
    pub const fn fits(&self, taps: &TapGrid, src: usize, w: usize, groups: usize, out: usize) -> bool {
        let channels = groups.saturating_mul(4);
        groups > 0
            && self.at.saturating_add(self.second).saturating_add(taps.reach).saturating_add(channels) <= src
            && taps.words.saturating_mul(groups) <= w
            && self.out.saturating_add(channels) <= out
    }
}

/// A map as lines of pixels: its rows, or its columns.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Lines.
    pub lines: usize,
    /// Lines in memory: fewer in a line buffer.
    pub ring: usize,
    /// Bytes from line to line.
    pub line: usize,
    /// Pixels of a line.
    pub pixels: usize,
    /// Bytes from pixel to pixel.
    pub pixel: usize,
}

impl Grid {
    /// Where a line starts.
    pub const fn start(&self, line: usize) -> usize {
        let line = if line < self.ring || self.ring == 0 { line } else { line % self.ring };
        line.wrapping_mul(self.line)
    }

    /// Whether four channels of all pixels lie within `len` bytes.
    const fn fits(&self, len: usize) -> bool {
        let lines = if self.lines < self.ring { self.lines } else { self.ring };
        let [lines, pixels] = [lines.saturating_sub(1), self.pixels.saturating_sub(1)];
        let last = lines.saturating_mul(self.line).saturating_add(pixels.saturating_mul(self.pixel));
        self.ring > 0 && (self.lines == 0 || self.pixels == 0 || last.saturating_add(4) <= len)
    }
}

/// A depthwise 3x3 convolution by lines.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// The input.
    pub input: Grid,
    /// The output.
    pub output: Grid,
    /// Across the lines, and along them: 1 or 2.
    pub stride: [usize; 2],
    /// Padding before the first line, and before the first pixel of a line.
    pub before: [usize; 2],
    /// What padding is.
    pub zero: i8,
}

/// Pairs of pixels of a line of the input that `outputs` outputs of a 3x3 kernel read.
pub const fn line_pairs(outputs: usize, stride: usize) -> usize {
    outputs.div_ceil(2).saturating_mul(stride).saturating_add(1)
}

impl Lines {
    /// Whether lines `from..to` of the output, of four channels, can be computed of `input` bytes, in `x` words, into `out` bytes.
    #[inline(always)]
    pub const fn fit(&self, x: usize, input: usize, out: usize, from: usize, to: usize) -> bool {
        let [across, along] = self.stride;
        across > 0
            && (along == 1 || along == 2)
            && from <= to
            && to <= self.output.lines
            && self.input.fits(input)
            && self.output.fits(out)
            && line_pairs(self.output.pixels, along).saturating_mul(12) <= x
    }

    /// The pairs of a line of the input in order: of padding, padding and a pixel (one or none), of pixels, a pixel and padding, of
    /// padding.
    pub const fn pairs(&self) -> [usize; 5] {
        const fn least(a: usize, b: usize) -> usize {
            if a < b { a } else { b }
        }
        let (all, before) = (line_pairs(self.output.pixels, self.stride[1]), self.before[1]);
        let padding = least(before / 2, all);
        let pixels = least(self.input.pixels, all.saturating_mul(2).saturating_sub(before));
        let left = least(before % 2, pixels);
        let (whole, right) = (pixels.wrapping_sub(left) / 2, pixels.wrapping_sub(left) % 2);
        [
            padding,
            left,
            whole,
            right,
            all.wrapping_sub(padding).wrapping_sub(left).wrapping_sub(whole).wrapping_sub(right),
        ]
    }
}

/// Whether `pixels` pixels of `channels` channels, `step` bytes apart, lie within `src` bytes, and are at most 255.
#[inline(always)]
pub const fn sum_fits(src: usize, step: usize, pixels: usize, channels: usize) -> bool {
    pixels > 0 && pixels <= 255 && (pixels - 1).saturating_mul(step).saturating_add(channels) <= src
}

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

/// Pixels of half precision that are computed at a time. Their inputs are *lanes*: element `i` of pixel `p` is `x[LANES * i + p]`.
pub const LANES: usize = 4;

/// Where up to [`LANES`] output pixels lie.
#[derive(Clone, Copy, Debug)]
pub struct Pixels {
    /// Elements of each.
    pub channels: usize,
    /// Elements from one to the next.
    pub pitch: usize,
    /// How many there are; the other lanes are not written.
    pub count: usize,
}

impl Pixels {
    /// Whether they lie within `out` elements, and `k` inputs of every lane within `x` numbers, with `weights` and `biases` of
    /// all channels.
    #[inline(always)]
    pub const fn fit(&self, k: usize, x: usize, weights: usize, biases: usize, out: usize) -> bool {
        let &Self { channels, pitch, count } = self;
        x / LANES >= k
            && weights >= channels.saturating_mul(k)
            && biases >= channels
            && count >= 1
            && count <= LANES
            && out >= (count - 1).saturating_mul(pitch).saturating_add(channels)
    }
}
