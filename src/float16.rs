//! IEEE 754 half precision: to single precision and back, and the order of all halves.

pub use ::half::f16;

use crate::sys;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_in_the_order_of_the_numbers() {
        let every = (0..=u16::MAX).step_by(if cfg!(miri) { 251 } else { 1 });
        let all: Vec<f16> = every.map(f16::from_bits).filter(|x| x.is_finite()).collect();
        for &x in &all {
            assert!((-LARGEST..=LARGEST).contains(&ordinal(x)));
            assert_eq!(from_ordinal(ordinal(x)), x);
        }
        let mut sorted = all.clone();
        sorted.sort_by_key(|&x| ordinal(x));
        assert!(sorted.is_sorted());
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
