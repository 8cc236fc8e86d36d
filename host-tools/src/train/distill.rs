//! Learning from a larger network that was trained before.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::data::Dataset;
use crate::graph;
use crate::layers::{Mode, Net, Taught};

/// A teacher and how much it counts. In a recipe: `[distill]`, or `distill = { teacher = "runs/large" }`.
///
/// It sees each batch as the network does, varied, and its outputs are part of what the network's should be: also in
/// quantization-aware training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distill {
    /// Its run folder, or a folder of `models/`.
    pub teacher: PathBuf,
    /// What logits are divided by: the higher, the more the lesser classes tell.
    #[serde(default = "temperature")]
    pub temperature: f64,
    /// The part of the loss, 0 to 1, that is the teacher's; the rest is the labels'.
    #[serde(default = "weight")]
    pub weight: f64,
}

fn temperature() -> f64 {
    4.0
}

fn weight() -> f64 {
    0.9
}

impl Distill {
    /// A teacher that counts as much as most do.
    pub fn from(teacher: &Path) -> Self {
        Self { teacher: teacher.to_path_buf(), temperature: temperature(), weight: weight() }
    }

    /// Leaves only the last part of the teacher's path: on other machines it lies elsewhere.
    pub fn forget_folder(&mut self) {
        self.teacher = self.teacher.file_name().map(PathBuf::from).unwrap_or_default();
    }

    /// What is wrong with its numbers, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        let good = self.temperature.is_finite() && self.temperature > 0.0 && (0.0..=1.0).contains(&self.weight);
        (!good).then(|| "distill: temperature must be positive, weight in 0 to 1".to_string())
    }
}

/// A network that others learn from.
#[derive(Debug)]
pub struct Teacher {
    net: Net<f32>,
    distill: Distill,
    logits: Vec<f32>,
    /// Of its weights.
    pub(super) fingerprint: u64,
}

impl Teacher {
    /// Reads the teacher, for batches of up to `capacity` images of `data`.
    ///
    /// # Errors
    /// When there is none, or it tells other classes apart or takes other images.
    pub fn load(distill: &Distill, data: &Dataset, capacity: usize) -> Result<Self, TrainError> {
        let model = graph::load(&distill.teacher.join("weights.safetensors"))?;
        let bad = |reason: String| TrainError::File { path: distill.teacher.clone(), reason };
        if model.graph.labels != data.classes {
            let [found, expected] = [&model.graph.labels, &data.classes].map(|classes| classes.join(", "));
            return Err(bad(format!("the teacher's classes are {found}; those of the data are {expected}")));
        }
        let (shape, input) = (data.image_shape(), model.graph.input);
        if shape != [input.h, input.w, input.c].map(|extent| extent as usize) {
            let [h, w, c] = shape;
            return Err(bad(format!("the teacher takes {}x{}x{} images, not {h}x{w}x{c}", input.h, input.w, input.c)));
        }
        let net = Net::new(&model.graph, &model.params, capacity)?;
        let (distill, fingerprint) = (distill.clone(), model.params.fingerprint());
        Ok(Self { net, distill, logits: Vec::new(), fingerprint })
    }

    /// Bytes of its values.
    pub fn memory(&self) -> usize {
        self.net.memory(Mode::Infer)
    }

    /// What it says of `images` images; `fill` writes the real numbers of each, which it is given factor and offset of
    /// every channel's pixels for.
    pub fn teach(&mut self, images: usize, fill: impl Fn(&[(f32, f32)], usize, &mut [f32]) + Sync) -> Taught<'_> {
        let lines = self.net.graph().preprocess.lines();
        self.net.forward(images, Mode::Infer, |image, out| fill(&lines, image, out));
        self.logits = self.net.values(self.net.graph().output()).into_iter().collect();
        Taught { logits: &self.logits, temperature: self.distill.temperature, weight: self.distill.weight }
    }
}
