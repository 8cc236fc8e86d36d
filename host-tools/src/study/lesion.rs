//! What is left of a trained network when blocks are taken out of it?

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use kinglet::Model;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::repeat::Spread;
use super::{Finding, ModelFile, Setting};
use crate::deploy;
use crate::device;
use crate::export;
use crate::graph::{Block, Graph, NetworkRecipe, Norm, Params};
use crate::report::chart::{self, Line, Panel};
use crate::report::table::{Table, grouped};
use crate::simulate::{self, Images};
use crate::train::{self, Trained};

pub(super) const CLAIM: &str = "Any one block can be deleted from a trained residual network at little loss, and more blocks \
     cost more little by little; one layer deleted from its plain twin destroys it.";

/// Channels of every layer.
const FILTERS: u32 = 8;
/// Random deletions and orders that are tried per network and number.
const DRAWS: usize = 5;
/// How long a board may take for the held-out images.
const LIMIT: Duration = Duration::from_secs(900);

/// A trained tower, and the number of blocks before the first that may go.
struct Tower {
    trained: Trained,
    stem: usize,
    blocks: usize,
}

impl Tower {
    /// The tower of these of its blocks, in this order.
    fn of(&self, chosen: &[usize]) -> Result<(Graph, Params)> {
        let Trained { graph, params, recipe, .. } = &self.trained;
        let order: Vec<usize> = (0..self.stem).chain(chosen.iter().map(|block| self.stem + block)).collect();
        let blocks = order.iter().map(|&from| recipe.network.blocks[from].clone()).collect();
        let input = Some([graph.input.h, graph.input.w, graph.input.c]);
        let lesioned = NetworkRecipe { blocks, input, ..recipe.network.merged() };
        let lesioned = lesioned.build(&graph.labels, &graph.preprocess)?;
        let places: BTreeMap<String, usize> =
            order.iter().enumerate().map(|(to, from)| (format!("b{}", to + 1), from + 1)).collect();
        let mut taken = Params::new();
        for spec in lesioned.param_specs() {
            // A block's parameters are called `b3_conv1.weight`, where 3 is its place.
            let end = spec.name.find(['_', '.']).unwrap_or(spec.name.len());
            let (block, rest) = spec.name.split_at(end);
            let name = places.get(block).map_or(spec.name.clone(), |from| format!("b{from}{rest}"));
            taken.insert(spec.name, params.require(&name)?.clone());
        }
        Ok((lesioned, taken))
    }

    /// Held-out error in percent.
    fn error(&self, setting: &Setting<'_>, chosen: &[usize]) -> Result<f64> {
        let (graph, params) = self.of(chosen)?;
        Ok(100.0 * (1.0 - train::accuracy(&graph, &params, &setting.data.test)?))
    }

    /// All blocks but one.
    fn without(&self, block: usize) -> Vec<usize> {
        (0..self.blocks).filter(|&other| other != block).collect()
    }
}

/// A residual tower of `count` blocks, or its plain twin of twice as many layers, each of which can go by itself.
fn tower(setting: &Setting<'_>, count: usize, shortcut: bool, epochs: usize, index: usize) -> Result<Tower> {
    let stem = setting.stem(FILTERS, Norm::Batch).len();
    let mut blocks = setting.tower(FILTERS, if shortcut { count } else { 0 }, shortcut, Norm::Batch);
    if !shortcut {
        let layer = Block::Conv { filters: FILTERS, kernel: 3, stride: 1, norm: Norm::Batch };
        blocks.extend(std::iter::repeat_n(layer, 2 * count));
    }
    let blocks_len = blocks.len() - stem;
    let trained = setting.train(&setting.recipe("tower", blocks, epochs, setting.seed(index)))?;
    Ok(Tower { trained, stem, blocks: blocks_len })
}

