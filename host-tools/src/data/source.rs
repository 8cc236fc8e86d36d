//! Where a recipe's images come from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::picture::Fit;
use super::{DataError, Dataset, cifar, idx, images};

/// A data set, as recipes name it: `data = "digits"` or `data = { images = { path = "photos.tar" } }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The embedded 8x8 digits.
    #[default]
    Digits,
    /// CIFAR-10's binary version.
    Cifar10 {
        /// The folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`.
        path: PathBuf,
    },
    /// The files of MNIST and Fashion-MNIST, gzipped or not.
    Idx {
        /// The folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and their `t10k-` twins.
        path: PathBuf,
        /// What the classes are called, in the order of their numbers; by their numbers when absent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        classes: Vec<String>,
    },
    /// PNG and JPEG files, one folder per class.
    Images(Images),
}

/// A folder or tar archive of images: `class/file.png`, or `train/class/file.png` and `test/class/file.png`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// The folder, or the `.tar` file.
    pub path: PathBuf,
    /// `[h, w]` that all images are resized to; the first image's when absent, and then all must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// How images of another form are resized.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fit: Fit,
    /// One channel instead of three.
    #[serde(default)]
    pub gray: bool,
    /// The classes to use, in this order; all, by name, when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Start of the random split, when there is no `train` and `test` folder.
    #[serde(default = "split_seed")]
    pub split_seed: u64,
    /// Holds out persons, not images, when there is no `train` and `test` folder: for photos whose numbers, in the names of
    /// their files, run through the classes person by person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persons: bool,
    /// Leaves out files that are broken, and counts them, instead of stopping.
    #[serde(default)]
    pub skip_bad: bool,
}

impl Images {
    /// All images of a folder or archive as they are.
    pub fn at(path: PathBuf) -> Self {
        let (classes, split_seed) = (Vec::new(), split_seed());
        Self {
            path,
            size: None,
            fit: Fit::default(),
            gray: false,
            classes,
            split_seed,
            persons: false,
            skip_bad: false,
        }
    }
}

fn is_default(fit: &Fit) -> bool {
    *fit == Fit::default()
}

fn split_seed() -> u64 {
    1
}

impl Source {
    /// What lies at `path`: batches of CIFAR-10, IDX files, or else images.
    pub fn at(path: &Path) -> Self {
        let holds = |file: &str| path.join(file).exists();
        let path = path.to_path_buf();
        if holds("data_batch_1.bin") {
            Source::Cifar10 { path }
        } else if holds("train-images-idx3-ubyte") || holds("train-images-idx3-ubyte.gz") {
            Source::Idx { path, classes: Vec::new() }
        } else {
            Source::Images(Images::at(path))
        }
    }

    /// Reads the images.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn load(&self) -> Result<Dataset, DataError> {
        match self {
            Source::Digits => Dataset::digits(),
            Source::Cifar10 { path } => cifar::load(path),
            Source::Idx { path, classes } => idx::load(path, classes),
            Source::Images(source) => images::load(source),
        }
    }

    /// The file or folder that it reads, if any.
    fn path(&mut self) -> Option<&mut PathBuf> {
        match self {
            Source::Digits => None,
            Source::Cifar10 { path } | Source::Idx { path, .. } | Source::Images(Images { path, .. }) => Some(path),
        }
    }

    /// Reads another file or folder of the same kind; in place of the embedded digits, whatever lies there.
    pub fn set_path(&mut self, to: &Path) {
        match self.path() {
            Some(path) => *path = to.to_path_buf(),
            None => *self = Self::at(to),
        }
    }

    /// Leaves only the last part of its path: on other machines the data lie elsewhere.
    pub fn forget_folder(&mut self) {
        if let Some(path) = self.path() {
            *path = path.file_name().map(PathBuf::from).unwrap_or_default();
        }
    }

    /// Whether persons are held out, and not images.
    pub fn has_persons(&self) -> bool {
        matches!(self, Source::Images(Images { persons: true, .. }))
    }

    /// Asks to leave out broken image files.
    pub fn skip_bad(&mut self) {
        if let Source::Images(source) = self {
            source.skip_bad = true;
        }
    }
}
