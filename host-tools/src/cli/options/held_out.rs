//! The images that a command tries a model on.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use kinglet::Model;

use super::shipped;
use crate::data::{Source, Split};
use crate::graph::{self, FloatModel};
use crate::train::RunFolder;

/// Which images: those held out of a data set.
#[derive(Debug, clap::Args)]
pub struct HeldOut {
    /// The images, of which those held out are run: a folder or .tar of images, or a folder of CIFAR-10's batches or IDX files; what
    /// the recipe of `--run` says, or else the embedded digits, unless given.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The run folder that the model was exported from, or the name of a model that comes with Kinglet: its recipe says how the images
    /// are read, which classes there are, and which images were held out.
    #[arg(long, value_name = "RUN", value_parser = shipped::run)]
    run: Option<PathBuf>,
    /// At most so many images, evenly spaced.
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Leave out broken image files, instead of stopping at the first one.
    #[arg(long)]
    skip_bad: bool,
}

impl HeldOut {
    /// Whether images are named.
    pub fn is_given(&self) -> bool {
        self.data.is_some() || self.run.is_some()
    }

    /// Reads images of the model's size, with as many classes as it has outputs.
    ///
    /// # Errors
    /// Names the file that is wrong, or what the model takes.
    pub fn read(&self, model: &Model<'_>) -> Result<Split> {
        let shape = model.input().shape;
        let mut source = match &self.run {
            Some(run) => {
                let mut source = RunFolder::new(run).recipe()?.data;
                if let Some(path) = &self.data {
                    source.set_path(path);
                }
                source
            }
            None => {
                let mut source = self.data.as_deref().map_or(Source::Digits, Source::at);
                if let Source::Images(images) = &mut source {
                    (images.size, images.gray) = (Some([shape.h, shape.w]), shape.c == 1);
                }
                source
            }
        };
        if self.skip_bad {
            source.skip_bad();
        }
        let data = super::load(&source)?;
        let wanted = [shape.h, shape.w, shape.c].map(|extent| extent as usize);
        let found = data.image_shape();
        ensure!(found == wanted, "{}: images of {found:?}, {} takes {wanted:?}", data.name, model.name());
        let (classes, outputs) = (data.classes.len(), model.output().shape.len() as usize);
        ensure!(classes == outputs, "{}: {classes} classes, {} has {outputs} outputs", data.name, model.name());
        ensure!(!data.test.is_empty(), "{} holds no images out", data.name);
        Ok(data.test.select(&data.test.spaced(self.images.unwrap_or(usize::MAX))))
    }

    /// The network of `--run`, if that was given.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn float(&self) -> Result<Option<FloatModel>> {
        self.run.as_ref().map(|run| Ok(graph::load(&RunFolder::new(run).file("weights.safetensors"))?)).transpose()
    }
}
