//! How gradients change weights.

use serde::{Deserialize, Serialize};

use crate::graph::{GraphError, Params};
use crate::layers::Slot;

/// The optimizer's kind and constants. In a recipe: `optimizer = { sgd = { weight_decay = 1e-4 } }`.
///
/// Weight decay changes weights only, no biases and no batch normalization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent with Nesterov momentum.
    Sgd {
        /// Of the velocity, per step.
        #[serde(default = "momentum")]
        momentum: f32,
        /// Added to the gradient, times the weight.
        #[serde(default = "decay")]
        weight_decay: f32,
    },
    /// Adam with decoupled weight decay.
    Adamw {
        /// Decay of the mean gradient.
        #[serde(default = "momentum")]
        beta1: f32,
        /// Decay of the mean squared gradient.
        #[serde(default = "beta2")]
        beta2: f32,
        /// Taken from the weight per step, times the rate and the weight.
        #[serde(default = "decay")]
        weight_decay: f32,
    },
}

fn momentum() -> f32 {
    0.9
}

fn beta2() -> f32 {
    0.999
}

fn decay() -> f32 {
    5e-4
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::Sgd { momentum: momentum(), weight_decay: decay() }
    }
}

impl Optimizer {
    pub(super) fn fault(&self) -> Option<String> {
        let (factors, decay) = match *self {
            Optimizer::Sgd { momentum, weight_decay } => ([momentum, momentum], weight_decay),
            Optimizer::Adamw { beta1, beta2, weight_decay } => ([beta1, beta2], weight_decay),
        };
        let good = factors.iter().all(|f| (0.0..1.0).contains(f)) && decay.is_finite() && decay >= 0.0;
        (!good).then(|| "optimizer: momentum and betas must be in 0 to 1, weight_decay not negative".to_string())
    }
}

/// What an optimizer remembers of each array: velocity, or first and second moment.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    arrays: Vec<[Vec<f32>; 2]>,
    steps: i32,
}

/// Suffixes of the two remembered arrays in checkpoints.
const SUFFIXES: [&str; 2] = [".first", ".second"];

impl Memory {
    /// Changes all weights once.
    ///
    /// # Errors
    /// The name of the first array whose gradient is not finite; nothing changed after it.
    pub fn step<'a>(
        &mut self,
        optimizer: &Optimizer,
        slots: impl IntoIterator<Item = Slot<'a, f32>>,
        rate: f32,
    ) -> Result<(), String> {
        self.steps += 1;
        let steps = self.steps;
        for (index, slot) in slots.into_iter().filter(|slot| slot.spec.trainable).enumerate() {
            if !slot.gradient.iter().all(|g| g.is_finite()) {
                return Err(slot.spec.name.clone());
            }
            if self.arrays.len() <= index {
                self.arrays.push([vec![0.0; slot.weights.len()], Vec::new()]);
            }
            let [first, second] = &mut self.arrays[index];
            match *optimizer {
                Optimizer::Sgd { momentum, weight_decay } => sgd(slot, first, rate, momentum, weight_decay),
                Optimizer::Adamw { beta1, beta2, weight_decay } => {
                    second.resize(slot.weights.len(), 0.0);
                    // Both moments start at 0, and so are too small at first.
                    let scale = rate * (1.0 - beta2.powi(steps)).sqrt() / (1.0 - beta1.powi(steps));
                    let decay = if slot.spec.decays { rate * weight_decay } else { 0.0 };
                    for (((w, g), m), v) in slot.weights.iter_mut().zip(slot.gradient).zip(first).zip(second) {
                        *m += (1.0 - beta1) * (g - *m);
                        *v += (1.0 - beta2) * (g * g - *v);
                        *w -= decay * *w + scale * *m / (v.sqrt() + 1e-8);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what it remembers to a checkpoint.
    pub fn save<'a>(&self, slots: impl IntoIterator<Item = Slot<'a, f32>>, params: &mut Params) {
        for (slot, arrays) in slots.into_iter().filter(|slot| slot.spec.trainable).zip(&self.arrays) {
            for (array, suffix) in arrays.iter().zip(SUFFIXES).filter(|(array, _)| !array.is_empty()) {
                params.insert(format!("{}{suffix}", slot.spec.name), ndarray::arr1(array).into_dyn());
            }
        }
    }

    /// Restores what [`Memory::save`] wrote after `steps` steps.
    ///
    /// # Errors
    /// When an array is missing or has the wrong length.
    pub fn load<'a>(
        slots: impl IntoIterator<Item = Slot<'a, f32>>,
        params: &Params,
        steps: usize,
    ) -> Result<Self, GraphError> {
        let mut arrays = Vec::new();
        for slot in slots.into_iter().filter(|slot| slot.spec.trainable) {
            let array = |suffix: &str| {
                let name = format!("{}{suffix}", slot.spec.name);
                params.get(&name).map_or_else(Vec::new, |array| array.iter().copied().collect())
            };
            let [first, second]: [Vec<f32>; 2] = SUFFIXES.map(array);
            if first.len() != slot.weights.len() || !(second.is_empty() || second.len() == first.len()) {
                return Err(GraphError::MissingParam(format!("{}.first", slot.spec.name)));
            }
            arrays.push([first, second]);
        }
        Ok(Self { arrays, steps: steps as i32 })
    }
}

fn sgd(slot: Slot<'_, f32>, velocity: &mut [f32], rate: f32, momentum: f32, weight_decay: f32) {
    let decay = if slot.spec.decays { weight_decay } else { 0.0 };
    for ((w, g), v) in slot.weights.iter_mut().zip(slot.gradient).zip(velocity) {
        let g = g + decay * *w;
        *v = momentum * *v + g;
        *w -= rate * (g + momentum * *v);
    }
}
