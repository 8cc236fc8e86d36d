//! The run folder that a command starts from, opened: what `export`, `publish` and `quantize` have in common.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::quantization::{Dtype, Quantization};
use super::shipped;
use crate::data::{Dataset, Split};
use crate::deploy;
use crate::graph::{self, FloatModel};
use crate::train::{Recipe, RunFolder};

/// A trained network, and how it becomes int8.
#[derive(Debug, clap::Args)]
pub struct Trained {
    /// The run folder that `kinglet train` wrote, or a model that comes with Kinglet, like cifar10-resnet8: its weights, and the recipe
    /// that names its data.
    #[arg(value_parser = shipped::run)]
    run: PathBuf,
    /// The images, if they lie elsewhere than the recipe says.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Held-in images to choose ranges by.
    #[arg(long, default_value_t = deploy::CALIBRATION_IMAGES)]
    calibration_images: usize,
    /// Leave out broken image files, instead of stopping at the first one.
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    quantization: Quantization,
}

/// What is in the folder, and its images.
pub struct Opened {
    pub folder: RunFolder,
    pub recipe: Recipe,
    pub model: FloatModel,
    pub data: Dataset,
    pub quantization: deploy::Options,
}

impl Trained {
    /// The folder, as it was given.
    pub fn folder(&self) -> &Path {
        &self.run
    }

    /// The options of quantization that were given, as they are written.
    pub fn quantization_words(&self) -> Vec<String> {
        let images = self.calibration_images;
        let given = (images != deploy::CALIBRATION_IMAGES).then(|| format!("--calibration-images {images}"));
        given.into_iter().chain(self.quantization.words()).collect()
    }

    /// Reads the weights alone.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn weights(&self) -> Result<(RunFolder, FloatModel)> {
        let folder = RunFolder::new(&self.run);
        let model = graph::load(&folder.file("weights.safetensors"))?;
        Ok((folder, model))
    }

    /// The images that judged the epochs: neither trained on nor held out; of `read`, if all have been read.
    ///
    /// # Errors
    /// When the recipe kept none; names the file that is wrong.
    pub fn judging(&self, read: Option<Opened>) -> Result<Split> {
        let (recipe, data) = match read {
            Some(Opened { recipe, data, .. }) => (recipe, data),
            None => self.images()?,
        };
        let percent = recipe.validation.with_context(|| {
            format!(
                "`{}`: this run kept no images to judge by: train with `validation = 10` in the recipe",
                self.run.display()
            )
        })?;
        Ok(data.for_validation(percent, recipe.seed).test)
    }

    /// The recipe, with the options that change it, and its images.
    fn images(&self) -> Result<(Recipe, Dataset)> {
        let mut recipe = RunFolder::new(&self.run).recipe()?;
        if let Some(path) = &self.data {
            recipe.data.set_path(path);
        }
        if self.skip_bad {
            recipe.data.skip_bad();
        }
        let data = super::load(&recipe.data)?;
        Ok((recipe, data))
    }

    /// Reads recipe, weights and images, for a network of type `dtype`.
    ///
    /// # Errors
    /// Names the file or the option that is wrong.
    pub fn open(&self, dtype: Dtype) -> Result<Opened> {
        let quantize = self.quantization.options(dtype)?;
        let (folder, model) = self.weights()?;
        let (recipe, data) = self.images()?;
        let quantization = deploy::Options { images: self.calibration_images, quantize };
        Ok(Opened { folder, recipe, model, data, quantization })
    }
}
