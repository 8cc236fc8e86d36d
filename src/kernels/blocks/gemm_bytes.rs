//! 2 pixels x 4 channels over K in bytes: for cores with vector products of bytes (Helium), and hosts.
//!
//! A patch is its bytes row by row, filled up to a multiple of [`STEP`]; the two patches of a pair follow each other. Weights
//! are `w[block][step][4 channels][16 bytes]`, zero in what was filled up, so that it does not matter what lies there.

use super::elementwise::copy;
use super::gemm::{Accumulators, quantized};
use super::pieces::pieces;
use crate::sys::cast;
use crate::sys::shapes::{Patch, byte_product_fits, outputs_fit, proven};

/// Bytes of a patch that are multiplied at a time.
pub const STEP: usize = 16;

/// Bytes of a patch of `rows` rows of `len` bytes.
pub const fn patch_bytes(rows: usize, len: usize) -> usize {
    rows.saturating_mul(len).saturating_add(STEP - 1) / STEP * STEP
}

/// Copies two patches, from the bytes `at` of `src` on, into the halves of `dst`.
pub fn patch(dst: &mut [u32], src: &[i8], at: [usize; 2], patch: &Patch) {
    if !proven(patch.fit_copied(dst.len(), src.len(), at)) {
        return;
    }
    let dst = cast::words_as_i8_mut(dst);
    let (half, len) = (dst.len() / 2, patch.len());
    for (at, to) in at.into_iter().zip([0, half]) {
        for row in 0..patch.rows() {
            let from = src.get(at.wrapping_add(row.wrapping_mul(patch.stride()))..).unwrap_or_default();
            let to = to.wrapping_add(row.wrapping_mul(len));
            copy(dst.get_mut(to..to.wrapping_add(len)).unwrap_or_default(), from);
        }
    }
}

/// Accumulators `[pixel][channel]` of one block.
#[inline(always)]
fn block(x: &[i8], w: &[i8]) -> Accumulators {
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
    if !proven(byte_product_fits(x.len(), w.len(), records.len()) && outputs_fit(records.len(), second, out.len())) {
        return;
    }
    let weights = pieces(w, x.len().wrapping_mul(2));
    for (index, (records, w)) in records.iter().zip(weights).enumerate() {
        let at = index.wrapping_mul(4);
        let acc = block(cast::words_as_i8(x), cast::words_as_i8(w));
        quantized(acc, records, out, [at, at.wrapping_add(second)]);
    }
}

/// `acc[block][pixel][channel]` = the product of `x` and `w`, a block per 8 words of `acc`.
pub fn gemm_acc(x: &[u32], w: &[u32], acc: &mut [i32]) {
    let (acc, _) = acc.as_chunks_mut::<8>();
    if !proven(byte_product_fits(x.len(), w.len(), acc.len())) {
        return;
    }
    for (acc, w) in acc.iter_mut().zip(pieces(w, x.len().wrapping_mul(2))) {
        let sums = block(cast::words_as_i8(x), cast::words_as_i8(w));
        acc.iter_mut().zip(sums.as_flattened()).for_each(|(to, &from)| *to = from);
    }
}
