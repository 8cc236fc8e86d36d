//! The shapes that primitives work on, and what they need of their slices: the proofs that every unsafe call rests on.
//!
//! The portable definitions ask the same questions, so that a primitive gives the same on every instruction set. What does not
//! fit is a broken invariant of the caller: debug builds stop, release builds leave the output as it is.

mod depthwise;
mod products;
mod winograd;

pub use depthwise::{Grid, Lines, Pair, TapGrid, line_pairs};
pub use products::{Rows, Strip, block_start, byte_product_fits, outputs_fit, paired_fit, product_fits, widened_fit};
pub use winograd::{Columns, INVERSE_9, Products, STRIDE2_SLOTS, Scheme, Tiles, filter_fits};

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

/// Whether `pixels` pixels of `channels` channels, `step` bytes apart, lie within `src` bytes, and are at most 255.
#[inline(always)]
pub const fn sum_fits(src: usize, step: usize, pixels: usize, channels: usize) -> bool {
    pixels > 0 && pixels <= 255 && (pixels - 1).saturating_mul(step).saturating_add(channels) <= src
}

/// Pixels of half precision that are computed at a time. Their inputs are *lanes*: element `i` of pixel `p` is `x[LANES * i + p]`.
pub const LANES: usize = 4;

/// Elements that are widened into lanes.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Elements of each lane.
    pub len: usize,
    /// Elements from those of one lane to those of the next.
    pub step: usize,
    /// Lanes.
    pub count: usize,
}

impl Spread {
    /// Whether all lie within `from` elements, and their lanes within `x` numbers, the first of which is the first lane's.
    #[inline(always)]
    pub const fn fits(&self, from: usize, x: usize) -> bool {
        let &Self { len, step, count } = self;
        len >= 1
            && count >= 1
            && count <= LANES
            && from >= (count - 1).saturating_mul(step).saturating_add(len)
            && x >= (len - 1).saturating_mul(LANES).saturating_add(count)
    }
}

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
