//! Dot products of slices of bytes, with weights as they are.

use super::pieces::every;
use crate::kernels::BLOCK;

#[inline]
fn product(x: i8, w: i8) -> i32 {
    i32::from(x) * i32::from(w)
}

/// The dot product of one patch with one channel's weights.
#[inline]
pub fn dot(patch: &[i8], weights: &[i8]) -> i32 {
    patch.iter().zip(weights).fold(0i32, |sum, (&x, &w)| sum.wrapping_add(product(x, w)))
}

/// Dot products of one patch with four channels' weights.
#[inline]
pub fn dot_1x4(patch: &[i8], [w0, w1, w2, w3]: [&[i8]; 4]) -> [i32; 4] {
    let [mut s0, mut s1, mut s2, mut s3] = [0i32; 4];
    for ((((&x, &w0), &w1), &w2), &w3) in patch.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        s0 = s0.wrapping_add(product(x, w0));
        s1 = s1.wrapping_add(product(x, w1));
        s2 = s2.wrapping_add(product(x, w2));
        s3 = s3.wrapping_add(product(x, w3));
    }
    [s0, s1, s2, s3]
}

#[inline]
fn dot_2x2([x, y]: [&[i8]; 2], [v, w]: [&[i8]; 2]) -> [[i32; 2]; 2] {
    let [mut xv, mut xw, mut yv, mut yw] = [0i32; 4];
    for (((&x, &y), &v), &w) in x.iter().zip(y).zip(v).zip(w) {
        xv = xv.wrapping_add(product(x, v));
        xw = xw.wrapping_add(product(x, w));
        yv = yv.wrapping_add(product(y, v));
        yw = yw.wrapping_add(product(y, w));
    }
    [[xv, xw], [yv, yw]]
}

/// Dot products of two patches with four channels' weights, `[patch][channel]`, in two blocks of 2 x 2: four sums and four values are what fits into the registers of a Cortex-M.
#[inline]
pub fn dot_2x4(patches: [&[i8]; 2], [w0, w1, w2, w3]: [&[i8]; 4]) -> [[i32; 4]; 2] {
    let [[a, b], [e, f]] = dot_2x2(patches, [w0, w1]);
    let [[c, d], [g, h]] = dot_2x2(patches, [w2, w3]);
    [[a, b, c, d], [e, f, g, h]]
}

/// `sums[c] = sum over taps t of patch[t * pitch + c] * weights[t * pitch + c]`, for at most [`BLOCK`] channels.
#[inline]
pub fn multiply_taps(patch: &[i8], weights: &[i8], pitch: usize, sums: &mut [i32]) {
    sums.fill(0);
    let taps = every(patch, pitch).zip(every(weights, pitch));
    if let Ok(sums) = <&mut [i32; BLOCK]>::try_from(&mut *sums) {
        for (patch, weights) in taps {
            if let (Some(patch), Some(weights)) = (patch.first_chunk::<BLOCK>(), weights.first_chunk::<BLOCK>()) {
                for ((sum, &x), &w) in sums.iter_mut().zip(patch).zip(weights) {
                    *sum = sum.wrapping_add(product(x, w));
                }
            }
        }
        return;
    }
    for (patch, weights) in taps {
        for ((sum, &x), &w) in sums.iter_mut().zip(patch).zip(weights) {
            *sum = sum.wrapping_add(product(x, w));
        }
    }
}
