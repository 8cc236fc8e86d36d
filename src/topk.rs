//! The best classes of an output, found on integers; only what is shown is dequantized.

use heapless::Vec;
use micromath::F32Ext;

use crate::kernels::Backend;
use crate::kernels::float16::{self, f16};
use crate::ops::OpKind;
use crate::session::Session;
use crate::tensor::DType;
use crate::uses::Linked;

/// A class and its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Prediction {
    /// The class: its index in the output.
    pub class: usize,
    /// The output element, of halves its ordinal; [`Tensor::real`](crate::Tensor::real) makes it a real number.
    pub score: i16,
}

/// The `K` highest of `scores`, best first; equal scores in the order of their classes. Fewer when there are fewer.
///
/// ```
/// let best = kinglet::top_k::<2>(&[3, -7, 90, 3]);
/// assert_eq!((best[0].class, best[1].class), (2, 0));
/// ```
pub fn top_k<const K: usize>(scores: &[i8]) -> Vec<Prediction, K> {
    best_of(scores.iter().map(|&score| score.into()))
}

fn best_of<const K: usize>(scores: impl Iterator<Item = i16>) -> Vec<Prediction, K> {
    let mut best: Vec<Prediction, K> = Vec::new();
    for (class, score) in scores.enumerate() {
        let mut candidate = Prediction { class, score };
        // Those already kept stay in order: the candidate takes the first place it deserves, and pushes the rest down.
        for kept in best.iter_mut().skip_while(|kept| kept.score >= score) {
            core::mem::swap(kept, &mut candidate);
        }
        // When all places are taken, what was pushed out is no longer among the best.
        let _ = best.push(candidate);
    }
    best
}

impl<B: Backend, L: Linked> Session<'_, B, L> {
    /// The `K` best classes of the last inference, best first.
    pub fn top_k<const K: usize>(&self) -> Vec<Prediction, K> {
        best_of(self.scores())
    }

    /// The output's elements, of whichever integer type; the ordinals of halves.
    fn scores(&self) -> impl Iterator<Item = i16> {
        let dtype = self.model().output().dtype;
        let halves = const { L::SET.dtypes.has(DType::F16.code()) } && dtype.same(DType::F16);
        let size = dtype.size() as usize;
        self.output_bytes().chunks(size.max(1)).map(move |element| match *element {
            [low, high] if halves => float16::ordinal(f16::from_ne_bytes([low, high])) as i16,
            [low, high] => i16::from_ne_bytes([low, high]),
            [byte, ..] => (byte as i8).into(),
            [] => 0,
        })
    }

    /// The probability of `class`, to show to people: the output itself when the model ends in a softmax, else the
    /// softmax of its outputs with an approximate exponential, good to about a percent.
    pub fn probability(&self, class: usize) -> f32 {
        let output = self.model().output();
        let halves = const { L::SET.dtypes.has(DType::F16.code()) } && output.dtype.same(DType::F16);
        let Some(score) = self.scores().nth(class) else {
            return 0.0;
        };
        let steps = self.model().step_count();
        let ends_in_softmax = steps.checked_sub(1).and_then(|last| self.model().step(last)).map(|step| step.kind());
        if matches!(ends_in_softmax, Some(OpKind::Softmax | OpKind::SoftmaxInt16 | OpKind::SoftmaxFloat16)) {
            return if halves { output.real(score) } else { output.quant.dequantize(score.into()) };
        }
        let above = |other: i16| match halves {
            true => output.real(other) - output.real(score),
            false => (f32::from(other) - f32::from(score)) * output.quant.scale,
        };
        let exp = |other: i16| F32Ext::exp(above(other));
        1.0 / self.scores().map(exp).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_stable_sort(scores in proptest::collection::vec(-4i8..4, 0..20)) {
            let mut sorted: std::vec::Vec<_> = scores.iter().copied().enumerate().collect();
            sorted.sort_by_key(|&(_, score)| core::cmp::Reverse(score));
            let best = top_k::<5>(&scores);
            prop_assert_eq!(best.len(), scores.len().min(5));
            for (found, (class, score)) in best.iter().zip(sorted) {
                prop_assert_eq!((found.class, found.score), (class, score.into()));
            }
        }
    }
}