/// Kendall's rank correlation of an order with the sorted one: 1 when equal, 0 when independent.
fn kendall(order: &[usize]) -> f64 {
    let mut sum = 0i64;
    for (at, left) in order.iter().enumerate() {
        sum += order[at + 1..].iter().map(|right| if right > left { 1 } else { -1 }).sum::<i64>();
    }
    let pairs = order.len() * order.len().saturating_sub(1) / 2;
    sum as f64 / pairs.max(1) as f64
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let count = setting.effort.of(9, 6, 2);
    let [seeds, epochs] = setting.effort.of([5, 20], [3, 8], [1, 1]);
    let towers = setting
        .repeat("lesion", [true, false], seeds, |&shortcut, index| tower(setting, count, shortcut, epochs, index))?;

    let mut single = Table::new(["network", "deleted", "held-out error %", "deviation"]);
    let mut whole = Vec::new();
    let mut losses = Vec::new();
    let mut lines = Vec::new();
    for (shortcut, kind) in [(true, "residual, a block"), (false, "plain, a layer")] {
        // Of each tower.
        let errors = |block: Option<usize>| -> Result<Vec<f64>> {
            let each = towers.of(shortcut).iter().map(|tower| {
                let chosen = block.map_or_else(|| (0..tower.blocks).collect(), |block| tower.without(block));
                tower.error(setting, &chosen)
            });
            each.collect()
        };
        let mut row = |deleted: String, errors: &[f64]| {
            let spread = Spread::of(errors.iter().copied());
            let [error, deviation] = spread.cells(2);
            single.row([kind.into(), deleted, error, deviation]);
            spread
        };
        let intact = errors(None)?;
        whole.push(row("nothing".into(), &intact));
        let blocks = towers.of(shortcut)[0].blocks;
        let mut points = Vec::new();
        let mut lost = vec![0.0; seeds];
        for block in 0..blocks {
            let errors = errors(Some(block))?;
            points.push(row((block + 1).to_string(), &errors).at(100.0 * (block + 1) as f64 / blocks as f64));
            for (lost, (error, intact)) in lost.iter_mut().zip(errors.iter().zip(&intact)) {
                *lost += (error - intact) / blocks as f64;
            }
        }
        losses.push(Spread::of(lost));
        lines.push(Line { name: kind.into(), points });
    }

    let mut rng = ChaCha8Rng::seed_from_u64(setting.seed(0));
    let mut several = Table::new(["deleted blocks", "held-out error %", "deviation"]);
    let mut shuffled = Table::new(["swaps", "Kendall's tau", "held-out error %", "deviation"]);
    let [mut growth, mut order_line] = [Vec::new(), Vec::new()];
    for k in 0..=count {
        let mut errors = Vec::new();
        let mut moved = Vec::new();
        let mut taus = Vec::new();
        for tower in towers.of(true) {
            for _ in 0..if k == 0 { 1 } else { DRAWS } {
                let mut chosen: Vec<usize> = (0..count).collect();
                chosen.shuffle(&mut rng);
                chosen.truncate(count - k);
                chosen.sort_unstable();
                errors.push(tower.error(setting, &chosen)?);
                let mut order: Vec<usize> = (0..count).collect();
                for _ in 0..k {
                    let at = rng.random_range(0..count.max(2) - 1);
                    order.swap(at, at + 1);
                }
                taus.push(kendall(&order));
                moved.push(tower.error(setting, &order)?);
            }
        }
        let (error, moved) = (Spread::of(errors), Spread::of(moved));
        let ([mean, deviation], [moved_mean, moved_deviation]) = (error.cells(2), moved.cells(2));
        several.row([k.to_string(), mean, deviation]);
        let tau = format!("{:.2}", Spread::of(taus).mean);
        shuffled.row([k.to_string(), tau, moved_mean, moved_deviation]);
        growth.push(error.at(k as f64));
        order_line.push(moved.at(k as f64));
    }
    let picture = chart::lines(&[
        Panel {
            title: format!("One deleted: {count} residual blocks against {} plain layers, {seeds} seeds", 2 * count),
            axes: ["place of what is deleted (% of the depth)".into(), "held-out error (%)".into()],
            logarithmic: false,
            lines,
        },
        Panel {
            title: "Many deleted, or neighbors swapped, at random, in the residual network".into(),
            axes: ["blocks deleted, or swaps".into(), "held-out error (%)".into()],
            logarithmic: false,
            lines: vec![
                Line { name: "deleted".into(), points: growth },
                Line { name: "swapped".into(), points: order_line },
            ],
        },
    ])?;
    let (chip, models) = on_chip(setting, &towers.of(true)[0])?;
    let (residual, plain) = (losses[0], losses[1]);
    let verdict = format!(
        "A deleted block costs the residual network {:.2} points of error on average (deviation over seeds {:.2}; whole: {:.2} %), a \
         deleted layer costs the plain one {:.2} ({:.2}; whole: {:.2} %); the criterion is a tenth.",
        residual.mean, residual.deviation, whole[0].mean, plain.mean, plain.deviation, whole[1].mean
    );
    let held = residual.mean + residual.deviation < (plain.mean - plain.deviation) / 10.0;
    let tables = vec![("one", single), ("many", several), ("order", shuffled), ("chip", chip)];
    Ok(Finding { held, verdict, tables, pictures: vec![("lesion", picture)], models })
}

/// A row for the whole network and for each that lacks a block, as model files of their own: what the runtime makes of the
/// held-out images, on the board if there is one.
fn on_chip(setting: &Setting<'_>, tower: &Tower) -> Result<(Table, Vec<ModelFile>)> {
    let mut table = Table::new(["model", "held-out accuracy %, int8", "instructions"]);
    let mut models = Vec::new();
    for deleted in std::iter::once(None).chain((0..tower.blocks).map(Some)) {
        let chosen = deleted.map_or_else(|| (0..tower.blocks).collect(), |block| tower.without(block));
        let name = deleted.map_or("lesion-whole".into(), |block| format!("lesion-without-{}", block + 1));
        let (mut graph, params) = tower.of(&chosen)?;
        graph.name.clone_from(&name);
        let options = (&deploy::Options::default(), &export::Options::default());
        let bytes = deploy::deploy(&graph, &params, &setting.data.train, options.0, options.1)?.bytes;
        let model = Model::new(&bytes).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let test = &setting.data.test;
        let images = Images::Pixels(test.images.clone());
        let (outputs, instructions) = match setting.board {
            Some(board) => {
                let report = device::evaluate(board, &bytes, &[images], LIMIT)?;
                (report.outputs, grouped(report.measured.instructions))
            }
            None => (simulate::run(model, &images)?, String::new()),
        };
        let labels: Vec<usize> = test.labels.iter().map(|&label| label.into()).collect();
        table.row([name.clone(), format!("{:.2}", simulate::accuracy(&outputs, &labels)), instructions]);
        models.push((name, bytes));
    }
    Ok((table, models))
}
