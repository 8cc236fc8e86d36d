//! What is each branch of an Inception module worth?

use anyhow::{Context, Result};

use super::repeat::Spread;
use super::{Finding, SIDE, Setting, errors};
use crate::data::Source;
use crate::graph::{Block, Branch, zoo};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};

pub(super) const CLAIM: &str =
    "Each branch of an Inception module contributes: trained without any one of them the network is worse.";

const NAME: &str = "digits-inception";

const fn name(without: Option<Branch>) -> &'static str {
    match without {
        None => "all branches",
        Some(Branch::One) => "without 1x1",
        Some(Branch::Three) => "without 3x3",
        Some(Branch::Five) => "without 5x5",
        Some(Branch::Pool) => "without pool",
    }
}

/// The zoo's Inception network that studies train, and the seeds and epochs of its trainings.
pub(super) fn network(setting: &Setting<'_>) -> (&'static str, usize, usize) {
    let effort = setting.effort;
    let [seeds, epochs] = effort.of([10, 30], [5, 15], [1, 1]);
    // Other images take several times the work.
    if *setting.source == Source::Digits {
        (NAME, seeds, epochs)
    } else {
        (NAME, seeds.div_ceil(2), epochs.div_ceil(2))
    }
}

/// Its blocks. A large image is halved first, so that a 5x5 is one of many places in a map.
pub(super) fn blocks(setting: &Setting<'_>) -> Result<Vec<Block>> {
    let mut blocks = zoo::find(NAME)?.blocks;
    let [h, w, _] = setting.data.image_shape();
    if let Some(Block::Conv { stride, .. }) = blocks.first_mut().filter(|_| h.max(w) > 2 * SIDE) {
        *stride = 2;
    }
    Ok(blocks)
}

fn ablated(setting: &Setting<'_>, missing: Option<Branch>) -> Result<Vec<Block>> {
    let mut blocks = blocks(setting)?;
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
    let trained = setting.repeat("branches", variants.iter().copied(), seeds, |&without, index| {
        let trained = setting.train(&setting.recipe(of, ablated(setting, without)?, epochs, setting.seed(index)))?;
        let loss = trained.history.last().map_or(f64::NAN, |e| e.loss);
        Ok((errors(&trained).test, loss, trained.graph.trainable_len() as u64, trained.graph.macs()))
    })?;
    let mut table =
        Table::new(["network", "parameters", "MACs", "held-out error %", "deviation", "training loss", "deviation"]);
    let mut test_errors = Vec::new();
    let mut losses = Vec::new();
    for (&without, found) in trained.iter() {
        let &(_, _, parameters, macs) = found.first().context("no seed")?;
        let (error, loss) = (Spread::of(found.iter().map(|f| f.0)), Spread::of(found.iter().map(|f| f.1)));
        let ([error_mean, error_deviation], [loss_mean, loss_deviation]) = (error.cells(2), loss.cells(4));
        table.row([
            name(without).into(),
            grouped(parameters),
            grouped(macs),
            error_mean,
            error_deviation,
            loss_mean,
            loss_deviation,
        ]);
        test_errors.push(error);
        losses.push(loss);
    }
    let chart = |title: String, axis: &str, values: &[Spread]| {
        chart::bars(&Bars {
            title,
            axis: axis.into(),
            groups: variants.iter().map(|&without| name(without).into()).collect(),
            series: vec![(
                format!("mean and deviation of {seeds} seeds"),
                values.iter().map(|spread| spread.pair()).collect(),
            )],
            exclusive: false,
        })
    };
    let pictures = vec![
        (
            "branches-error",
            chart(format!("{of}: error on held-out images, {epochs} epochs"), "held-out error (%)", &test_errors)?,
        ),
        ("branches-loss", chart(format!("{of}: training loss, {epochs} epochs"), "training loss", &losses)?),
    ];
    // By the loss, which tells more than a handful of held-out images.
    let worse: Vec<_> = losses[1..].iter().map(|loss| loss.over(losses[0])).collect();
    let list = variants[1..]
        .iter()
        .zip(worse.iter().zip(&test_errors[1..]))
        .map(|(&v, (worse, error))| {
            format!("{} {worse:.4} ({:+.2} points of error)", name(v), error.over(test_errors[0]).mean)
        })
        .collect::<Vec<_>>()
        .join(", ");
    let verdict = format!(
        "Training loss against that with all branches ({:.4}), +- two standard errors: {list}.",
        losses[0].mean
    );
    Ok(Finding {
        held: worse.iter().all(|worse| worse.is_more()),
        verdict,
        tables: vec![("branches", table)],
        pictures,
        ..Finding::default()
    })
}
