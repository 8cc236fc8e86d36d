//! What an inference gives: scores, classes, probabilities.

use heapless::Vec;
use micromath::F32Ext;

use crate::float16::{self, f16};
use crate::format::PortKind;
use crate::input::Element;
use crate::internal::internal;
use crate::memory::View;
use crate::model::Model;
use crate::ports::Which;
use crate::sys::cast;
use crate::tensor::{DType, Tensor};
use crate::uses::{Dynamic, Linked};

/// An output of an inference, `H x W x C` elements: the model's first, through which [`get`](Output::get) gives the others. It lasts until
/// the session is used again.
#[derive(Clone, Copy, Debug)]
pub struct Output<'s, M: Linked = Dynamic> {
    model: &'s Model<'s, M>,
    view: View<'s>,
    /// Its place in the model's list.
    number: u32,
    tensor: Tensor,
    bytes: &'s [i8],
}

/// A class of an [`Output`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Prediction<'s> {
    /// The class: its index in the output.
    pub class: usize,
    /// What the model calls it, if it has labels.
    pub label: Option<&'s str>,
    /// The output element as a real number.
    pub score: f32,
    /// [`Output::probability`] of the class.
    pub probability: f32,
    /// Whether that reaches the least probability of an answer that the model's file has, 0 unless `kinglet export --unknown`
    /// has chosen one; below it the answer is "unknown".
    pub known: bool,
}

impl<'s, M: Linked> Output<'s, M> {
    pub(crate) fn new(model: &'s Model<'s, M>, view: View<'s>, number: u32) -> Self {
        let tensor = model.port_tensor(PortKind::Output, number);
        Self { model, view, number, tensor, bytes: view.read(tensor.region()) }
    }

    /// The output of a name, or of a place in the model's list, counted from 0.
    ///
    /// ```
    /// # use kinglet::{InferError, Pixels, Session};
    /// # fn demo(session: &mut Session<'_>, image: &[u8]) -> Result<(), InferError> {
    /// let output = session.infer(Pixels(image))?;
    /// let boxes = output.get("boxes").and_then(|boxes| boxes.elements::<i8>());
    /// # Ok(()) }
    /// ```
    pub fn get(&self, which: impl Which) -> Option<Self> {
        let mut outputs = self.model.outputs().enumerate();
        let (number, _) = outputs.find(|(number, port)| which.is(*number, port))?;
        Some(Self::new(self.model, self.view, number as u32))
    }

