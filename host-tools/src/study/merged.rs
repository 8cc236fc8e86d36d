//! Parallel branches that are merged into one convolution after training.

use anyhow::{Context, Result};

use super::repeat::Spread;
use super::{Finding, Setting, errors, instructions, layers};
use crate::deploy;
use crate::export;
use crate::graph::{Graph, NetworkRecipe, Norm};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};
use crate::train::{Recipe, Trained};

pub(super) const CLAIM: &str = "A plain network whose convolutions are trained as parallel branches, 3x3, 1x1 and the input itself, \
     learns at a depth where it does not learn otherwise, and runs as the plain network that it is once they are merged.";

/// Channels of every layer.
const FILTERS: u32 = 8;

/// How a network of this many blocks is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Merged,
    Residual,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Plain, Self::Merged, Self::Residual];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Merged => "plain, trained as branches",
            Self::Residual => "residual",
        }
    }
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let count = setting.effort.of(21, 15, 2);
    let [seeds, epochs] = setting.effort.of([3, 12], [3, 6], [1, 1]);
    let found = setting.repeat("merged-branches", Kind::ALL, seeds, |&kind, index| {
        let blocks = setting.tower(FILTERS, count, kind == Kind::Residual, Norm::Batch);
        let recipe = setting.recipe("tower", blocks, epochs, setting.seed(index));
        let network = NetworkRecipe { reparameterize: kind == Kind::Merged, ..recipe.network.clone() };
        Ok(setting.train(&Recipe { network, ..recipe })?)
    })?;
    let mut table = Table::new([
        "network",
        "layers",
        "training error %",
        "deviation",
        "held-out error %",
        "deviation",
        "parameters on the chip",
        "MACs",
        "instructions",
    ]);
    let mut all = Vec::new();
    let mut shapes = Vec::new();
    for (kind, of) in found.iter() {
        let train = Spread::of(of.iter().map(|trained| errors(trained).train));
        let test = Spread::of(of.iter().map(|trained| errors(trained).test));
        let [[error, deviation], [test, test_deviation]] = [train, test].map(|spread| spread.cells(2));
        let first = of.first().context("no seed")?;
        table.row([
            kind.name().into(),
            layers(count).to_string(),
            error,
            deviation,
            test,
            test_deviation,
            grouped(first.graph.trainable_len() as u64),
            grouped(first.graph.macs()),
            on_board(setting, first)?,
        ]);
        all.push(train);
        shapes.push(operators(&first.graph));
    }
    let bars = Bars {
        title: format!("Training error of {} layers after {epochs} epochs", layers(count)),
        axis: "training error (%)".into(),
        groups: Kind::ALL.map(|kind| kind.name().into()).to_vec(),
        series: vec![(
            format!("mean and deviation of {seeds} seeds"),
            all.iter().map(|spread| spread.pair()).collect(),
        )],
        exclusive: false,
    };
    let better = all[0].over(all[1]);
    let same = shapes[0] == shapes[1];
    let verdict = format!(
        "At {} layers the training error is {:.2} % plain, {:.2} % trained as branches and {:.2} % residual (the first two differ by \
         {better}, two standard errors); merged, the second has {} operators as the first, of the same shapes.",
        layers(count),
        all[0].mean,
        all[1].mean,
        all[2].mean,
        if same { "the same" } else { "not the same" }
    );
    let held = same && better.is_more();
    let pictures = vec![("merged-branches", chart::bars(&bars)?)];
    Ok(Finding { held, verdict, tables: vec![("networks", table)], pictures, ..Finding::default() })
}

/// What a network does, step by step, without its numbers.
fn operators(graph: &Graph) -> Vec<String> {
    graph.ids().map(|id| format!("{:?} {:?}", graph.node(id).op, graph.node(id).shape)).collect()
}

/// Instructions of the trained network's inference on the board, if there is one.
fn on_board(setting: &Setting<'_>, trained: &Trained) -> Result<String> {
    let total = setting.measure(&trained.graph.name, || {
        let (quantization, options) = (deploy::Options::default(), export::Options::default());
        Ok(deploy::deploy(&trained.graph, &trained.params, &setting.data.train, &quantization, &options)?.bytes)
    })?;
    Ok(instructions(total.as_ref()))
}
