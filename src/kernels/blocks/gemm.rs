//! 2 pixels x 4 channels over K: the block of every convolution that is a matrix product.
//!
//! Inputs are `x[pair][2 pixels]`. Weights of 16 bits are `w[block][pair][4 channels]`; of 8 bits, `w[block][pair][2]`,
//! each word holding the pairs of two channels, bytes 0 and 2, and 1 and 3.

use super::halves::{bytes4, even, mad, odd, word};
use super::pieces::pieces;
use super::requantize::with_record;

/// Most bytes that are left over when the rows of a patch are cut into words, together.
pub const MAX_REST: usize = 60;

/// Pairs of a patch of `rows` rows of `len` bytes: whole words row by row, then the rest bytes of all rows together,
/// filled up with zeros to a word.
pub const fn patch_pairs(rows: usize, len: usize) -> usize {
    (rows.saturating_mul(len / 4)).saturating_add(rows.saturating_mul(len % 4).div_ceil(4)).saturating_mul(2)
}

/// The rows of a patch, the same for all pixels of a row; with what they need of the slices, which is asked before every patch.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    stride: usize,
    rows: usize,
    len: usize,
    /// Bytes from the first to the last.
    reach: usize,
    /// Words of two widened patches.
    words: usize,
}

impl Rows {
    /// `rows` rows of `len` bytes, `stride` bytes from one to the next. Patches of nothing, or with more than [`MAX_REST`] rest
    /// bytes, fit nowhere.
    pub const fn new(rows: usize, len: usize, stride: usize) -> Self {
        let reach = rows.saturating_sub(1).saturating_mul(stride).saturating_add(len);
        let good = rows > 0 && len > 0 && rows.saturating_mul(len % 4) <= MAX_REST;
        let words = if good { patch_pairs(rows, len).saturating_mul(2) } else { usize::MAX };
        Self { stride, rows, len, reach, words }
    }

    /// Bytes from one row to the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// How many rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of a row.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether [`patch`] can read two patches from `at` on, of `src` bytes, and write all of their pairs into `dst` words.
    #[inline(always)]
    pub const fn fit(&self, dst: usize, src: usize, at: [usize; 2]) -> bool {
        self.words <= dst && at[0].saturating_add(self.reach) <= src && at[1].saturating_add(self.reach) <= src
    }
}

/// Widens two patches, from the bytes `at` of `src` on, into `dst[pair][2]`.
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], shape: &Rows) {
    if !shape.fit(dst.len(), src.len(), at) {
        return;
    }
    let &Rows { stride, rows, len, .. } = shape;
    for (pixel, at) in at.into_iter().enumerate() {
        let mut rest = [0i8; MAX_REST + 4];
        let mut left = rest.iter_mut();
        let mut pairs = dst.iter_mut().skip(pixel).step_by(2);
        let mut put = |bytes: [i8; 4]| {
            for (value, to) in [even(word(bytes)), odd(word(bytes))].into_iter().zip(pairs.by_ref()) {
                *to = value;
            }
        };
        for row in 0..rows {
            let start = at.wrapping_add(row.wrapping_mul(stride));
            let bytes = src.get(start..start.wrapping_add(len)).unwrap_or_default();
            let (words, tail) = bytes.as_chunks::<4>();
            words.iter().for_each(|&bytes| put(bytes));
            tail.iter().zip(left.by_ref()).for_each(|(&from, to)| *to = from);
        }
        let count = rows.wrapping_mul(len % 4).div_ceil(4);
        (0..count).for_each(|i| put(bytes4(&rest, i.wrapping_mul(4)).unwrap_or_default()));
    }
}

/// Whether weights, inputs and outputs of a product fit together; also that the blocks may loop from 1.
pub const fn fits(x: usize, w: usize, blocks: usize, words_per_pair: usize) -> bool {
    let pairs = x / 2;
    pairs >= 2
        && pairs.is_multiple_of(2)
        && blocks > 0
        // A slice's length in bytes fits a usize, so up to 8 times half of its words does.
        && pairs.wrapping_mul(words_per_pair).saturating_mul(blocks) <= w
}

/// Whether `blocks` blocks of 4 channels of two pixels fit into `out` bytes.
pub const fn fits_out(blocks: usize, second: usize, out: usize) -> bool {
    // Blocks are counted in records of 64 bytes, of which slices hold fewer than a quarter of all numbers.
    blocks.wrapping_mul(4).saturating_add(second) <= out
}

