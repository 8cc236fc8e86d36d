//! A network and its training in TOML.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::augment::Augment;
use super::distill::Distill;
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::start::Start;
use super::tuning::Qat;
use crate::data::{Dataset, Source};
use crate::graph::{NetworkRecipe, Preprocess};

/// So that the images of all epochs can be counted.
const MAX_EPOCHS: usize = 1_000_000;

/// Everything that decides what comes out of training, on one machine to the bit.
///
/// ```
/// let recipe: kinglet_tools::train::Recipe = toml::from_str(r#"
///     epochs = 20
///     network = { zoo = "digits-resnet" }
///     data = "digits"
///     schedule = { cosine = { peak = 0.05, warm_up = 0.1 } }
/// "#).unwrap();
/// assert_eq!((recipe.batch, recipe.seed), (32, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images of one step.
    #[serde(default = "batch")]
    pub batch: usize,
    /// Start of all random numbers.
    #[serde(default = "seed")]
    pub seed: u64,
    /// Probability that each label gives away to all classes alike.
    #[serde(default)]
    pub label_smoothing: f32,
    /// Weight of each class in the loss; all 1 when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f32>,
    /// Decay per step of the running average of the weights, which then is the result; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f32>,
    /// Percent of each class of the training images that are kept from training, to judge each epoch by; the held-out images are
    /// what judges when absent, and are seen at the end alone when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// Stops after so many epochs without a better accuracy, and keeps the weights of the best one; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// The network.
    pub network: NetworkRecipe,
    /// The images.
    pub data: Source,
    /// Mean and deviation of the pixels; measured on the training images when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preprocess>,
    /// How gradients change weights.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How large the steps are.
    #[serde(default)]
    pub schedule: Schedule,
    /// How training images are varied.
    #[serde(default)]
    pub augment: Augment,
    /// Quantization-aware training after all epochs; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qat: Option<Qat>,
    /// A network to learn from; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<Distill>,
    /// A trained network to start from; random weights when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

fn batch() -> usize {
    32
}

fn seed() -> u64 {
    1
}

impl Recipe {
    /// The recipe for a network of the zoo: tuned for the embedded digits, a sound start for the others.
    pub fn for_network(name: &str) -> Self {
        let digits = name.starts_with("digits-");
        let augment = if digits {
            Augment { shift: 0.6, rotate: 8.0, scale: 0.08, ..Augment::default() }
        } else {
            Augment { crop: 4, flip: true, ..Augment::default() }
        };
        Self {
            epochs: if digits { 30 } else { 36 },
            batch: if digits { 32 } else { 128 },
            seed: seed(),
            label_smoothing: 0.0,
            class_weights: Vec::new(),
            average: None,
            validation: None,
            patience: None,
            network: NetworkRecipe::zoo(name),
            data: Source::Digits,
            preprocess: None,
            optimizer: Optimizer::default(),
            schedule: Schedule::Cosine { peak: if digits { 0.05 } else { 0.1 }, warm_up: 0.1 },
            augment,
            qat: None,
            distill: None,
            start: None,
        }
    }

    /// What training sees of the data: [`Recipe::validation`] in the place of the images that are held out.
    #[must_use]
    pub fn seen<'d>(&self, data: &'d Dataset) -> Cow<'d, Dataset> {
        match self.validation {
            Some(percent) => Cow::Owned(data.for_validation(percent, self.seed)),
            None => Cow::Borrowed(data),
        }
    }

    /// What is wrong with its numbers, if anything.
    pub(super) fn fault(&self, classes: usize) -> Option<String> {
        let fraction = |value: f32| (0.0..1.0).contains(&value);
        if !(1..=MAX_EPOCHS).contains(&self.epochs) || self.batch < 2 {
            return Some(format!("epochs must be 1 to {MAX_EPOCHS} and batch at least 2"));
        }
        if !fraction(self.label_smoothing) || !self.average.is_none_or(fraction) {
            return Some("label_smoothing and average must be in 0 to 1".to_string());
        }
        if self.validation.is_some_and(|percent| !(1..=90).contains(&percent)) {
            return Some("validation must be 1 to 90 percent".to_string());
        }
        let weights = &self.class_weights;
        if !weights.is_empty() && (weights.len() != classes || weights.iter().any(|w| !(w.is_finite() && *w > 0.0))) {
            return Some(format!("class_weights must be {classes} positive numbers"));
        }
        let qat = || self.qat.as_ref().and_then(Qat::fault);
        let distill = || self.distill.as_ref().and_then(Distill::fault);
        let augment = || self.augment.fault();
        self.schedule.fault().or_else(|| self.optimizer.fault()).or_else(augment).or_else(qat).or_else(distill)
    }
}
