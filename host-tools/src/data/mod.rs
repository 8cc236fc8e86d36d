//! Labelled u8 images in memory, and where they come from.

mod cifar;
mod digits;
mod idx;
mod images;
pub mod picture;
mod source;
mod split;

use std::fs::File;
use std::path::Path;

use ndarray::{Array4, Axis};
use thiserror::Error;

use crate::files;

pub use source::{Images, Source};
pub use split::{TEST_PERCENT, split_by_class};

/// Images that belong together, N x H x W x C, with the index of each one's class.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Pixels, N x H x W x C.
    pub images: Array4<u8>,
    /// Class index of each image.
    pub labels: Vec<u8>,
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of one image, H x W x C.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.images.len() / self.len();
        &self.images.as_slice().expect("data sets are kept in standard layout")[index * len..][..len]
    }

    /// The indices of at most `count` images, evenly spaced: folders come class by class.
    pub fn spaced(&self, count: usize) -> Vec<usize> {
        let count = count.min(self.len());
        (0..count).map(|i| i * self.len() / count).collect()
    }

    /// The images of these indices, in this order.
    ///
    /// # Panics
    /// When an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Self {
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self { images: self.images.select(Axis(0), indices), labels }
    }
}

/// A data set: images to train on, images held out, class names.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Where it comes from, for model cards.
    pub name: String,
    /// Images to train on.
    pub train: Split,
    /// Images held out.
    pub test: Split,
    /// Class names, in the order of the labels.
    pub classes: Vec<String>,
    /// Broken files that were left out: which, and what is wrong with each.
    pub skipped: Vec<String>,
}

impl Dataset {
    /// `[h, w, c]` of its images.
    pub fn image_shape(&self) -> [usize; 3] {
        let (_, h, w, c) = self.train.images.dim();
        [h, w, c]
    }

    /// The same with `percent` percent of each class of the training images in the place of those held out: what a training is
    /// judged by while it goes on, so that those held out stay unseen.
    #[must_use]
    pub fn for_validation(&self, percent: usize, seed: u64) -> Self {
        let (train, test) = split::split_part(&self.train, self.classes.len(), seed, percent);
        Self { train, test, ..self.clone() }
    }

    /// A number that changes when a pixel or a label does.
    pub fn fingerprint(&self) -> u64 {
        files::fnv1a([&self.train, &self.test].into_iter().flat_map(|s| s.images.iter().chain(&s.labels)).copied())
    }

    /// The embedded data set: 1,797 handwritten digits of 8x8 pixels (UCI optical digits), a fifth of each class held
    /// out. Always the same split.
    ///
    /// # Errors
    /// Never, unless the embedded data are not what they were built from.
    pub fn digits() -> Result<Self, DataError> {
        digits::load()
    }
}

/// Data that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The data set contradicts itself.
    #[error("{name}: {reason}")]
    Broken {
        /// The data set or file.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl DataError {
    fn broken(path: &Path, reason: String) -> Self {
        DataError::Broken { name: format!("`{}`", path.display()), reason }
    }
}

/// The bytes of a file.
fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    files::read(path).map_err(|e| DataError::broken(path, format!("{:#}", e.root_cause())))
}

/// A file, to be read piece by piece.
fn open_file(path: &Path) -> Result<File, DataError> {
    files::open(path).map_err(|e| DataError::broken(path, format!("{:#}", e.root_cause())))
}
