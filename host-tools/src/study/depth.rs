//! Do deeper plain networks train worse, and residual ones not?

use anyhow::Result;

use super::{Finding, Setting, kind, layers, mean_and_deviation};
use crate::graph::Norm;
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;

pub(super) const CLAIM: &str =
    "From some depth on a deeper plain network has the larger training error; a residual one does not.";

/// Channels of every layer.
const FILTERS: u32 = 8;

/// Training and held-out error in percent: mean and deviation over the seeds.
struct Errors {
    count: usize,
    shortcut: bool,
    train: [f64; 2],
    test: [f64; 2],
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 6, 9, 15, 21, 27, 36, 54], vec![3, 9, 15, 27], vec![1, 2]);
    let seeds = setting.effort.of(3, 3, 1);
    let epochs = setting.effort.of(20, 8, 1);
    let jobs: Vec<_> = depths
        .iter()
        .flat_map(|&count| [(count, false), (count, true)])
        .flat_map(|(count, shortcut)| (0..seeds).map(move |index| (count, shortcut, setting.seed(index))))
        .collect();
    let trained = setting.all("depth", &jobs, |&(count, shortcut, seed)| {
        let recipe = setting.recipe("tower", setting.tower(FILTERS, count, shortcut, Norm::Batch), epochs, seed);
        let trained = setting.train(&recipe)?;
        let error = |accuracy: f64| 100.0 * (1.0 - accuracy);
        Ok((trained.history.last().map_or(100.0, |e| error(e.train_accuracy)), error(trained.accuracy())))
    })?;
    let errors: Vec<Errors> = depths
        .iter()
        .flat_map(|&count| [(count, false), (count, true)])
        .map(|(count, shortcut)| {
            let of = || jobs.iter().zip(&trained).filter(move |(job, _)| (job.0, job.1) == (count, shortcut));
            let train: Vec<f64> = of().map(|(_, found)| found.0).collect();
            let test: Vec<f64> = of().map(|(_, found)| found.1).collect();
            Errors { count, shortcut, train: mean_and_deviation(&train), test: mean_and_deviation(&test) }
        })
        .collect();

    let mut table = Table::new(["network", "layers", "training error %", "deviation", "held-out error %", "deviation"]);
    for e in &errors {
        let [train, test] = [e.train, e.test].map(|pair| pair.map(|v| format!("{v:.2}")));
        let [[train, train_deviation], [test, test_deviation]] = [train, test];
        table.row([kind(e.shortcut).into(), layers(e.count).to_string(), train, train_deviation, test, test_deviation]);
    }
    let line = |shortcut: bool, value: fn(&Errors) -> [f64; 2]| Line {
        name: kind(shortcut).into(),
        points: errors
            .iter()
            .filter(|e| e.shortcut == shortcut)
            .map(|e| [layers(e.count) as f64, value(e)[0], value(e)[1]])
            .collect(),
    };
    let panel = |title: &str, axis: &str, value: fn(&Errors) -> [f64; 2]| Panel {
        title: title.into(),
        axes: ["layers of the network".into(), axis.into()],
        logarithmic: false,
        lines: vec![line(false, value), line(true, value)],
    };
    let picture = chart::lines(&[
        panel(&format!("Training error after {epochs} epochs, {seeds} seeds"), "training error (%)", |e| e.train),
        panel("Error on held-out images", "held-out error (%)", |e| e.test),
    ])?;

    let [plain, residual] = [false, true].map(|shortcut| degradation(&errors, shortcut));
    let verdict = format!(
        "From the depth that trains best to the deepest, the training error of plain networks rises by {:.2} points (deviation \
         {:.2}), that of residual ones by {:.2} ({:.2}).",
        plain[0], plain[1], residual[0], residual[1]
    );
    let held = plain[0] > plain[1].max(0.5) && residual[0] <= residual[1].max(0.5).max(plain[0] / 4.0);
    Ok(Finding {
        held,
        verdict,
        tables: vec![("errors", table)],
        pictures: vec![("depth", picture)],
        ..Finding::default()
    })
}

/// How much the deepest network's training error is above the least one, and the deviation of that difference.
fn degradation(errors: &[Errors], shortcut: bool) -> [f64; 2] {
    let of = || errors.iter().filter(move |e| e.shortcut == shortcut);
    let best = of().min_by(|a, b| a.train[0].total_cmp(&b.train[0]));
    let deepest = of().max_by_key(|e| e.count);
    match (best, deepest) {
        (Some(best), Some(deepest)) => [deepest.train[0] - best.train[0], deepest.train[1].hypot(best.train[1])],
        _ => [0.0; 2],
    }
}
