//! A model's card: where it comes from, how well it does, what it costs. Accuracy is that of the exported model in the
//! runtime, on all held-out images.

use std::fmt;

use anyhow::{Context, Result, ensure};
use kinglet::Model;
use serde::Serialize;

use crate::data::{Dataset, Source};
use crate::graph::FloatModel;
use crate::quantize::trained;
use crate::report::table::grouped;
use crate::simulate::{self, Images};
use crate::train::{self, Epoch, Recipe};

/// What a card says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    /// The model's name, and that of its files.
    pub name: String,
    /// What the network is, in a sentence or two.
    pub about: String,
    /// What the images are and where they come from.
    pub data: String,
    /// Images trained on, and held out.
    pub images: [usize; 2],
    /// The training.
    pub recipe: Recipe,
    /// Minutes of training.
    pub minutes: f64,
    /// The options that it was quantized with, as `kinglet publish` takes them.
    pub options: Vec<String>,
    /// Epochs of quantization-aware training after the recipe's others.
    pub tuned: Option<usize>,
    /// Right answers of the float network, before quantization-aware training, in percent.
    pub float_accuracy: f64,
    /// Right answers of the exported model, in percent.
    pub int8_accuracy: f64,
    /// The same of models in wider activations: what they are, as `--dtype` calls it, and right answers in percent.
    pub wider: Vec<(String, f64)>,
    /// Trained numbers.
    pub parameters: usize,
    /// Multiply-accumulates of an inference.
    pub macs: u64,
    /// Bytes of the model file, and of the weights and tables in it.
    pub flash: [usize; 2],
    /// Bytes of arena.
    pub arena: usize,
    /// Instructions of an inference, and the emulated board that counted them.
    pub instructions: Option<(String, u64)>,
}

impl Card {
    /// Measures a trained network and its exported model on the held-out images of `data`.
    ///
    /// # Errors
    /// When network, model and images do not fit each other.
    pub fn measure(
        name: &str,
        recipe: &Recipe,
        history: &[Epoch],
        float: &FloatModel,
        exported: &[u8],
        data: &Dataset,
    ) -> Result<Self> {
        ensure!(!data.test.is_empty(), "{} holds no images out", data.name);
        let model = Model::new(exported).map_err(|error| anyhow::anyhow!("{error}"))?;
        let outputs = simulate::run(model, &Images::Pixels(data.test.images.clone()))?;
        let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
        let tuned = recipe.qat.as_ref().filter(|_| trained::has_ranges(&float.params)).map(|qat| qat.epochs(recipe));
        let float_accuracy = match tuned {
            None => train::accuracy(&float.graph, &float.params, &data.test)?,
            Some(epochs) => {
                let float = history.len().checked_sub(epochs).and_then(|float| history.get(..float));
                let kept = float.and_then(|float| train::kept(float, recipe.patience));
                kept.with_context(|| format!("the metrics have no epoch before the {epochs} of `qat`"))?.test_accuracy
            }
        };
        Ok(Self {
            name: name.to_owned(),
            about: String::new(),
            data: data.name.clone(),
            images: [data.train.len(), data.test.len()],
            recipe: recipe.clone(),
            minutes: history.iter().map(|epoch| epoch.seconds).sum::<f64>() / 60.0,
            options: Vec::new(),
            tuned,
            float_accuracy: 100.0 * float_accuracy,
            int8_accuracy: simulate::accuracy(&outputs, &labels),
            wider: Vec::new(),
            parameters: float.graph.trainable_len(),
            macs: model.macs(),
            flash: [model.file_len(), model.weight_bytes()],
            arena: model.arena_len(),
            instructions: None,
        })
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, recipe, images: [held_in, held_out], flash: [file, weights], .. } = self;
        let number = |count: usize| grouped(count as u64);
        writeln!(f, "# {name}\n\n{}\n\n| | |\n|---|---|", self.about)?;
        let of = if recipe.data.has_persons() { " of other persons" } else { "" };
        let images = format!("{} images trained on, {}{of} held out", number(*held_in), number(*held_out));
        writeln!(f, "| data | {}; {images} |", self.data)?;
        write!(f, "| training | `recipe.toml`: {} epochs", recipe.epochs)?;
        if let Some(tuned) = self.tuned {
            write!(f, " and {tuned} of quantization-aware training")?;
        } else if recipe.qat.is_some() {
            write!(f, ", without those of quantization-aware training, which lost on the held-out images")?;
        }
        write!(f, ", seed {}, ", recipe.seed)?;
        let path = if recipe.data == Source::Digits { "" } else { " --data PATH" };
        writeln!(f, "{:.0} minutes; `kinglet train --recipe models/{name}/recipe.toml{path}` |", self.minutes.ceil())?;
        let before = if self.tuned.is_some() { ", before quantization-aware training" } else { "" };
        writeln!(f, "| accuracy, held out, float{before} | {:.2} % |", self.float_accuracy)?;
        writeln!(f, "| accuracy, held out, int8, the exported model in the runtime | {:.2} % |", self.int8_accuracy)?;
        for (dtype, accuracy) in &self.wider {
            writeln!(f, "| the same with `--dtype {dtype}` | {accuracy:.2} % |")?;
        }
        writeln!(f, "| parameters | {} |", number(self.parameters))?;
        writeln!(f, "| multiply-accumulates | {} |", grouped(self.macs))?;
        writeln!(f, "| flash, model file | {} bytes, of which weights {} |", number(*file), number(*weights))?;
        writeln!(f, "| RAM, arena | {} bytes |", number(self.arena))?;
        if let Some((board, count)) = &self.instructions {
            writeln!(f, "| instructions per inference, emulated {board} | {} |", grouped(*count))?;
        }
        let options: String = self.options.iter().map(|option| format!(" {option}")).collect();
        writeln!(
            f,
            "\nFiles: `weights.safetensors` (float, with the network and preprocessing in its metadata), `{name}.kgl` \
             (int8), `recipe.toml`, `metrics.csv`. Made by `kinglet publish{options}`."
        )
    }
}
