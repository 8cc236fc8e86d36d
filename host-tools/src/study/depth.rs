//! Do deeper plain networks train worse, and residual ones not?

use anyhow::Result;

use super::repeat::{Spread, twins};
use super::{Errors, Finding, Setting, errors, kind, layers};
use crate::graph::Norm;
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;

pub(super) const CLAIM: &str =
    "From some depth on a deeper plain network has the larger training error; a residual one does not.";

/// Channels of every layer.
const FILTERS: u32 = 8;

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 6, 9, 15, 21, 27, 36, 54], vec![3, 9, 15, 27], vec![1, 2]);
    let seeds = setting.effort.of(3, 3, 1);
    let epochs = setting.effort.of(20, 8, 1);
    let found = setting.repeat("depth", twins(&depths), seeds, |&(count, shortcut), index| {
        let blocks = setting.tower(FILTERS, count, shortcut, Norm::Batch);
        Ok(errors(&setting.train(&setting.recipe("tower", blocks, epochs, setting.seed(index)))?))
    })?;

    let mut table = Table::new(["network", "layers", "training error %", "deviation", "held-out error %", "deviation"]);
    for (&(count, shortcut), all) in found.iter() {
        let [train, train_deviation] = Spread::of(all.iter().map(|e| e.train)).cells(2);
        let [test, test_deviation] = Spread::of(all.iter().map(|e| e.test)).cells(2);
        table.row([kind(shortcut).into(), layers(count).to_string(), train, train_deviation, test, test_deviation]);
    }
    let line = |shortcut: bool, value: fn(&Errors) -> f64| Line {
        name: kind(shortcut).into(),
        points: depths.iter().map(|&n| found.spread((n, shortcut), value).at(layers(n) as f64)).collect(),
    };
    let panel = |title: &str, axis: &str, value: fn(&Errors) -> f64| Panel {
        title: title.into(),
        axes: ["layers of the network".into(), axis.into()],
        logarithmic: false,
        lines: vec![line(false, value), line(true, value)],
    };
    let picture = chart::lines(&[
        panel(&format!("Training error after {epochs} epochs, {seeds} seeds"), "training error (%)", |e| e.train),
        panel("Error on held-out images", "held-out error (%)", |e| e.test),
    ])?;

    // How much the deepest network's training error is above the least one, and the deviation of that difference.
    let [plain, residual] = [false, true].map(|shortcut| {
        let of = |&count: &usize| found.spread((count, shortcut), |e| e.train);
        let all: Vec<Spread> = depths.iter().map(of).collect();
        let best = all.iter().copied().min_by(|a, b| a.mean.total_cmp(&b.mean)).unwrap_or(all[0]);
        let deepest = all[all.len() - 1];
        [deepest.mean - best.mean, deepest.deviation.hypot(best.deviation)]
    });
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
