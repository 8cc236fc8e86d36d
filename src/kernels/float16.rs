//! IEEE 754 halves: to single precision and back, their order, and products of them.
//!
//! Everything that is computed of halves is computed in single precision and in a fixed order, each operation rounded by itself,
//! so that every processor gives the same bits, with a floating-point unit or without one.

pub use half::f16;

use crate::quant::Clamp;
use crate::sys;
use crate::tensor::DType;

/// The ordinal of the greatest finite half, 65504; that of the least is its negative.
pub const LARGEST: i32 = f16::MAX.to_bits() as i32;

/// The place of a half in the order of all: 0 for both zeros, 1 for the least number above, -1 for the greatest below, and so on.
///
/// ```
/// use kinglet::{f16, kernels::float16::ordinal};
/// assert!(ordinal(f16::from_f32(-2.0)) < ordinal(f16::from_f32(0.1)));
/// ```
#[inline]
pub const fn ordinal(x: f16) -> i32 {
    let bits = x.to_bits() as i32;
    if bits < 0x8000 { bits } else { 0x8000 - bits }
}

/// The half of an ordinal; there is no negative zero among them.
#[inline]
pub const fn from_ordinal(ordinal: i32) -> f16 {
    let bits = if ordinal < 0 { 0x8000i32.wrapping_sub(ordinal) } else { ordinal };
    f16::from_bits(bits as u16)
}

/// The same number in single precision.
#[inline]
pub fn widen(x: f16) -> f32 {
    sys::half::widen(x)
}

/// The nearest half, of two the even one; infinite from 65520 on.
#[inline]
pub fn narrow(x: f32) -> f16 {
    sys::half::narrow(x)
}

/// The range of an operator's output, in numbers: what rounds its results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The least.
    pub low: f32,
    /// The greatest.
    pub high: f32,
}

impl Bounds {
    /// All finite halves.
    pub const FULL: Self = Self::of(Clamp::full(DType::F16));

    /// Those of a clamp, which has ordinals.
    pub const fn of(clamp: Clamp) -> Self {
        Self { low: from_ordinal(clamp.min).to_f32_const(), high: from_ordinal(clamp.max).to_f32_const() }
    }

    /// The nearest half within the bounds; zero is positive.
    #[inline]
    pub fn half(&self, x: f32) -> f16 {
        let x = if x < self.low {
            self.low
        } else if x > self.high {
            self.high
        } else {
            x
        };
        let half = narrow(x);
        if half.to_bits() == f16::NEG_ZERO.to_bits() { f16::ZERO } else { half }
    }
}

/// Whether all halves in `bytes`, little-endian, are finite.
pub(crate) const fn are_finite(bytes: &[i8]) -> bool {
    let mut rest = bytes;
    while let [_, high, tail @ ..] = rest {
        if *high & 0x7c == 0x7c {
            return false;
        }
        rest = tail;
    }
    true
}

/// Whether `bytes` are finite biases, little-endian numbers in single precision, of so many channels, with zeros to the next
/// multiple of 12.
pub(crate) const fn are_biases(bytes: &[u8], channels: u32) -> bool {
    let (mut rest, mut index) = (bytes, 0);
    while let [a, b, c, d, tail @ ..] = rest {
        let bits = u32::from_le_bytes([*a, *b, *c, *d]);
        if !f32::from_bits(bits).is_finite() || (index >= channels && bits != 0) {
            return false;
        }
        (rest, index) = (tail, index + 1);
    }
    index == channels.next_multiple_of(3)
}

/// The products of a patch with four channels' weights, added to `sums` one element after the other.
#[inline]
pub(crate) fn dot_1x4(patch: &[f16], [w0, w1, w2, w3]: [&[f16]; 4], sums: &mut [f32; 4]) {
    let [mut s0, mut s1, mut s2, mut s3] = *sums;
    for ((((&x, &w0), &w1), &w2), &w3) in patch.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        let x = widen(x);
        s0 += x * widen(w0);
        s1 += x * widen(w1);
        s2 += x * widen(w2);
        s3 += x * widen(w3);
    }
    *sums = [s0, s1, s2, s3];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_in_the_order_of_the_numbers() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).collect();
        for &x in &all {
            assert!((-LARGEST..=LARGEST).contains(&ordinal(x)));
            assert_eq!(from_ordinal(ordinal(x)), x);
        }
        let mut sorted = all.clone();
        sorted.sort_by_key(|&x| ordinal(x));
        assert!(sorted.is_sorted());
    }

    #[test]
    fn what_is_too_large_is_clamped_to_the_largest() {
        for (x, expected) in
            [(65519.0, 65504.0), (65520.0, 65504.0), (f32::MAX, 65504.0), (-1e9, -65504.0), (-0.0, 0.0)]
        {
            let found = Bounds::FULL.half(x);
            assert_eq!(found.to_f32().to_bits(), f32::to_bits(expected), "{x}");
        }
    }

    #[test]
    fn biases_are_as_many_as_channels_and_finite() {
        let bytes = |list: &[f32]| list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        assert!(are_biases(&bytes(&[1.0, -2.0, 0.0]), 2));
        assert!(are_biases(&bytes(&[1.0, -2.0, 3.0]), 3));
        for (list, channels) in
            [(vec![1.0, -2.0, 3.0], 2), (vec![1.0, f32::NAN, 0.0], 2), (vec![1.0, 2.0], 2), (vec![0.0; 6], 3)]
        {
            assert!(!are_biases(&bytes(&list), channels), "{list:?}");
        }
        let infinite = f16::INFINITY.to_le_bytes().map(|byte| byte as i8);
        assert!(are_finite(&[-1, 0x7b, 0, 0]) && !are_finite(&[0, 0, infinite[0], infinite[1]]));
    }
}
