//! How strongly do layers respond, by depth?

use anyhow::Result;

use super::{Finding, Setting, kind, layers, mean_and_deviation};
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
        let all: Vec<f64> = values[id.0].iter().map(|&v| v.into()).collect();
        Some(mean_and_deviation(&all)[1])
    };
    Ok(convs.filter_map(response).collect())
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 9, 15, 27], vec![3, 9], vec![1, 2]);
    let [seeds, epochs] = setting.effort.of([3, 20], [3, 8], [1, 1]);
    let jobs: Vec<_> = depths
        .iter()
        .flat_map(|&count| [(count, false), (count, true)])
        .flat_map(|(count, shortcut)| (0..seeds).map(move |index| (count, shortcut, index)))
        .collect();
    let found = setting.all("responses", &jobs, |&(count, shortcut, index)| {
        responses(setting, count, shortcut, epochs, setting.seed(index))
    })?;
    let mut table = Table::new(["network", "layers", "mean response", "deviation over seeds"]);
    let mut single = Table::new(["network", "layers", "convolution", "response"]);
    let mut lines = Vec::new();
    let mut means = Vec::new();
    for (count, shortcut) in depths.iter().flat_map(|&count| [(count, false), (count, true)]) {
        let of: Vec<&Vec<f64>> =
            jobs.iter().zip(&found).filter(|(job, _)| (job.0, job.1) == (count, shortcut)).map(|(_, f)| f).collect();
        let convs = of.iter().map(|each| each.len()).min().unwrap_or(0);
        let name = format!("{}, {}", kind(shortcut), layers(count));
        let points: Vec<[f64; 3]> = (0..convs)
            .map(|conv| {
                let [mean, deviation] = mean_and_deviation(&of.iter().map(|each| each[conv]).collect::<Vec<_>>());
                [100.0 * (conv + 1) as f64 / convs as f64, mean, deviation]
            })
            .collect();
        for (conv, point) in points.iter().enumerate() {
            let cells = [(conv + 1).to_string(), format!("{:.4}", point[1])];
            let [conv, response] = cells;
            single.row([kind(shortcut).into(), layers(count).to_string(), conv, response]);
        }
        let whole: Vec<f64> = of.iter().map(|each| each.iter().sum::<f64>() / convs.max(1) as f64).collect();
        let [mean, deviation] = mean_and_deviation(&whole);
        table.row([kind(shortcut).into(), layers(count).to_string(), format!("{mean:.3}"), format!("{deviation:.3}")]);
        means.push((shortcut, mean));
        if [depths.first(), depths.last()].contains(&Some(&count)) {
            lines.push(Line { name, points });
        }
    }
    let picture = chart::lines(&[Panel {
        title: format!("Responses of the 3x3 convolutions, {seeds} seeds"),
        axes: ["place of the convolution (% of the depth)".into(), "standard deviation of the response".into()],
        logarithmic: false,
        lines,
    }])?;
    let of = |shortcut: bool| -> Vec<f64> { means.iter().filter(|m| m.0 == shortcut).map(|m| m.1).collect() };
    let (plain, residual) = (of(false), of(true));
    let smaller = residual.iter().zip(&plain).all(|(residual, plain)| residual < plain);
    let falls = residual.windows(2).all(|pair| pair[1] < pair[0]);
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:.3}")).collect::<Vec<_>>().join(", ");
    let depths = depths.iter().map(|&count| layers(count).to_string()).collect::<Vec<_>>().join(", ");
    let verdict = format!(
        "Mean responses of networks of {depths} layers: residual {}, plain {}. Residual ones are {}smaller at every depth, and {} with depth.",
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
