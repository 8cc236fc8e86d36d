//! Weights of 4 bits, eight to a word: the first four in the lower halves of its bytes, the others in the upper halves. So a word
//! becomes two words of bytes by masks alone.

use super::pairs::{even, odd};

/// The bytes of a word's weights.
#[inline(always)]
const fn bytes(nibbles: u32) -> [u32; 2] {
    [extended(nibbles), extended(nibbles >> 4)]
}

/// The lower halves of the bytes, sign-extended: no difference of two of these bytes borrows from the next.
#[inline(always)]
const fn extended(nibbles: u32) -> u32 {
    ((nibbles & 0x0F0F_0F0F) ^ 0x8888_8888).wrapping_sub(0x0808_0808) ^ 0x8080_8080
}

/// Widens weights to bytes, as many as there is room for.
pub fn widen(nibbles: &[u32], to: &mut [u32]) {
    let (whole, rest) = to.as_chunks_mut::<2>();
    let count = whole.len();
    whole.iter_mut().zip(nibbles).for_each(|(to, &from)| *to = bytes(from));
    if let ([last], Some(&from)) = (rest, nibbles.get(count)) {
        [*last, _] = bytes(from);
    }
}

/// Widens weights to halves of words, as many as there is room for: of each four bytes the even ones, then the odd ones.
pub fn widen_pairs(nibbles: &[u32], to: &mut [u32]) {
    let (whole, rest) = to.as_chunks_mut::<4>();
    let count = whole.len();
    let pairs = |from: u32| {
        let [a, b] = bytes(from);
        [even(a), odd(a), even(b), odd(b)]
    };
    whole.iter_mut().zip(nibbles).for_each(|(to, &from)| *to = pairs(from));
    if let Some(&from) = nibbles.get(count) {
        rest.iter_mut().zip(pairs(from)).for_each(|(to, from)| *to = from);
    }
}

/// Packs weights, filled up with zeros to whole words; `None` when one takes more than 4 bits.
#[cfg(feature = "std")]
pub fn pack(weights: &[i8]) -> Option<Vec<u8>> {
    if !weights.iter().all(|weight| (-8..8).contains(weight)) {
        return None;
    }
    let byte = |eight: &[i8], i: usize| {
        let nibble = |at: usize| eight.get(at).map_or(0, |&weight| weight as u8 & 15);
        nibble(i) | nibble(i + 4) << 4
    };
    Some(weights.chunks(8).flat_map(|eight| [0, 1, 2, 3].map(|i| byte(eight, i))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::blocks::pairs::{high, low};

    #[test]
    fn every_weight_comes_back() {
        let all: Vec<i8> = (0..16).map(|i| (i * 7 % 16 - 8) as i8).chain([-8, 7, 3]).collect();
        let packed = pack(&all).unwrap();
        assert_eq!(packed.len(), 12);
        let words: Vec<u32> = packed.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        // All, and what there is room for.
        for len in 1..=5 {
            let mut to = vec![0; len];
            widen(&words, &mut to);
            let bytes: Vec<i8> = to.iter().flat_map(|word| word.to_le_bytes()).map(|byte| byte as i8).collect();
            assert_eq!(bytes[..all.len().min(4 * len)], all[..all.len().min(4 * len)], "{len} words");
            let mut to = vec![0; 2 * len];
            widen_pairs(&words, &mut to);
            let halves =
                to.as_chunks::<2>().0.iter().flat_map(|&[even, odd]| [low(even), low(odd), high(even), high(odd)]);
            assert!(halves.zip(&all).all(|(half, &weight)| half == i32::from(weight)), "{len} pairs");
        }
        assert_eq!(pack(&[8]), None);
        assert_eq!(pack(&[-9]), None);
    }
}