/// Accumulators `[pixel][channel]` of two patches and the weights of one block.
pub(crate) type Accumulators = [[i32; 4]; 2];

/// Accumulators `[pixel][channel]` of one block of weights of 16 bits.
#[inline(always)]
pub(super) fn block16(x: &[u32], w: &[u32]) -> Accumulators {
    let mut acc = [[0; 4]; 2];
    for (x, w) in x.as_chunks::<2>().0.iter().zip(w.as_chunks::<4>().0) {
        for (acc, &x) in acc.iter_mut().zip(x) {
            for (acc, &w) in acc.iter_mut().zip(w) {
                *acc = mad(*acc, x, w);
            }
        }
    }
    acc
}

/// Accumulators `[pixel][channel]` of one block of weights of 8 bits.
#[inline(always)]
fn block8(x: &[u32], w: &[u32]) -> Accumulators {
    let mut acc = [[0; 4]; 2];
    for (x, &[a, b]) in x.as_chunks::<2>().0.iter().zip(w.as_chunks::<2>().0) {
        let w = [even(a), odd(a), even(b), odd(b)];
        for (acc, &x) in acc.iter_mut().zip(x) {
            for (acc, w) in acc.iter_mut().zip(w) {
                *acc = mad(*acc, x, w);
            }
        }
    }
    acc
}

/// Requantizes four channels of two pixels, and stores them from `at` on, and `second` further.
#[inline(always)]
pub(crate) fn quantized(acc: Accumulators, records: &[u32; 16], out: &mut [i8], at: usize, second: usize) {
    for (acc, at) in acc.iter().zip([at, at.wrapping_add(second)]) {
        let out = out.get_mut(at..).unwrap_or_default();
        for ((&acc, record), out) in acc.iter().zip(records.as_chunks::<4>().0).zip(out) {
            *out = with_record(acc, record);
        }
    }
}

/// `out[second * pixel + 4 * block + channel]` = the requantized product of `x` and `w`, a block per 16 words of
/// `records`. `second` may be 0 when both pixels are the same.
pub fn gemm16(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    requantized(x, w, 4, records, out, second, |x, w, records, out, at| {
        quantized(block16(x, w), records, out, at, second);
    });
}

/// As [`gemm16`], with weights of 8 bits.
pub fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    requantized(x, w, 2, records, out, second, |x, w, records, out, at| {
        quantized(block8(x, w), records, out, at, second);
    });
}

/// `acc[block][pixel][channel]` = the product of `x` and `w`, a block per 8 words of `acc`.
pub fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    accumulated(x, w, 4, acc, block16);
}

/// As [`gemm16_acc`], with weights of 8 bits.
pub fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    accumulated(x, w, 2, acc, block8);
}

/// [`gemm16`] or [`gemm8`] by an instruction set's own `block`, whose weights have `words` words to a pair: it gets the records of
/// four channels, and where the first of them goes.
#[inline(always)]
pub(crate) fn requantized(
    x: &[u32],
    w: &[u32],
    words: usize,
    records: &[u32],
    out: &mut [i8],
    second: usize,
    block: impl Fn(&[u32], &[u32], &[u32; 16], &mut [i8], usize),
) {
    let (records, _) = records.as_chunks::<16>();
    if !fits(x.len(), w.len(), records.len(), words) || !fits_out(records.len(), second, out.len()) {
        return;
    }
    let per_block = (x.len() / 2).wrapping_mul(words);
    for (index, (records, w)) in records.iter().zip(pieces(w, per_block)).enumerate() {
        block(x, w, records, out, index.wrapping_mul(4));
    }
}

/// The same for [`gemm16_acc`] and [`gemm8_acc`].
#[inline(always)]
pub(crate) fn accumulated(
    x: &[u32],
    w: &[u32],
    words: usize,
    acc: &mut [i32],
    block: impl Fn(&[u32], &[u32]) -> Accumulators,
) {
    let (acc, _) = acc.as_chunks_mut::<8>();
    if !fits(x.len(), w.len(), acc.len(), words) {
        return;
    }
    let per_block = (x.len() / 2).wrapping_mul(words);
    for (acc, w) in acc.iter_mut().zip(pieces(w, per_block)) {
        acc.iter_mut().zip(block(x, w).as_flattened()).for_each(|(to, &from)| *to = from);
    }
}
