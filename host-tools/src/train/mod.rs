//! Training: from a recipe to weights.
//!
//! Random numbers depend on seed, epoch and image only, and batches are always cut and summed alike: the same recipe
//! gives the same weights, bit for bit, on one machine with any number of threads.

mod augment;
mod backdrop;
mod camera;
mod curves;
mod distill;
mod engine;
mod error;
mod errors;
mod history;
mod manual;
mod optimizer;
mod preview;
mod progress;
mod pytorch;
mod recipe;
mod run;
mod schedule;
mod start;
mod trainer;
mod tuning;

pub use augment::Augment;
pub use backdrop::subject;
pub use distill::Distill;
pub use error::TrainError;
pub use history::{Epoch, kept};
pub use manual::{document, manual};
pub use optimizer::{Memory, Optimizer};
pub use preview::{preview, sheet};
pub use progress::bar;
pub use pytorch::pytorch;
pub use recipe::Recipe;
pub use run::{RunFolder, recipe_from};
pub use schedule::Schedule;
pub use start::Start;
pub use trainer::{Trainer, accuracy, predictions};
pub use tuning::Qat;

use crate::graph::{FloatModel, Graph, Params};

/// What happens during a training.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Begins.
    Start {
        /// All epochs.
        epochs: usize,
        /// Images of one.
        images: usize,
        /// Epochs that were trained before, when a run is resumed.
        done: usize,
    },
    /// A batch is done.
    Step {
        /// Its images.
        images: usize,
        /// Its mean loss.
        loss: f64,
    },
    /// An epoch is done.
    Epoch(&'a Epoch),
    /// All is done.
    End,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The graph, with labels and preprocessing, without parallel branches.
    pub graph: Graph,
    /// Weights and running statistics.
    pub params: Params,
    /// One entry per epoch.
    pub history: Vec<Epoch>,
    /// The recipe, with what was left to be measured filled in.
    pub recipe: Recipe,
    /// The epochs in float before quantization-aware training, if there was some.
    pub float_epochs: Option<usize>,
    /// What quantization-aware training had to be better than, if there was some.
    pub untuned: Option<Untuned>,
}

/// A network just before quantization-aware training, quantized.
#[derive(Clone, Debug, PartialEq)]
pub struct Untuned {
    /// Its weights and running statistics.
    pub params: Params,
    /// Its held-out accuracy in int8, 0 to 1.
    pub accuracy: f64,
    /// Whether it is the result: quantization-aware training lost against it.
    pub is_kept: bool,
}

impl Trained {
    /// Held-out accuracy, 0 to 1: after the last epoch, or with patience the best one; in int8 if there was quantization-aware training.
    pub fn accuracy(&self) -> f64 {
        match &self.untuned {
            Some(untuned) if untuned.is_kept => untuned.accuracy,
            // In integers there is no patience.
            _ => {
                let patience = self.recipe.patience.filter(|_| self.float_epochs.is_none());
                history::kept(&self.history, patience).map_or(0.0, |epoch| epoch.test_accuracy)
            }
        }
    }

    /// Held-out accuracy in float before quantization-aware training, 0 to 1; `None` when there was none.
    pub fn float_accuracy(&self) -> Option<f64> {
        let float = self.history.get(..self.float_epochs?)?;
        history::kept(float, self.recipe.patience).map(|epoch| epoch.test_accuracy)
    }

    /// Network and numbers, ready to be saved.
    pub fn model(&self) -> FloatModel {
        FloatModel { recipe: self.recipe.network.merged(), graph: self.graph.clone(), params: self.params.clone() }
    }
}

/// Trains as the recipe says, on the data that it names.
///
/// # Errors
/// When the recipe or its data are wrong, or the training diverges.
pub fn run(recipe: &Recipe, progress: impl FnMut(Event<'_>)) -> Result<Trained, TrainError> {
    let data = recipe.data.load()?;
    let data = recipe.seen(&data);
    let mut trainer = Trainer::new(recipe, &data)?;
    trainer.train(None, progress)?;
    Ok(trainer.finish())
}

#[cfg(test)]
mod tests;
