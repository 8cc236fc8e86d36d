//! Studies: what is claimed of residual networks and Inception modules, as experiments that anyone can repeat.
//!
//! Each study states its claim, measures, and says whether the claim held. Everything random follows from the seeds, so the
//! same command gives the same tables on one machine.

mod blocks;
mod bottleneck;
mod branches;
mod depth;
mod gradients;
mod heads;
mod identity;
mod kernels;
mod landscape;
mod lesion;
mod merged;
mod patches;
mod paths;
mod receptive;
mod repeat;
mod responses;
mod shattered;
mod shortcuts;

use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use rayon::prelude::*;

use crate::data::{Dataset, Source};
use crate::device::Board;
use crate::device::bench::{self, Row, Subject};
use crate::graph::{Block, NetworkRecipe, Norm};
use crate::progress::styled;
use crate::report::table::{Table, grouped};
use crate::train::{Recipe, Schedule, TrainError, Trained, Trainer};

/// How much is spent on the studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// What the committed figures were made with.
    Full,
    /// All studies in some minutes.
    Quick,
    /// Just enough to see that everything works, for tests.
    Tiny,
}

impl Effort {
    /// The choice for this effort.
    fn of<T>(self, full: T, quick: T, tiny: T) -> T {
        match self {
            Effort::Full => full,
            Effort::Quick => quick,
            Effort::Tiny => tiny,
        }
    }
}

/// Sides of the maps that towers work on, at most: those of the digits, so that a study costs alike on any images.
const SIDE: usize = 8;

/// What studies work with.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// How much to spend.
    pub effort: Effort,
    /// The images.
    pub data: &'a Dataset,
    /// Where `data` is read from, for the recipes.
    pub source: &'a Source,
    /// The seed of each study's first repetition; 1 is that of the committed figures.
    pub seed: u64,
    /// The emulated board on which instructions are counted; none are without it.
    pub board: Option<&'static Board>,
}

/// A model's name and its file.
pub type ModelFile = (String, Vec<u8>);

