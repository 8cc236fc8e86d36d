//! How easily does a block learn to be the identity?

use anyhow::Result;
use ndarray::Array4;

use super::repeat::{Spread, twins};
use super::{Finding, Setting, errors, kind, storeys};
use crate::graph::{Graph, Norm};
use crate::layers;
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;
use crate::train::{Event, Recipe, Schedule, Trainer};

pub(super) const CLAIM: &str = "Blocks with shortcuts can be stacked upon a trained network at little risk: they learn to do no harm; plain ones do harm.";

/// Channels of every layer.
const FILTERS: u32 = 16;
/// Blocks of the network that is trained first.
const BASE: usize = 2;
/// Steps whose losses are averaged into a point of the picture.
const SMOOTH: usize = 10;
/// Blocks of the network whose branches are measured.
const TALL: usize = 8;
/// Images on which branches are measured.
const PROBES: usize = 64;

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let inserted = setting.effort.of(vec![1, 2, 4, 8, 16], vec![1, 4, 8], vec![1]);
    let seeds = setting.effort.of(3, 3, 1);
    let [first, second] = setting.effort.of([20, 10], [10, 4], [1, 1]);
    let bases = setting.repeat("identity: base", [()], seeds, |(), index| {
        let blocks = setting.tower(FILTERS, BASE, true, Norm::Batch);
        Ok(setting.train(&setting.recipe("base", blocks, first, setting.seed(index)))?)
    })?;
    let kinds = std::iter::once((0, true)).chain(twins(&inserted));
    let losses = setting.repeat("identity: inserted", kinds, seeds, |&(count, shortcut), index| {
        let mut blocks = setting.tower(FILTERS, BASE, true, Norm::Batch);
        blocks.extend(storeys(FILTERS, count, shortcut, Norm::Batch));
        let recipe = Recipe {
            schedule: Schedule::Constant { rate: 0.01 },
            ..setting.recipe("extended", blocks, second, setting.seed(100 + index))
        };
        let mut trainer = Trainer::new(&recipe, setting.data)?;
        trainer.start_from(&bases.of(())[index].params)?;
        let mut losses = Vec::new();
        trainer.train(None, |event| {
            if let Event::Step { loss, .. } = event {
                losses.push(loss);
            }
        })?;
        Ok((losses, errors(&trainer.finish()).train))
    })?;

    let mut table = Table::new([
        "inserted",
        "blocks",
        "training error %",
        "deviation",
        "loss of the first steps",
        "loss of the last steps",
    ]);
    let mut curves = Vec::new();
    for (&(count, shortcut), found) in losses.iter() {
        let steps = found.iter().map(|found| found.0.len()).min().unwrap_or(0);
        let loss = |step: usize| found.iter().map(|found| found.0[step]).sum::<f64>() / found.len().max(1) as f64;
        let points: Vec<[f64; 3]> = (0..steps / SMOOTH.min(steps.max(1)))
            .map(|at| {
                let some = at * SMOOTH..((at + 1) * SMOOTH).min(steps);
                let middle = (some.start + some.end) as f64 / 2.0;
                [middle, some.clone().map(loss).sum::<f64>() / some.len() as f64, 0.0]
            })
            .collect();
        let name = if count == 0 { "nothing inserted".into() } else { format!("{count} {}", kind(shortcut)) };
        let [error, deviation] = Spread::of(found.iter().map(|found| found.1)).cells(2);
        let end = |point: Option<&[f64; 3]>| point.map_or(String::new(), |p| format!("{:.4}", p[1]));
        table.row([
            if count == 0 { "nothing".into() } else { kind(shortcut).into() },
            count.to_string(),
            error,
            deviation,
            end(points.first()),
            end(points.last()),
        ]);
        let extremes = [inserted.first(), inserted.last()];
        if count == 0 || extremes.contains(&Some(&count)) {
            curves.push(Line { name, points });
        }
    }
    let (branches, norms) = branches(setting, first)?;
    let picture = chart::lines(&[
        Panel {
            title: format!("Loss after fresh blocks were put upon a trained network, {seeds} seeds"),
            axes: ["training step".into(), "loss".into()],
            logarithmic: true,
            lines: curves,
        },
        Panel {
            title: format!("What the branches of {TALL} residual blocks add to their shortcuts"),
            axes: ["epoch".into(), "branch over shortcut (rms)".into()],
            logarithmic: false,
            lines: branches,
        },
    ])?;

    let most = inserted.last().copied().unwrap_or(0);
    let error = |count: usize, shortcut: bool| losses.spread((count, shortcut), |found| found.1).mean;
    let (without, plain, residual) = (error(0, true), error(most, false), error(most, true));
    // Little harm: a point of error, or, where learning has only begun, a quarter of what plain blocks do.
    let held = residual <= without + f64::max(1.0, (plain - without) / 4.0) && plain > residual + 1.0;
    let verdict = format!(
        "With {most} fresh blocks the training error after {second} epochs is {residual:.2} % if they have shortcuts and {plain:.2} % \
         if they are plain; without fresh blocks it is {without:.2} %."
    );
    let tables = vec![("inserted", table), ("branches", norms)];
    Ok(Finding { held, verdict, tables, pictures: vec![("identity", picture)], ..Finding::default() })
}

/// Per epoch of a residual network's training, the size of each branch relative to its shortcut.
fn branches(setting: &Setting<'_>, epochs: usize) -> Result<(Vec<Line>, Table)> {
    let mut lines: Vec<Line> =
        (1..=TALL).map(|block| Line { name: format!("block {block}"), points: Vec::new() }).collect();
    let mut table = Table::new(["epoch", "block", "branch/shortcut"]);
    let probes = setting.data.test.select(&setting.data.test.spaced(PROBES));
    let blocks = setting.tower(FILTERS, TALL, true, Norm::Batch);
    let below = blocks.len() - TALL;
    let recipe = Recipe {
        schedule: Schedule::Constant { rate: 0.02 },
        ..setting.recipe("tall", blocks, epochs, setting.seed(0))
    };
    let mut trainer = Trainer::new(&recipe, setting.data)?;
    let graph = trainer.graph().clone();
    let images = layers::preprocess(&graph.preprocess, &probes.images.view());
    let per_epoch = trainer.steps_per_epoch();
    let mut snapshots = Vec::new();
    trainer.watch(epochs * per_epoch + 1, |step, net| {
        if step % per_epoch == 0 {
            snapshots.push(net.params());
        }
    })?;
    for (epoch, params) in snapshots.iter().enumerate() {
        let values = layers::forward(&graph, params, &images.view())?;
        for (block, line) in (1..=TALL).zip(&mut lines) {
            if let Some(share) = share(&graph, &values, below + block) {
                line.points.push([epoch as f64, share, 0.0]);
                table.row([epoch.to_string(), block.to_string(), format!("{share:.4}")]);
            }
        }
    }
    // Every other block: eight lines cannot be told apart.
    Ok((lines.into_iter().step_by(2).collect(), table))
}

/// Root mean square of the branch of a network's block, counted from 1, over that of its shortcut.
fn share(graph: &Graph, values: &[Array4<f32>], block: usize) -> Option<f64> {
    let sum = graph.find(&format!("b{block}_add"))?;
    let rms = |index: usize| {
        let id = graph.node(sum).inputs[index].0;
        (values[id].iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values[id].len() as f64).sqrt()
    };
    Some(rms(0) / rms(1).max(f64::MIN_POSITIVE))
}
