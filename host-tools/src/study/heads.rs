//! Network in Network: what are 1x1 layers and global average pooling worth?

use anyhow::{Context, Result};

use super::repeat::Spread;
use super::{Finding, Setting, errors, instructions};
use crate::deploy;
use crate::graph::{Block, Head, NetworkRecipe, Norm};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};
use crate::train::Recipe;

pub(super) const CLAIM: &str = "Global average pooling needs a fraction of a dense head's parameters at no loss of accuracy, and 1x1 \
     layers behind each convolution make a network better than its plain twin.";

/// Of accuracy, in percent, that count as no loss.
const SAME: f64 = 0.5;

/// Two convolutions, each with a small network of 1x1 layers that slides behind it, or without.
fn blocks(setting: &Setting<'_>, plain: bool) -> Vec<Block> {
    let mlpconv = |filters, micro: &[u32]| Block::Mlpconv { filters, kernel: 3, micro: micro.to_vec(), plain };
    let mut blocks = setting.stem(8, Norm::Batch);
    blocks.extend([mlpconv(16, &[16, 16]), Block::MaxPool { kernel: 3, stride: 2 }, mlpconv(32, &[32, 32])]);
    blocks
}

/// The hidden layer of the dense head, as before global average pooling.
const HIDDEN: Block = Block::Dense { units: 64 };

fn recipe(setting: &Setting<'_>, plain: bool, head: Head, epochs: usize, seed: u64) -> Recipe {
    let mut blocks = blocks(setting, plain);
    if head == Head::Flatten {
        blocks.push(HIDDEN);
    }
    let recipe = setting.recipe("network-in-network", blocks, epochs, seed);
    Recipe { network: NetworkRecipe { head, ..recipe.network.clone() }, ..recipe }
}

const fn name(plain: bool, head: Head) -> &'static str {
    match (plain, head) {
        (false, Head::Average) => "1x1 layers, average pooling",
        (false, Head::Flatten) => "1x1 layers, dense head",
        (true, Head::Average) => "plain, average pooling",
        (true, Head::Flatten) => "plain, dense head",
    }
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let [seeds, epochs] = setting.effort.of([8, 20], [4, 12], [1, 1]);
    let kinds = [(false, Head::Average), (false, Head::Flatten), (true, Head::Average), (true, Head::Flatten)];
    let found = setting.repeat("network-in-network", kinds, seeds, |&(plain, head), index| {
        let trained = setting.train(&recipe(setting, plain, head, epochs, setting.seed(index)))?;
        Ok((errors(&trained).test, trained.graph))
    })?;
    let mut table =
        Table::new(["network", "parameters", "MACs", "held-out error %", "deviation", "RAM (bytes)", "instructions"]);
    let mut all = Vec::new();
    let mut parameters = Vec::new();
    for (&(plain, head), of) in found.iter() {
        let error = Spread::of(of.iter().map(|f| f.0));
        let [mean, deviation] = error.cells(2);
        let graph = &of.first().context("no seed")?.1;
        let exported = deploy::untrained(graph)?;
        let total = setting.measure(&graph.name, || Ok(exported.bytes))?;
        table.row([
            name(plain, head).into(),
            grouped(graph.trainable_len() as u64),
            grouped(graph.macs()),
            mean,
            deviation,
            grouped(exported.plan.arena_len.into()),
            instructions(total.as_ref()),
        ]);
        all.push(error);
        parameters.push(graph.trainable_len() as f64);
    }
    let bars = Bars {
        title: format!("Error on held-out images, {epochs} epochs"),
        axis: "held-out error (%)".into(),
        groups: kinds.iter().map(|&(plain, head)| name(plain, head).into()).collect(),
        series: vec![(
            format!("mean and deviation of {seeds} seeds"),
            all.iter().map(|spread| spread.pair()).collect(),
        )],
        exclusive: false,
    };
    let (lost, gained) = (all[0].over(all[1]), all[2].over(all[0]));
    let held = lost.mean < lost.doubt.max(SAME) && parameters[0] * 2.0 < parameters[1] && gained.is_more();
    let verdict = format!(
        "With average pooling the network has {:.1} times fewer parameters and {lost} points of error; its plain twin has {gained} points \
         more (two standard errors).",
        parameters[1] / parameters[0]
    );
    let pictures = vec![("network-in-network", chart::bars(&bars)?)];
    Ok(Finding { held, verdict, tables: vec![("heads", table)], pictures, ..Finding::default() })
}
