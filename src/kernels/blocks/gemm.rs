//! 2 pixels x 4 channels over K: the block of every convolution that is a matrix product.
//!
//! Inputs are `x[pair][2 pixels]`. Weights of 16 bits are `w[block][pair][4 channels]`; of 8 bits, `w[block][pair][2]`,
//! each word holding the pairs of two channels, bytes 0 and 2, and 1 and 3; paired ones, too, each half of a word being 256 times the
//! second channel's weight plus the first's, as in a fully connected layer ([`dense`](super::dense)).

use super::pairs::{bytes4, even, mad, odd, word};
use super::pieces::{every, pieces};
use super::requantize::with_record;
use crate::sys::shapes::{MAX_REST, Patch, Rows, Strip, block_start, outputs_fit, product_fits, proven, widened_fit};

/// Widens two patches, from the bytes `at` of `src` on, into `dst[pair][2]`.
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    if !proven(patch.fit_widened(dst.len(), src.len(), at)) {
        return;
    }
    let (stride, rows, len) = (patch.stride(), patch.rows(), patch.len());
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

/// Accumulators `[pixel][channel]` of one block of paired weights.
#[inline(always)]
fn block_paired(x: &[u32], w: &[u32]) -> Accumulators {
    let mut sums = [[0; 4]; 2];
    for (x, w) in x.as_chunks::<2>().0.iter().zip(w.as_chunks::<2>().0) {
        for (sums, &x) in sums.iter_mut().zip(x) {
            for ([both, first], &w) in sums.as_chunks_mut::<2>().0.iter_mut().zip(w) {
                (*both, *first) = (mad(*both, x, w), mad(*first, x, even(w)));
            }
        }
    }
    sums.map(apart)
}

/// The sums of four channels, from those of both channels of each pair and those of its first.
#[inline(always)]
pub(crate) const fn apart([ab, a, cd, c]: [i32; 4]) -> [i32; 4] {
    [a, ab.wrapping_sub(a) >> 8, c, cd.wrapping_sub(c) >> 8]
}

/// Requantizes four channels of two pixels, and stores those of each from its byte of `at` on.
#[inline(always)]
pub(crate) fn quantized(acc: Accumulators, records: &[u32; 16], out: &mut [i8], at: [usize; 2]) {
    for (acc, at) in acc.iter().zip(at) {
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
        quantized(block16(x, w), records, out, at);
    });
}

/// As [`gemm16`], with weights of 8 bits.
pub fn gemm8(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    requantized(x, w, 2, records, out, second, |x, w, records, out, at| {
        quantized(block8(x, w), records, out, at);
    });
}

/// As [`gemm16`], with paired weights.
pub fn gemm_paired(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    paired(x, x.len(), w, records, out, &Rows::pair(x.len(), second, records.len()));
}

/// `acc[block][pixel][channel]` = the product of `x` and `w`, a block per 8 words of `acc`.
pub fn gemm16_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    accumulated(x, w, 4, acc, block16);
}

/// As [`gemm16_acc`], with weights of 8 bits.
pub fn gemm8_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    accumulated(x, w, 2, acc, block8);
}

/// Widens weights of 8 bits to `slab[pair][4]`, of 16 bits.
pub fn widen(slab: &mut [u32], w: &[u32]) {
    if proven(widened_fit(w.len(), slab.len())) {
        for (slab, &[a, b]) in slab.as_chunks_mut::<4>().0.iter_mut().zip(w.as_chunks::<2>().0) {
            *slab = [even(a), odd(a), even(b), odd(b)];
        }
    }
}

/// `out[strip.next * i + strip.second * pixel + channel]` = the requantized product of pair `i` of pixels in `x` and `w`, the weights of
/// 16 bits of four channels.
pub fn gemm_strip(x: &[u32], w: &[u32], records: &[u32; 16], out: &mut [i8], strip: &Strip) {
    strip_by(x, w, records, out, strip, |x, w, records, out, at| {
        quantized(block16(x, w), records, out, at);
    });
}

