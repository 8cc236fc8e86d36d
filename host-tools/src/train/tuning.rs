//! Quantization-aware training after the float training: what a recipe says of it.

use serde::{Deserialize, Serialize};

use super::{Recipe, Schedule};
use crate::deploy;
use crate::quantize::Calibration;

/// The part of a recipe's epochs that quantization-aware training takes, unless it says otherwise.
const EPOCHS: usize = 10;

/// The part of a recipe's highest rate that quantization-aware training takes, unless it says otherwise: enough to settle on
/// the integers, and too little to leave the optimum that the float training found.
const RATE: f64 = 200.0;

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
    /// The step between the weights of a channel follows them: it is the one with the least square error.
    pub bits: u32,
    /// How far a batch moves each range towards what was seen in it, 0 to 1.
    pub range_rate: f64,
    /// Gives up what was trained, and keeps the network before, if that gets more held-out images right once it is quantized.
    pub fallback: bool,
    /// How large the steps are; half a cosine down from a 200th of the recipe's highest rate when absent.
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
        let after = || Schedule::Cosine { peak: recipe.schedule.peak() / RATE, warm_up: 0.0 };
        self.schedule.clone().unwrap_or_else(after)
    }

    /// The same with nothing left out.
    pub(super) fn filled(&self, recipe: &Recipe) -> Self {
        let (epochs, schedule) = (Some(self.epochs(recipe)), Some(self.schedule(recipe)));
        Self { epochs, schedule, ..self.clone() }
    }

    /// What is wrong with its numbers, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        if self.epochs == Some(0) || self.calibration_images < 2 {
            return Some("qat: epochs must be at least 1 and calibration_images at least 2".to_string());
        }
        if !matches!(self.bits, 4 | 8) {
            return Some(format!("qat: bits are 4 or 8, not {}", self.bits));
        }
        if !(0.0..=1.0).contains(&self.range_rate) {
            return Some("qat: range_rate must be in 0 to 1".to_string());
        }
        self.schedule.as_ref().and_then(Schedule::fault).map(|fault| format!("qat: {fault}"))
    }
}
