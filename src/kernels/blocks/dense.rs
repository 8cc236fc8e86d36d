//! A fully connected layer with the weights of two units in each half of a word, `256 * second + first`. Products with the halves are those of
//! both units, products with their lower bytes those of the first, and what is left are 256 times those of the second: so half of the
//! weights need no widening.
//!
//! Packed: for eight units and four inputs eight words, two for units 0 and 1, two for 2 and 3 and so on, of inputs 0 and 2, and of 1 and 3.

use super::pairs::{even, mad, odd, word};
use super::pieces::pieces;
use crate::quant::{Channel, OutputStage};
use crate::sys::shapes::{paired_fit, proven};

/// All units, by eights.
pub fn dense_pairs(x: &[i8], w: &[u32], channels: &[[u8; Channel::BYTES]], stage: &OutputStage, out: &mut [i8]) {
    if !proven(paired_fit(x.len(), w.len(), channels.len(), out.len())) {
        return;
    }
    let blocks = out.as_chunks_mut::<8>().0.iter_mut().zip(channels.as_chunks::<8>().0);
    for ((out, channels), w) in blocks.zip(pieces(w, x.len().wrapping_mul(2))) {
        let mut sums = [[0i32; 2]; 4];
        for (&x, w) in x.as_chunks::<4>().0.iter().zip(w.as_chunks::<8>().0) {
            let x = [even(word(x)), odd(word(x))];
            for ([both, first], w) in sums.iter_mut().zip(w.as_chunks::<2>().0) {
                for (&x, &w) in x.iter().zip(w) {
                    (*both, *first) = (mad(*both, x, w), mad(*first, x, even(w)));
                }
            }
        }
        let sums = sums.map(|[both, first]| [first, both.wrapping_sub(first) >> 8]);
        for ((out, &sum), entry) in out.iter_mut().zip(sums.as_flattened()).zip(channels) {
            *out = stage.apply(sum, Channel::from_bytes(entry));
        }
    }
}

/// Whether 256 times every sum of products with these weights is a word, whatever the inputs.
#[cfg(feature = "std")]
pub fn sums_fit(weights: &[i8]) -> bool {
    weights.iter().map(|&weight| u32::from(weight.unsigned_abs())).sum::<u32>() < 1 << 16
}

/// The weights of two units in a half of a word, if it holds them.
#[cfg(feature = "std")]
pub fn together([first, second]: [i8; 2]) -> Option<i16> {
    i16::try_from(256 * i32::from(second) + i32::from(first)).ok()
}

/// Packs weights `[unit][input]`; `None` when there are no whole blocks, and when a half or a sum might not hold what it is to.
#[cfg(feature = "std")]
pub fn pack(weights: &[i8], inputs: usize) -> Option<Vec<u8>> {
    let whole = inputs > 0 && inputs.is_multiple_of(4) && weights.len().is_multiple_of(8 * inputs);
    if !whole || weights.is_empty() || !weights.chunks(inputs).all(sums_fit) {
        return None;
    }
    let half = |unit: usize, input: usize| together([unit, unit + 1].map(|unit| weights[unit * inputs + input]));
    let mut packed = Vec::with_capacity(weights.len());
    for (block, input) in
        (0..weights.len() / inputs).step_by(8).flat_map(|block| (0..inputs).step_by(4).map(move |input| (block, input)))
    {
        for (unit, at) in (0..8).step_by(2).flat_map(|unit| [0, 2, 1, 3].map(|at| (unit, at))) {
            packed.extend(half(block + unit, input + at)?.to_le_bytes());
        }
    }
    Some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_halves_or_sums_do_not_hold_is_not_packed() {
        let with = |unit: usize, weight: i8| {
            let mut weights = vec![0; 8 * 4];
            weights[4 * unit] = weight;
            weights[4 * unit - 4] = -1;
            pack(&weights, 4)
        };
        assert!(with(1, -127).is_some() && with(2, -128).is_some());
        assert_eq!(with(1, -128), None);
        assert!(pack(&[127; 8 * 516], 516).is_some());
        assert_eq!(pack(&[127; 8 * 520], 520), None);
        for (len, inputs) in [(0, 4), (24, 3), (16, 4), (48, 0)] {
            assert_eq!(pack(&vec![1; len], inputs), None);
        }
    }
}