/// [`gemm_strip`] by an instruction set's own `block`.
#[inline(always)]
pub(crate) fn strip_by(
    x: &[u32],
    w: &[u32],
    records: &[u32; 16],
    out: &mut [i8],
    strip: &Strip,
    block: impl Fn(&[u32], &[u32], &[u32; 16], &mut [i8], [usize; 2]),
) {
    if !proven(strip.fits(x.len(), w.len(), out.len())) {
        return;
    }
    for (i, x) in pieces(x, w.len() / 2).take(strip.pairs).enumerate() {
        let at = i.wrapping_mul(strip.next);
        block(x, w, records, out, [at, at.wrapping_add(strip.second)]);
    }
}

/// `out[rows.row * row + rows.pixel * pixel + channel]` = the requantized product of the pixels of `x` and `w`, the paired weights of all
/// channels, of which `slab` has room for four.
pub fn rows_paired(x: &[u32], slab: &mut [u32], w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
    paired(x, slab.len(), w, records, out, rows);
}

/// The same, of blocks of `words` words of weights.
#[inline(never)]
fn paired(x: &[u32], words: usize, w: &[u32], records: &[u32], out: &mut [i8], rows: &Rows) {
    rows_by(x, words, w, records, out, rows, |x, w, records, out, at| {
        quantized(block_paired(x, w), records, out, at);
    });
}

/// [`rows_paired`] or [`gemm_paired`] by an instruction set's own `block`, of blocks of `words` words of weights.
#[inline(always)]
pub(crate) fn rows_by(
    x: &[u32],
    words: usize,
    w: &[u32],
    records: &[u32],
    out: &mut [i8],
    rows: &Rows,
    block: impl Fn(&[u32], &[u32], &[u32; 16], &mut [i8], [usize; 2]),
) {
    if !proven(rows.fit(x.len(), words, w.len(), records.len(), out.len())) {
        return;
    }
    for (index, (records, w)) in
        records.as_chunks::<16>().0.iter().zip(pieces(w, words)).take(rows.blocks()).enumerate()
    {
        let channel = block_start(index, rows.channels);
        for (y, x) in every(x, rows.words).take(rows.rows).enumerate() {
            let mut left = rows.columns;
            let mut at = y.wrapping_mul(rows.row).wrapping_add(channel);
            for x in pieces(x, words).take(rows.columns.div_ceil(2)) {
                let second = if left > 1 { at.wrapping_add(rows.pixel) } else { at };
                block(x, w, records, out, [at, second]);
                (at, left) = (second.wrapping_add(rows.pixel), left.saturating_sub(2));
            }
        }
    }
}

/// [`gemm16`] or [`gemm8`] by an instruction set's own `block`, whose weights have `words` words to a pair: it gets the records of
/// four channels, and where the first of them goes for each pixel.
#[inline(always)]
pub(crate) fn requantized(
    x: &[u32],
    w: &[u32],
    words: usize,
    records: &[u32],
    out: &mut [i8],
    second: usize,
    block: impl Fn(&[u32], &[u32], &[u32; 16], &mut [i8], [usize; 2]),
) {
    let (records, _) = records.as_chunks::<16>();
    if !proven(product_fits(x.len(), w.len(), records.len(), words) && outputs_fit(records.len(), second, out.len())) {
        return;
    }
    let per_block = (x.len() / 2).wrapping_mul(words);
    for (index, (records, w)) in records.iter().zip(pieces(w, per_block)).enumerate() {
        let at = index.wrapping_mul(4);
        block(x, w, records, out, [at, at.wrapping_add(second)]);
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
    if !proven(product_fits(x.len(), w.len(), acc.len(), words)) {
        return;
    }
    let per_block = (x.len() / 2).wrapping_mul(words);
    for (acc, w) in acc.iter_mut().zip(pieces(w, per_block)) {
        acc.iter_mut().zip(block(x, w).as_flattened()).for_each(|(to, &from)| *to = from);
    }
}
