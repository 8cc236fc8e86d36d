//! How strongly do layers respond, by depth?

use anyhow::Result;

use super::repeat::{Spread, twins};
use super::{Finding, Setting, kind, layers};
use crate::graph::Norm;
use crate::layers::{forward, preprocess};
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;

pub(super) const CLAIM: &str = "The layers of residual networks respond less than those of their plain twins, and the less the \
     deeper the network: each block changes what passes through it a little.";

/// Channels of every layer.
const FILTERS: u32 = 8;
/// Images on which responses are measured.
const PROBES: usize = 64;

/// Standard deviation of what every 3x3 convolution of the tower gives, after normalization and before ReLU and addition,
/// from first to last.
fn responses(setting: &Setting<'_>, count: usize, shortcut: bool, epochs: usize, seed: u64) -> Result<Vec<f64>> {
    let blocks = setting.tower(FILTERS, count, shortcut, Norm::Batch);
    let below = blocks.len() - count;
    let trained = setting.train(&setting.recipe("tower", blocks, epochs, seed))?;
    let probes = setting.data.test.select(&setting.data.test.spaced(PROBES));
    let images = preprocess(&trained.graph.preprocess, &probes.images.view());
    let values = forward(&trained.graph, &trained.params, &images.view())?;
    let convs = (below + 1..=below + count).flat_map(|block| [1, 2].map(|conv| format!("b{block}_conv{conv}_bn")));
    let response = |conv: String| {
        let id = trained.graph.find(&conv)?;
        Some(Spread::of(values[id.0].iter().map(|&v| v.into())).deviation)
    };
    Ok(convs.filter_map(response).collect())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 9, 27], vec![3, 9], vec![1, 2]);
    let [seeds, epochs] = setting.effort.of([3, 10], [3, 5], [1, 1]);
    let found = setting.repeat("responses", twins(&depths), seeds, |&(count, shortcut), index| {
        responses(setting, count, shortcut, epochs, setting.seed(index))
    })?;
    let mut table = Table::new(["network", "layers", "mean response", "deviation over seeds"]);
    let mut single = Table::new(["network", "layers", "convolution", "response", "deviation"]);
    let mut lines = Vec::new();
    for (&(count, shortcut), all) in found.iter() {
        let convs = 2 * count;
        let mut points = Vec::new();
        for conv in 0..convs {
            let spread = Spread::of(all.iter().map(|each| each[conv]));
            let [response, deviation] = spread.cells(4);
            single.row([kind(shortcut).into(), layers(count).to_string(), (conv + 1).to_string(), response, deviation]);
            points.push(spread.at(100.0 * (conv + 1) as f64 / convs as f64));
        }
        let [mean, deviation] = found.spread((count, shortcut), |each| mean(each)).cells(3);
        table.row([kind(shortcut).into(), layers(count).to_string(), mean, deviation]);
        if [depths.first(), depths.last()].contains(&Some(&count)) {
            lines.push(Line { name: format!("{}, {}", kind(shortcut), layers(count)), points });
        }
    }
    let picture = chart::lines(&[Panel {
        title: format!("Responses of the 3x3 convolutions, {seeds} seeds"),
        axes: ["place of the convolution (% of the depth)".into(), "standard deviation of the response".into()],
        logarithmic: false,
        lines,
    }])?;
    let [plain, residual] = [false, true].map(|shortcut| {
        let of = |&count: &usize| found.spread((count, shortcut), |each| mean(each));
        depths.iter().map(of).collect::<Vec<Spread>>()
    });
    let smaller = residual.iter().zip(&plain).all(|(residual, plain)| plain.over(*residual).is_more());
    let falls = residual.windows(2).all(|pair| pair[0].over(pair[1]).is_more());
    let list = |all: &[Spread]| all.iter().map(|s| s.cells(3).join(" +- ")).collect::<Vec<_>>().join(", ");
    let depths = depths.iter().map(|&count| layers(count).to_string()).collect::<Vec<_>>().join(", ");
    let verdict = format!(
        "Mean responses of networks of {depths} layers, with deviations: residual {}; plain {}. By two standard errors residual ones are {}smaller at every depth, and {} with each.",
        list(&residual),
        list(&plain),
        if smaller { "" } else { "not " },
        if falls { "fall" } else { "do not fall" }
    );
    let tables = vec![("means", table), ("layers", single)];
    Ok(Finding {
        held: smaller && falls,
        verdict,
        tables,
        pictures: vec![("responses", picture)],
        ..Finding::default()
    })
}