    /// All outputs, in the model's order.
    pub fn all(&self) -> impl Iterator<Item = Self> + use<'s, M> {
        let Self { model, view, .. } = *self;
        (0..model.output_count() as u32).map(move |number| Self::new(model, view, number))
    }

    /// Shape, element type and quantization.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The elements: `i8`, `i16` or [`f16`](crate::f16). `None` when the model's are of another type.
    pub fn elements<E: Element>(&self) -> Option<&'s [E]> {
        E::DTYPE.same(self.tensor.dtype).then(|| E::of(self.bytes))
    }

    /// The elements' bytes in the processor's order, whatever their type.
    pub fn bytes(&self) -> &'s [u8] {
        cast::as_u8(self.bytes)
    }

    /// The elements as real numbers.
    pub fn scores(&self) -> impl Iterator<Item = f32> + use<'s, M> {
        let Self { tensor, .. } = *self;
        self.ordinals().map(move |ordinal| real::<M>(&tensor, ordinal))
    }

    /// The class with the highest score, of equal ones the first; `None` when there are no elements.
    pub fn best(&self) -> Option<Prediction<'s>> {
        self.top_k::<1>().pop()
    }

    /// The `K` classes with the highest scores, best first, equal ones in their order; fewer when there are fewer.
    pub fn top_k<const K: usize>(&self) -> Vec<Prediction<'s>, K> {
        let prediction = self.prediction();
        let mut predictions = Vec::new();
        for of_class in highest::<K>(self.ordinals()) {
            // There are as many places as classes.
            let _ = predictions.push(prediction(of_class));
        }
        predictions
    }

    internal! {
        /// Every class, in the output's order.
        fn predictions(&self) -> impl Iterator<Item = Prediction<'s>> + use<'s, M> {
            self.ordinals().enumerate().map(self.prediction())
        }
    }

    /// The probability of `class`, to show to people: the output itself when a softmax writes it, else the softmax of
    /// its scores, divided by the temperature that the model's file has, with an approximate exponential, good to about a percent. `None` when there is no such class.
    pub fn probability(&self, class: usize) -> Option<f32> {
        let ordinal = self.ordinals().nth(class)?;
        Some(self.probabilities()(ordinal))
    }

    /// What the model calls class `class`, if it has labels and such a class; they are those of the first output.
    pub fn label(&self, class: usize) -> Option<&'s str> {
        if self.number == 0 { self.model.label(class) } else { None }
    }

    /// The elements as integers in the order of their numbers.
    fn ordinals(&self) -> impl Iterator<Item = i16> + use<'s, M> {
        let dtype = self.tensor.dtype;
        let halves = const { M::SET.dtypes.has(DType::F16.code()) } && dtype.same(DType::F16);
        self.bytes().chunks((dtype.size() as usize).max(1)).map(move |element| match *element {
            [low, high] if halves => float16::ordinal(f16::from_ne_bytes([low, high])) as i16,
            [low, high] => i16::from_ne_bytes([low, high]),
            [byte, ..] => (byte as i8).into(),
            [] => 0,
        })
    }

    /// From a class and its element to what there is to say of it.
    fn prediction(&self) -> impl Fn((usize, i16)) -> Prediction<'s> + use<'s, M> {
        let (output, probability, threshold) = (*self, self.probabilities(), self.model.about().threshold);
        move |(class, ordinal)| {
            let (score, probability) = (real::<M>(&output.tensor, ordinal), probability(ordinal));
            Prediction { class, label: output.label(class), score, probability, known: probability >= threshold }
        }
    }

    /// From an element to its probability.
    fn probabilities(&self) -> impl Fn(i16) -> f32 + use<M> {
        let tensor = self.tensor;
        let best = real::<M>(&tensor, self.ordinals().max().unwrap_or(0));
        let scale = self.model.about().temperature.recip();
        let exp = move |ordinal| F32Ext::exp((real::<M>(&tensor, ordinal) - best) * scale);
        let sum = (!self.model.gives_probabilities(self.number)).then(|| self.ordinals().map(exp).sum::<f32>());
        move |ordinal| match sum {
            Some(sum) => exp(ordinal) / sum,
            None => real::<M>(&tensor, ordinal),
        }
    }
}

/// The real number of an ordinal, without halves where no model has any.
fn real<M: Linked>(tensor: &Tensor, ordinal: i16) -> f32 {
    if const { M::SET.dtypes.has(DType::F16.code()) } {
        tensor.real(ordinal)
    } else {
        tensor.quant.dequantize(ordinal.into())
    }
}

/// The `K` highest scores with their classes, best first; equal scores in the order of their classes.
fn highest<const K: usize>(scores: impl Iterator<Item = i16>) -> Vec<(usize, i16), K> {
    let mut best: Vec<(usize, i16), K> = Vec::new();
    for mut candidate in scores.enumerate() {
        let (_, score) = candidate;
        // Those already kept stay in order: the candidate takes the first place it deserves, and pushes the rest down.
        for kept in best.iter_mut().skip_while(|(_, kept)| *kept >= score) {
            core::mem::swap(kept, &mut candidate);
        }
        // When all places are taken, what was pushed out is no longer among the best.
        let _ = best.push(candidate);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_stable_sort(scores in proptest::collection::vec(-4i16..4, 0..20)) {
            let mut sorted: std::vec::Vec<_> = scores.iter().copied().enumerate().collect();
            sorted.sort_by_key(|&(_, score)| core::cmp::Reverse(score));
            sorted.truncate(5);
            prop_assert_eq!(highest::<5>(scores.iter().copied()).to_vec(), sorted);
        }
    }
}
