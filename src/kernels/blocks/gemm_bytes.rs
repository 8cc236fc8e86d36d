//! 2 pixels x 4 channels over K in bytes: for cores with vector products of bytes (Helium), and hosts.
//!
//! A patch is its bytes row by row, filled up to a multiple of [`STEP`]; the two patches of a pair follow each other. Weights
//! are `w[block][step][4 channels][16 bytes]`, zero in what was filled up, so that it does not matter what lies there.

use super::elementwise::copy;
use super::pieces::pieces;
use super::requantize::with_record;
use crate::sys::cast;

/// Bytes of a patch that are multiplied at a time.
pub const STEP: usize = 16;

/// Bytes of a patch of `rows` rows of `len` bytes.
pub const fn patch_bytes(rows: usize, len: usize) -> usize {
    rows.saturating_mul(len).saturating_add(STEP - 1) / STEP * STEP
}

/// Whether [`patch`] can read both patches and write them, each into half of `dst` bytes.
pub fn patch_fits(dst: usize, src: usize, at: [usize; 2], stride: usize, rows: usize, len: usize) -> bool {
    let reach = rows.saturating_sub(1).saturating_mul(stride).saturating_add(len);
    rows > 0
        && len > 0
        && rows.saturating_mul(len) <= dst / 2
        && at[0].saturating_add(reach) <= src
        && at[1].saturating_add(reach) <= src
}

/// Copies two patches of `rows` rows of `len` bytes, at `first` and `second` of `src`, `stride` bytes from row to row, into
/// the halves of `dst`.
pub fn patch(dst: &mut [u32], src: &[i8], first: usize, second: usize, stride: usize, rows: usize, len: usize) {
    let dst = cast::words_as_i8_mut(dst);
    if !patch_fits(dst.len(), src.len(), [first, second], stride, rows, len) {
        return;
    }
    let half = dst.len() / 2;
    for (at, to) in [(first, 0), (second, half)] {
        for row in 0..rows {
            let from = src.get(at.wrapping_add(row.wrapping_mul(stride))..).unwrap_or_default();
            let to = to.wrapping_add(row.wrapping_mul(len));
            copy(dst.get_mut(to..to.wrapping_add(len)).unwrap_or_default(), from);
        }
    }
}

/// Whether weights for `blocks` blocks of channels fit two patches in `x` words; also that the loops may run from 1.
pub const fn fits(x: usize, w: usize, blocks: usize) -> bool {
    x >= 8 && x.is_multiple_of(8) && blocks > 0 && x.saturating_mul(2).saturating_mul(blocks) <= w
}

/// Accumulators `[pixel][channel]` of one block.
#[inline(always)]
fn block(x: &[i8], w: &[i8]) -> [[i32; 4]; 2] {
    let (first, second) = x.split_at_checked(x.len() / 2).unwrap_or_default();
    let (first, second) = (first.as_chunks::<STEP>().0, second.as_chunks::<STEP>().0);
    let mut acc = [[0i32; 4]; 2];
    for ((w, first), second) in w.as_chunks::<STEP>().0.as_chunks::<4>().0.iter().zip(first).zip(second) {
        for (channel, w) in w.iter().enumerate() {
            for (acc, x) in acc.iter_mut().zip([first, second]) {
                let dot = x.iter().zip(w).fold(0i32, |sum, (&x, &w)| sum.wrapping_add(i32::from(x) * i32::from(w)));
                acc.iter_mut().skip(channel).take(1).for_each(|acc| *acc = acc.wrapping_add(dot));
            }
        }
    }
    acc
}

/// `out[second * pixel + 4 * block + channel]` = the requantized product of `x` and `w`, a block per 16 words of
/// `records`. `second` may be 0 when both pixels are the same.
pub fn gemm(x: &[u32], w: &[u32], records: &[u32], out: &mut [i8], second: usize) {
    let (records, _) = records.as_chunks::<16>();
    if !fits(x.len(), w.len(), records.len()) || !super::gemm::fits_out(records.len(), second, out.len()) {
        return;
    }
    let weights = pieces(w, x.len().wrapping_mul(2));
    for (index, (records, w)) in records.iter().zip(weights).enumerate() {
        let acc = block(cast::words_as_i8(x), cast::words_as_i8(w));
        let at = index.wrapping_mul(4);
        for (acc, at) in acc.iter().zip([at, at.wrapping_add(second)]) {
            let out = out.get_mut(at..).unwrap_or_default();
            for ((&acc, record), out) in acc.iter().zip(records.as_chunks::<4>().0).zip(out) {
                *out = with_record(acc, record);
            }
        }
    }
}

/// `acc[block][pixel][channel]` = the product of `x` and `w`, a block per 8 words of `acc`.
pub fn gemm_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    let (acc, _) = acc.as_chunks_mut::<8>();
    if !fits(x.len(), w.len(), acc.len()) {
        return;
    }
    for (acc, w) in acc.iter_mut().zip(pieces(w, x.len().wrapping_mul(2))) {
        let sums = block(cast::words_as_i8(x), cast::words_as_i8(w));
        acc.iter_mut().zip(sums.as_flattened()).for_each(|(to, &from)| *to = from);
    }
}
