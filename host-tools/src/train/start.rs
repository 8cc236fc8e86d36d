//! Starting from a network that was trained on other images.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::graph::{self, FloatModel, Params};

/// A trained network to start from. In a recipe: `[start]`, or `start = { run = "models/cifar10-resnet8", freeze = 2 }`.
///
/// Layers of the same name and size take its weights; the others, as the classifier of other classes, start anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Its run folder, or a folder of `models/`.
    pub run: PathBuf,
    /// So many of the network's first blocks keep their weights; their running statistics follow the new images.
    #[serde(default)]
    pub freeze: usize,
}

impl Start {
    /// From a run folder, with nothing frozen.
    pub fn from(run: &Path) -> Self {
        Self { run: run.to_path_buf(), freeze: 0 }
    }

    /// Reads the network.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub(super) fn load(&self) -> Result<FloatModel, TrainError> {
        Ok(graph::load(&self.run.join("weights.safetensors"))?)
    }

    /// The parameters of the blocks that keep their weights.
    pub(super) fn frozen(&self, params: &Params) -> Params {
        let block = |name: &str| name.strip_prefix('b')?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        let mut frozen = Params::default();
        let kept = params.iter().filter(|(name, _)| block(name).is_some_and(|block: usize| block <= self.freeze));
        kept.for_each(|(name, array)| frozen.insert(name, array.clone()));
        frozen
    }
}
