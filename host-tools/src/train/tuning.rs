//! Quantization-aware training after the float training: what a recipe says of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Recipe, Schedule};
use crate::deploy;
use crate::quantize::{Calibration, QuantizeError};

/// The part of a recipe's epochs that quantization-aware training takes, unless it says otherwise.
const EPOCHS: usize = 10;

/// The part of a recipe's highest rate that quantization-aware training takes, unless it says otherwise: enough to settle on
/// the integers, and too little to leave the optimum that the float training found.
const RATE: f64 = 200.0;

/// The same with weights of 4 bits, which are so far from the float ones that another optimum has to be found.
const RATE_OF_NIBBLES: f64 = 8.0;

/// Fine-tuning in the exported model's integers ([`qat`](crate::qat)) after the recipe's epochs. In a recipe: `[qat]`, or
/// `qat = { epochs = 5 }`; all of it may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Qat {
    /// Passes over the training images; a tenth of the recipe's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// How the ranges are chosen that it starts from.
    pub calibrate: Calibration,
    /// Held-in images to choose them by, at most.
    pub calibration_images: usize,
    /// Bits of weights: 8, or 4 for all layers with weights but the first and the last, which are small and whose rounding costs most.
    /// The steps between their weights are trained with them, one for each output channel. `layer_bits = { logits = 4 }` says it of
    /// single layers, by the names that `kinglet quantize` lists.
    pub bits: u32,
    /// Bits of the weights of single layers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_bits: BTreeMap<String, u32>,
    /// How far a batch moves each range towards what was seen in it, 0 to 1.
    pub range_rate: f64,
    /// Gives up what was trained, and keeps the network before, if that gets more held-out images right once it is quantized.
    pub fallback: bool,
    /// How large the steps are; half a cosine down from a 200th of the recipe's highest rate when absent, with weights of 4 bits from an
    /// 8th, which a teacher divides by its temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Default for Qat {
    fn default() -> Self {
        Self {
            epochs: None,
            calibrate: Calibration::default(),
            calibration_images: deploy::CALIBRATION_IMAGES,
            bits: 8,
            layer_bits: BTreeMap::new(),
            range_rate: 0.01,
            fallback: true,
            schedule: None,
        }
    }
}

impl Qat {
    /// Passes over the training images, after `recipe`'s.
    pub fn epochs(&self, recipe: &Recipe) -> usize {
        self.epochs.unwrap_or_else(|| recipe.epochs.div_ceil(EPOCHS))
    }

    /// The learning rates, after `recipe`'s.
    pub fn schedule(&self, recipe: &Recipe) -> Schedule {
        // What a teacher says weighs as many times as much: no batch normalization follows its gradients any more, and weights that are
        // rounded so far would run away.
        let taught = recipe.distill.as_ref().map_or(1.0, |distill| distill.temperature.max(1.0));
        let part = if self.all_bits().any(|bits| bits == 4) { RATE_OF_NIBBLES * taught } else { RATE };
        let after = || Schedule::Cosine { peak: recipe.schedule.peak() / part, warm_up: 0.0 };
        self.schedule.clone().unwrap_or_else(after)
    }

    /// The same with nothing left out.
    pub(super) fn filled(&self, recipe: &Recipe) -> Self {
        let (epochs, schedule) = (Some(self.epochs(recipe)), Some(self.schedule(recipe)));
        Self { epochs, schedule, ..self.clone() }
    }

    /// Every number of bits that is said.
    fn all_bits(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.bits).chain(self.layer_bits.values().copied())
    }

    /// Of `layers` with weights, in their order, those whose weights have 4 bits.
    ///
    /// # Errors
    /// Names the layer that there is not.
    pub(super) fn nibbles<'l>(&self, layers: &[&'l str]) -> Result<Vec<&'l str>, QuantizeError> {
        if let Some(name) = self.layer_bits.keys().find(|name| !layers.contains(&name.as_str())) {
            return Err(QuantizeError::UnknownLayer { name: name.clone(), names: layers.join(", ") });
        }
        let ends = [layers.first(), layers.last()];
        let inner = |layer: &&str| if ends.contains(&Some(layer)) { 8 } else { self.bits };
        let of = |layer: &&'l str| self.layer_bits.get(*layer).copied().unwrap_or_else(|| inner(layer));
        Ok(layers.iter().filter(|layer| of(layer) == 4).copied().collect())
    }

    /// What is wrong with its numbers, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        if self.epochs == Some(0) || self.calibration_images < 2 {
            return Some("qat: epochs must be at least 1 and calibration_images at least 2".to_string());
        }
        if let Some(bits) = self.all_bits().find(|bits| !matches!(bits, 4 | 8)) {
            return Some(format!("qat: bits are 4 or 8, not {bits}"));
        }
        if !(0.0..=1.0).contains(&self.range_rate) {
            return Some("qat: range_rate must be in 0 to 1".to_string());
        }
        self.schedule.as_ref().and_then(Schedule::fault).map(|fault| format!("qat: {fault}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Distill;

    #[test]
    fn a_teacher_slows_the_training_of_four_bits() {
        let mut recipe = Recipe::for_network("resnet8");
        let peak =
            |recipe: &Recipe, bits| recipe.schedule.peak() / Qat { bits, ..Qat::default() }.schedule(recipe).peak();
        assert_eq!([4, 8].map(|bits| peak(&recipe, bits).round()), [8.0, 200.0]);
        recipe.distill = Some(Distill::from("teacher".as_ref()));
        assert_eq!([4, 8].map(|bits| peak(&recipe, bits).round()), [32.0, 200.0]);
    }
}
