//! Blocks over rows of bytes.

use super::pairs::bytes4;
use super::pieces::every;
use crate::sys::shapes::{proven, sum_fits};

/// `out = max(a, b, c)`, on the shortest of the four lengths.
pub fn max3(out: &mut [i8], a: &[i8], b: &[i8], c: &[i8]) {
    for (out, ((&a, &b), &c)) in out.iter_mut().zip(a.iter().zip(b).zip(c)) {
        *out = a.max(b).max(c);
    }
}

/// `acc = max(acc, a, b)`, on the shortest of the three lengths.
pub fn max_into(acc: &mut [i8], a: &[i8], b: &[i8]) {
    for (acc, (&a, &b)) in acc.iter_mut().zip(a.iter().zip(b)) {
        *acc = a.max(b).max(*acc);
    }
}

/// Clamps to `low..=high`; the upper bound wins.
pub fn clamp(data: &mut [i8], low: i8, high: i8) {
    data.iter_mut().for_each(|v| *v = (*v).max(low).min(high));
}

/// Adds `pixels` pixels (1..=255) of four channels, `step` bytes apart, to `acc`.
pub fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
    if !proven(sum_fits(src.len(), step, pixels, 4)) {
        return;
    }
    for pixel in 0..pixels {
        let bytes = bytes4(src, pixel.wrapping_mul(step)).unwrap_or_default();
        acc.iter_mut().zip(bytes).for_each(|(acc, v)| *acc = acc.wrapping_add(i32::from(v)));
    }
}

/// The same of sixteen channels.
pub fn sum16(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 16]) {
    if !proven(sum_fits(src.len(), step, pixels, 16)) {
        return;
    }
    for pixel in every(src, step).take(pixels) {
        acc.iter_mut().zip(pixel).for_each(|(acc, &v)| *acc = acc.wrapping_add(i32::from(v)));
    }
}

/// Copies as much as both slices hold. LLVM makes a `memcpy` of it, and needs no proof of equal lengths.
pub fn copy(to: &mut [i8], from: &[i8]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// Moves the bytes from `from` on to the front.
pub fn move_down(bytes: &mut [i8], from: usize) {
    if proven(from <= bytes.len()) {
        bytes.copy_within(from.., 0);
    }
}
