//! Blocks over rows of bytes.

use super::halves::bytes4;
use super::requantize::saturate;

/// One element of [`add_linear`].
#[inline(always)]
pub const fn linear(a: i8, b: i8, constants: &[i32; 3]) -> i8 {
    let [factor_a, factor_b, offset] = *constants;
    saturate(offset.wrapping_add(over_256(factor_a, a)).wrapping_add(over_256(factor_b, b)) >> 20)
}

/// `factor * x / 256`, rounded down: in two parts, that each fit 32 bits.
#[inline(always)]
const fn over_256(factor: i32, x: i8) -> i32 {
    let x = x as i32;
    (factor >> 8).wrapping_mul(x).wrapping_add(((factor & 255).wrapping_mul(x)) >> 8)
}

/// `a = saturate((A * a / 256 + B * b / 256 + G) >> 20)`, each quotient rounded down: the residual add wherever
/// constants exist that make this right for all 65,536 pairs. Works on the shorter of the two lengths.
pub fn add_linear(a: &mut [i8], b: &[i8], constants: &[i32; 3]) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = linear(*a, b, constants);
    }
}

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

/// Whether `pixels` pixels of `channels` channels, `step` bytes apart, lie within `src` bytes, and are at most 255.
pub const fn sum_fits(src: usize, step: usize, pixels: usize, channels: usize) -> bool {
    pixels > 0 && pixels <= 255 && (pixels - 1).saturating_mul(step).saturating_add(channels) <= src
}

/// Adds `pixels` pixels (1..=255) of four channels, `step` bytes apart, to `acc`.
pub fn sum4(src: &[i8], step: usize, pixels: usize, acc: &mut [i32; 4]) {
    if !sum_fits(src.len(), step, pixels, 4) {
        return;
    }
    for pixel in 0..pixels {
        let bytes = bytes4(src, pixel.wrapping_mul(step)).unwrap_or_default();
        acc.iter_mut().zip(bytes).for_each(|(acc, v)| *acc = acc.wrapping_add(i32::from(v)));
    }
}

/// Copies as much as both slices hold. LLVM makes a `memcpy` of it, and needs no proof of equal lengths.
pub fn copy(to: &mut [i8], from: &[i8]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// Moves the bytes from `from` on to the front.
pub fn move_down(bytes: &mut [i8], from: usize) {
    if from <= bytes.len() {
        bytes.copy_within(from.., 0);
    }
}