/// What a study found.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// Whether the claim held.
    pub held: bool,
    /// Why, with the figures that decide.
    pub verdict: String,
    /// The measurements, each with a name.
    pub tables: Vec<(&'static str, Table)>,
    /// The pictures (SVG), each with a name.
    pub pictures: Vec<(&'static str, String)>,
    /// Model files that it made, each with a name.
    pub models: Vec<ModelFile>,
}

/// A study: its name, its claim, and how it is done.
#[derive(Clone, Copy, Debug)]
pub struct Study {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What is claimed.
    pub claim: &'static str,
    run: fn(&Setting<'_>) -> Result<Finding>,
}

impl Study {
    /// Runs it, under a progress bar.
    ///
    /// # Errors
    /// When a network cannot be trained or measured.
    pub fn run(&self, setting: &Setting<'_>) -> Result<Finding> {
        (self.run)(setting)
    }
}

/// Every study.
pub const STUDIES: [Study; 17] = [
    Study { name: "vanishing-gradients", claim: gradients::CLAIM, run: gradients::run },
    Study { name: "depth", claim: depth::CLAIM, run: depth::run },
    Study { name: "identity", claim: identity::CLAIM, run: identity::run },
    Study { name: "blocks", claim: blocks::CLAIM, run: blocks::run },
    Study { name: "bottleneck", claim: bottleneck::CLAIM, run: bottleneck::run },
    Study { name: "branches", claim: branches::CLAIM, run: branches::run },
    Study { name: "lesion", claim: lesion::CLAIM, run: lesion::run },
    Study { name: "paths", claim: paths::CLAIM, run: paths::run },
    Study { name: "shattered-gradients", claim: shattered::CLAIM, run: shattered::run },
    Study { name: "shortcuts", claim: shortcuts::CLAIM, run: shortcuts::run },
    Study { name: "landscape", claim: landscape::CLAIM, run: landscape::run },
    Study { name: "responses", claim: responses::CLAIM, run: responses::run },
    Study { name: "receptive-field", claim: receptive::CLAIM, run: receptive::run },
    Study { name: "patches", claim: patches::CLAIM, run: patches::run },
    Study { name: "kernels", claim: kernels::CLAIM, run: kernels::run },
    Study { name: "network-in-network", claim: heads::CLAIM, run: heads::run },
    Study { name: "merged-branches", claim: merged::CLAIM, run: merged::run },
];

impl Effort {
    /// The images that studies work with: at most so many, evenly spaced, since dozens of networks learn them.
    pub fn images(self, data: &Dataset) -> Dataset {
        let [train, test] = self.of([10_000, 2_000], [1_500, 500], [128, 40]);
        Dataset {
            train: data.train.select(&data.train.spaced(train)),
            test: data.test.select(&data.test.spaced(test)),
            ..data.clone()
        }
    }
}

impl Setting<'_> {
    /// Start of the random numbers of repetition `index`.
    const fn seed(&self, index: usize) -> u64 {
        self.seed + index as u64
    }

    /// Brings the images to maps of at most [`SIDE`]: a convolution, and max pools while they are larger.
    fn stem(&self, filters: u32, norm: Norm) -> Vec<Block> {
        let [h, w, _] = self.data.image_shape();
        let large = h.max(w) > SIDE;
        let mut side = h.max(w).div_ceil(if large { 2 } else { 1 });
        let mut blocks = vec![Block::Conv { filters, kernel: 3, stride: if large { 2 } else { 1 }, norm }];
        while side > SIDE {
            blocks.push(Block::MaxPool { kernel: 3, stride: 2 });
            side = side.div_ceil(2);
        }
        blocks
    }

    /// A stem and `count` blocks of two 3x3 convolutions at one size: `2 * count + 2` layers with the classifier.
    fn tower(&self, filters: u32, count: usize, shortcut: bool, norm: Norm) -> Vec<Block> {
        let mut blocks = self.stem(filters, norm);
        blocks.extend(storeys(filters, count, shortcut, norm));
        blocks
    }

    /// A training of `blocks`, with what suits the images.
    fn recipe(&self, name: &str, blocks: Vec<Block>, epochs: usize, seed: u64) -> Recipe {
        let like = if *self.source == Source::Digits { "digits-resnet" } else { "resnet8" };
        Recipe {
            epochs,
            batch: 32,
            seed,
            network: NetworkRecipe { name: Some(name.to_owned()), blocks, ..NetworkRecipe::default() },
            data: self.source.clone(),
            schedule: Schedule::Cosine { peak: 0.05, warm_up: 0.1 },
            ..Recipe::for_network(like)
        }
    }

    /// What an inference of the model that `make` makes takes on the board as a whole, if there is a board.
    fn measure(&self, name: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Option<Row>> {
        let Some(board) = self.board else { return Ok(None) };
        let rows = bench::measure(board, &Subject::from((name, make()?)))?;
        rows.into_iter().find(|row| row.layer == "total").context("the bench gave no total").map(Some)
    }

    /// Trains `recipe` to its end.
    fn train(&self, recipe: &Recipe) -> Result<Trained, TrainError> {
        let mut trainer = Trainer::new(recipe, self.data)?;
        trainer.train(None, |_| {})?;
        Ok(trainer.finish())
    }

    /// Works on all `jobs` side by side, under a progress bar; results in the order of the jobs.
    fn all<J: Sync, R: Send>(
        &self,
        name: &'static str,
        jobs: &[J],
        work: impl Fn(&J) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let style = "{prefix} {bar:30} {pos} of {len} networks | {elapsed} | ready in {average_eta}";
        let bar = styled(ProgressBar::new(jobs.len() as u64), style);
        bar.set_prefix(name);
        bar.enable_steady_tick(Duration::from_millis(500));
        let done = |job: &J| {
            let result = work(job);
            bar.inc(1);
            result
        };
        let results = jobs.par_iter().map(done).collect();
        bar.finish();
        results
    }
}

/// The instructions of a measurement, as tables show them: nothing without one.
fn instructions(total: Option<&Row>) -> String {
    total.map_or(String::new(), |row| grouped(row.instructions))
}

/// Blocks of two 3x3 convolutions at one size.
fn storeys(filters: u32, count: usize, shortcut: bool, norm: Norm) -> impl Iterator<Item = Block> {
    std::iter::repeat_n(Block::Residual { filters, stride: 1, shortcut, norm }, count)
}

/// Layers with weights of [`Setting::tower`].
const fn layers(count: usize) -> usize {
    2 * count + 2
}

/// What a network with or without shortcuts is called.
const fn kind(shortcut: bool) -> &'static str {
    if shortcut { "residual" } else { "plain" }
}

/// Training and held-out error in percent.
#[derive(Clone, Copy, Debug)]
struct Errors {
    train: f64,
    test: f64,
}

/// What a training ended with.
fn errors(trained: &Trained) -> Errors {
    let error = |accuracy: f64| 100.0 * (1.0 - accuracy);
    Errors {
        train: trained.history.last().map_or(100.0, |epoch| error(epoch.train_accuracy)),
        test: error(trained.accuracy()),
    }
}

/// Slope of the least-squares line through the points.
fn slope(points: &[[f64; 2]]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |axis: usize| points.iter().map(|p| p[axis]).sum::<f64>() / count;
    let (x, y) = (mean(0), mean(1));
    let along: f64 = points.iter().map(|p| (p[0] - x).powi(2)).sum();
    let across: f64 = points.iter().map(|p| (p[0] - x) * (p[1] - y)).sum();
    across / along.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests;
