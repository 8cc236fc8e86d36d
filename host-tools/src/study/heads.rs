//! Network in Network: what are 1x1 layers and global average pooling worth?

use anyhow::{Context, Result};

use super::{Finding, Setting, instructions, mean_and_deviation};
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
    let [seeds, epochs] = setting.effort.of([10, 30], [4, 12], [1, 1]);
    let kinds = [(false, Head::Average), (false, Head::Flatten), (true, Head::Average), (true, Head::Flatten)];
    let jobs: Vec<_> = kinds.iter().flat_map(|&kind| (0..seeds).map(move |index| (kind, index))).collect();
    let found = setting.all("network-in-network", &jobs, |&((plain, head), index)| {
        let trained = setting.train(&recipe(setting, plain, head, epochs, setting.seed(index)))?;
        Ok((100.0 * (1.0 - trained.accuracy()), trained.graph))
    })?;
    let mut table =
        Table::new(["network", "parameters", "MACs", "held-out error %", "deviation", "RAM (bytes)", "instructions"]);
    let mut errors = Vec::new();
    let mut parameters = Vec::new();
    for &(plain, head) in &kinds {
        let of: Vec<_> = jobs.iter().zip(&found).filter(|(job, _)| job.0 == (plain, head)).map(|(_, f)| f).collect();
        let error = mean_and_deviation(&of.iter().map(|f| f.0).collect::<Vec<_>>());
        let graph = &of.first().context("no seed")?.1;
        let exported = deploy::untrained(graph)?;
        let total = setting.measure(&graph.name, || Ok(exported.bytes))?;
        table.row([
            name(plain, head).into(),
            grouped(graph.trainable_len() as u64),
            grouped(graph.macs()),
            format!("{:.2}", error[0]),
            format!("{:.2}", error[1]),
            grouped(exported.plan.arena_len.into()),
            instructions(total.as_ref()),
        ]);
        errors.push(error);
        parameters.push(graph.trainable_len() as f64);
    }
    let bars = Bars {
        title: format!("Error on held-out images, {epochs} epochs"),
        axis: "held-out error (%)".into(),
        groups: kinds.iter().map(|&(plain, head)| name(plain, head).into()).collect(),
        series: vec![(format!("mean and deviation of {seeds} seeds"), errors.clone())],
        exclusive: false,
    };
    // Two standard errors of the difference cannot be told from none.
    let doubt = |a: usize, b: usize| 2.0 * errors[a][1].hypot(errors[b][1]) / (seeds as f64).sqrt();
    let lost = errors[0][0] - errors[1][0];
    let gained = errors[2][0] - errors[0][0];
    let held = lost < doubt(0, 1).max(SAME) && parameters[0] * 2.0 < parameters[1] && gained > doubt(0, 2);
    let verdict = format!(
        "With average pooling the network has {:.1} times fewer parameters and {lost:+.2} +- {:.2} points of error; its plain twin has \
         {gained:+.2} +- {:.2} points more (two standard errors).",
        parameters[1] / parameters[0],
        doubt(0, 1),
        doubt(0, 2)
    );
    let pictures = vec![("network-in-network", chart::bars(&bars)?)];
    Ok(Finding { held, verdict, tables: vec![("heads", table)], pictures, ..Finding::default() })
}
