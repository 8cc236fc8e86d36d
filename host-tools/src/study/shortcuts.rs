//! Which shortcut is best, and what makes up for normalization?

use anyhow::Result;

use super::repeat::Spread;
use super::{Errors, Finding, Setting, errors};
use crate::graph::{Block, Form, Norm};
use crate::report::chart::{self, Bars};
use crate::report::table::{Table, grouped};
use crate::train::{TrainError, Trainer};

pub(super) const CLAIM: &str = "The best shortcut is the input itself: halved, or convolved at every block, a deep network learns worse. \
     Without batch normalization a branch that begins at zero makes it learn.";

/// Channels of the first half of the blocks; the second has twice as many, on a quarter of the pixels.
const FILTERS: u32 = 8;

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Identity,
    Form(Form),
    BarePlain,
    BareIdentity,
    SkipInit,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Plain,
        Self::Identity,
        Self::Form(Form::Padded),
        Self::Form(Form::Convolved),
        Self::Form(Form::Halved),
        Self::Form(Form::PreActivation),
        Self::BarePlain,
        Self::BareIdentity,
        Self::SkipInit,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Identity => "identity",
            Self::Form(Form::Padded) => "identity, zero channels",
            Self::Form(Form::Convolved) => "1x1 at every block",
            Self::Form(Form::Halved) => "halved",
            Self::Form(Form::PreActivation) => "identity, pre-activation",
            Self::Form(Form::Scaled) | Self::SkipInit => "no norm, branches from zero",
            Self::BarePlain => "no norm, plain",
            Self::BareIdentity => "no norm, identity",
        }
    }

    const fn norm(self) -> Norm {
        match self {
            Self::Plain | Self::Identity | Self::Form(_) => Norm::Batch,
            Self::BarePlain | Self::BareIdentity | Self::SkipInit => Norm::None,
        }
    }

    fn block(self, filters: u32, stride: u32) -> Block {
        let (norm, shortcut) = (self.norm(), !matches!(self, Self::Plain | Self::BarePlain));
        match self {
            Self::Form(form) => Block::ResidualForm { filters, stride, form, norm },
            Self::SkipInit => Block::ResidualForm { filters, stride, form: Form::Scaled, norm },
            _ => Block::Residual { filters, stride, shortcut, norm },
        }
    }

    fn blocks(self, setting: &Setting<'_>, count: usize) -> Vec<Block> {
        let mut blocks = setting.stem(FILTERS, self.norm());
        blocks.extend((0..count).map(|_| self.block(FILTERS, 1)));
        blocks.extend((0..count).map(|index| self.block(2 * FILTERS, if index == 0 { 2 } else { 1 })));
        blocks
    }
}

/// What was trained.
struct Found {
    errors: Errors,
    diverged: bool,
    parameters: usize,
}

fn train(setting: &Setting<'_>, kind: Kind, count: usize, epochs: usize, seed: u64) -> Result<Found> {
    let recipe = setting.recipe("shortcuts", kind.blocks(setting, count), epochs, seed);
    let mut trainer = Trainer::new(&recipe, setting.data)?;
    let mut params = trainer.params();
    for spec in trainer.graph().param_specs().iter().filter(|spec| spec.name.ends_with("_scale.weight")) {
        if let Some(factors) = params.get_mut(&spec.name) {
            factors.fill(0.0);
        }
    }
    trainer.start_from(&params)?;
    let parameters = trainer.graph().trainable_len();
    // Who diverges guesses.
    let guess = 100.0 * (1.0 - 1.0 / setting.data.classes.len() as f64);
    match trainer.train(None, |_| {}) {
        Ok(_) => Ok(Found { errors: errors(&trainer.finish()), diverged: false, parameters }),
        Err(TrainError::Diverged { .. }) => {
            Ok(Found { errors: Errors { train: guess, test: guess }, diverged: true, parameters })
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let count = setting.effort.of(9, 9, 1);
    let [seeds, epochs] = setting.effort.of([3, 8], [2, 4], [1, 1]);
    let found = setting.repeat("shortcuts", Kind::ALL, seeds, |&kind, index| {
        train(setting, kind, count, epochs, setting.seed(index))
    })?;
    let layers = 4 * count + 2;
    let mut table = Table::new([
        "shortcut",
        "layers",
        "parameters",
        "training error %",
        "deviation",
        "held-out error %",
        "deviation",
        "diverged",
    ]);
    for (kind, all) in found.iter() {
        let [train, train_deviation] = Spread::of(all.iter().map(|f| f.errors.train)).cells(2);
        let [test, test_deviation] = Spread::of(all.iter().map(|f| f.errors.test)).cells(2);
        table.row([
            kind.name().into(),
            layers.to_string(),
            grouped(all[0].parameters as u64),
            train,
            train_deviation,
            test,
            test_deviation,
            all.iter().filter(|f| f.diverged).count().to_string(),
        ]);
    }
    let of = |kind: Kind| found.spread(kind, |f| f.errors.train);
    let picture = chart::bars(&Bars {
        title: format!("Training error of {layers} layers after {epochs} epochs, {seeds} seeds"),
        axis: "training error (%)".into(),
        groups: Kind::ALL.map(|kind| kind.name().into()).to_vec(),
        series: vec![("mean and deviation".into(), Kind::ALL.map(|kind| of(kind).pair()).to_vec())],
        exclusive: false,
    })?;
    let more = |kind: Kind| of(kind).over(of(Kind::Identity));
    let [halved, convolved, padded, before] =
        [Form::Halved, Form::Convolved, Form::Padded, Form::PreActivation].map(|form| more(Kind::Form(form)));
    let [plain, bare, zero] = [Kind::BarePlain, Kind::BareIdentity, Kind::SkipInit].map(of);
    let verdict = format!(
        "Training error of {layers} layers against {:.2} % with the input itself, +- two standard errors: halved {halved}, convolved \
         {convolved}, zero channels instead of projections {padded}, pre-activation {before}. Without batch normalization {:.2} % plain, \
         {:.2} % with shortcuts, {:.2} % with branches that begin at zero, {} less than plain.",
        of(Kind::Identity).mean,
        plain.mean,
        bare.mean,
        zero.mean,
        plain.over(zero)
    );
    let held = halved.is_more() && convolved.is_more() && plain.over(zero).is_more();
    let tables = vec![("forms", table)];
    Ok(Finding { held, verdict, tables, pictures: vec![("shortcuts", picture)], ..Finding::default() })
}
