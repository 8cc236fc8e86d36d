//! What can stop a training.

use std::path::PathBuf;

use thiserror::Error;

use crate::data::DataError;
use crate::graph::GraphError;
use crate::layers::InferError;
use crate::quantize::QuantizeError;

/// A training that cannot start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network or its parameters.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The measurement of accuracy.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// What quantization-aware training starts from.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The recipe's numbers.
    #[error("recipe: {0}")]
    Recipe(String),
    /// Numbers became infinite or NaN.
    #[error("diverged at `{layer}` in epoch {epoch}, step {step}: numbers are not finite; {}", good(checkpoint.as_ref()))]
    Diverged {
        /// The first node with such values, or the parameter with such a gradient.
        layer: String,
        /// Epoch, from 1 on.
        epoch: usize,
        /// Step within the epoch, from 1 on.
        step: usize,
        /// The last checkpoint that was written.
        checkpoint: Option<PathBuf>,
    },
    /// A file of the run folder.
    #[error("`{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

fn good(checkpoint: Option<&PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("the last good checkpoint is `{}`", path.display()),
        None => "try a lower learning rate".to_string(),
    }
}
