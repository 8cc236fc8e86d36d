//! What is each branch of an Inception module worth?

use anyhow::{Context, Result};

use super::{Finding, Setting, mean_and_deviation};
use crate::data::Source;
use crate::graph::{Block, Branch, zoo};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};

pub(super) const CLAIM: &str =
    "Each branch of an Inception module contributes: trained without any one of them the network is worse.";

const fn name(without: Option<Branch>) -> &'static str {
    match without {
        None => "all branches",
        Some(Branch::One) => "without 1x1",
        Some(Branch::Three) => "without 3x3",
        Some(Branch::Five) => "without 5x5",
        Some(Branch::Pool) => "without pool",
    }
}

/// The zoo's Inception network for these images, and the seeds and epochs of its trainings.
pub(super) fn network(setting: &Setting<'_>) -> (&'static str, usize, usize) {
    let effort = setting.effort;
    if *setting.source == Source::Digits {
        ("digits-inception", effort.of(10, 5, 1), effort.of(30, 15, 1))
    } else {
        // Forty times the work per image, and more images to tell networks apart by.
        ("inception-small", effort.of(3, 3, 1), effort.of(20, 3, 1))
    }
}

fn ablated(of: &str, missing: Option<Branch>) -> Result<Vec<Block>> {
    let mut blocks = zoo::find(of)?.blocks;
    for block in &mut blocks {
        if let Block::Inception { without, .. } = block {
            *without = missing;
        }
    }
    Ok(blocks)
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let (of, seeds, epochs) = network(setting);
    let variants: Vec<Option<Branch>> = std::iter::once(None).chain(Branch::ALL.map(Some)).collect();
    let jobs: Vec<_> = variants.iter().flat_map(|&v| (0..seeds).map(move |index| (v, setting.seed(index)))).collect();
    let trained = setting.all("branches", &jobs, |&(without, seed)| {
        let trained = setting.train(&setting.recipe(of, ablated(of, without)?, epochs, seed))?;
        let loss = trained.history.last().map_or(f64::NAN, |e| e.loss);
        Ok((100.0 * trained.accuracy(), loss, trained.graph.trainable_len() as u64, trained.graph.macs()))
    })?;
    let mut table =
        Table::new(["network", "parameters", "MACs", "held-out error %", "deviation", "training loss", "deviation"]);
    let mut errors = Vec::new();
    let mut losses = Vec::new();
    for &without in &variants {
        let found: Vec<_> =
            jobs.iter().zip(&trained).filter(|(job, _)| job.0 == without).map(|(_, found)| found).collect();
        let first = found.first().context("no seed")?;
        let error = mean_and_deviation(&found.iter().map(|f| 100.0 - f.0).collect::<Vec<_>>());
        let loss = mean_and_deviation(&found.iter().map(|f| f.1).collect::<Vec<_>>());
        table.row([
            name(without).into(),
            grouped(first.2),
            grouped(first.3),
            format!("{:.2}", error[0]),
            format!("{:.2}", error[1]),
            format!("{:.4}", loss[0]),
            format!("{:.4}", loss[1]),
        ]);
        errors.push(error);
        losses.push(loss);
    }
    let chart = |title: String, axis: &str, values: &[[f64; 2]]| {
        chart::bars(&Bars {
            title,
            axis: axis.into(),
            groups: variants.iter().map(|&without| name(without).into()).collect(),
            series: vec![(format!("mean and deviation of {seeds} seeds"), values.to_vec())],
            exclusive: false,
        })
    };
    let pictures = vec![
        (
            "branches-error",
            chart(format!("{of}: error on held-out images, {epochs} epochs"), "held-out error (%)", &errors)?,
        ),
        ("branches-loss", chart(format!("{of}: training loss, {epochs} epochs"), "training loss", &losses)?),
    ];
    // By the loss, which tells more than a handful of held-out images, and by two standard errors of the difference.
    let doubt = |loss: &[f64; 2]| 2.0 * loss[1].hypot(losses[0][1]) / (seeds as f64).sqrt();
    let worse: Vec<bool> = losses[1..].iter().map(|loss| loss[0] - losses[0][0] > doubt(loss)).collect();
    let list = variants[1..]
        .iter()
        .zip(losses[1..].iter().zip(&errors[1..]))
        .map(|(&v, (loss, error))| {
            let more = [loss[0] - losses[0][0], error[0] - errors[0][0]];
            format!("{} {:+.4} +- {:.4} ({:+.2} points of error)", name(v), more[0], doubt(loss), more[1])
        })
        .collect::<Vec<_>>()
        .join(", ");
    let verdict =
        format!("Training loss against that with all branches ({:.4}), +- two standard errors: {list}.", losses[0][0]);
    Ok(Finding {
        held: worse.iter().all(|w| *w),
        verdict,
        tables: vec![("branches", table)],
        pictures,
        ..Finding::default()
    })
}
