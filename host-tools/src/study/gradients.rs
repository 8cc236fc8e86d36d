//! Do the gradients of deep plain networks vanish, and do shortcuts keep them?

use anyhow::Result;

use super::repeat::{Kinds, Spread};
use super::{Finding, Setting, kind, layers, slope};
use crate::graph::Norm;
use crate::layers::Net;
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;
use crate::train::{Recipe, Schedule, TrainError, Trainer};

pub(super) const CLAIM: &str = "The gradient of the first layers of deep plain networks decays exponentially with depth; \
     with shortcuts it does not.";

/// Channels of every layer: all gradients have as many elements.
const FILTERS: u32 = 16;
/// Layers at each end whose gradients are compared.
const ENDS: usize = 3;
/// What a gradient is multiplied with per layer where it is said to decay, at most.
const DECAY: f64 = 0.98;

/// How a network starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Weights of variance 1 / fan-in, as was usual before ReLU; nothing normalizes.
    Xavier,
    /// Weights of variance 2 / fan-in, made for ReLU; nothing normalizes.
    He,
    /// Batch normalization, to which the weights' variance is all the same.
    Batch,
}

impl Start {
    const ALL: [Self; 3] = [Self::Xavier, Self::He, Self::Batch];

    const fn name(self) -> &'static str {
        match self {
            Start::Xavier => "Xavier",
            Start::He => "He",
            Start::Batch => "batch norm",
        }
    }
}

/// A kind of network.
type Kind = (bool, Start);

/// A network that was watched.
struct Watched {
    /// Per step that was looked at: its number, and the gradient norm of each convolution from first to last.
    norms: Vec<(usize, Vec<f64>)>,
    diverged: bool,
}

impl Watched {
    /// The norms at a step.
    fn at(&self, step: usize) -> Option<&[f64]> {
        self.norms.iter().find(|(s, _)| *s == step).map(|(_, norms)| norms.as_slice())
    }
}

/// Euclidean norms of the gradients of the blocks' convolutions, first to last.
fn norms(net: &mut Net<f32>) -> Vec<f64> {
    let body = net.slots().filter(|slot| slot.spec.decays && slot.spec.name.contains("_conv"));
    body.map(|slot| slot.gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt()).collect()
}

/// Decimal logarithm of the geometric mean.
fn log_mean(norms: &[f64]) -> f64 {
    norms.iter().map(|n| n.log10()).sum::<f64>() / norms.len().max(1) as f64
}

/// Logarithm of the first layers' gradient.
fn first(norms: &[f64]) -> f64 {
    log_mean(&norms[..ENDS.min(norms.len())])
}

/// Logarithm of the first layers' gradient over the last layers'.
fn ratio(norms: &[f64]) -> f64 {
    first(norms) - log_mean(&norms[norms.len() - ENDS.min(norms.len())..])
}

fn watch(setting: &Setting<'_>, count: usize, kind: Kind, steps: &[usize], seed: u64) -> Result<Watched> {
    let (shortcut, start) = kind;
    let norm = if start == Start::Batch { Norm::Batch } else { Norm::None };
    // A rate that networks without normalization bear too.
    let schedule = Schedule::Constant { rate: 0.01 };
    let recipe = Recipe { schedule, ..setting.recipe("tower", setting.tower(FILTERS, count, shortcut, norm), 1, seed) };
    let mut trainer = Trainer::new(&recipe, setting.data)?;
    if start == Start::Xavier {
        let mut params = trainer.params();
        for spec in trainer.graph().param_specs().iter().filter(|spec| spec.decays && spec.dims.len() == 4) {
            if let Some(weights) = params.get_mut(&spec.name) {
                *weights *= std::f32::consts::FRAC_1_SQRT_2;
            }
        }
        trainer.start_from(&params)?;
    }
    let mut found = Vec::new();
    let end = trainer.watch(steps.last().map_or(0, |last| last + 1), |step, net| {
        if steps.contains(&step) {
            found.push((step, norms(net)));
        }
    });
    match end {
        Ok(()) | Err(TrainError::Diverged { .. }) => Ok(Watched { norms: found, diverged: end.is_err() }),
        Err(error) => Err(error.into()),
    }
}

/// All that was watched.
struct Measured {
    depths: Vec<usize>,
    steps: Vec<usize>,
    kinds: Vec<Kind>,
    watched: Kinds<(usize, Kind), Watched>,
}

impl Measured {
    fn of(&self, count: usize, kind: Kind) -> impl Iterator<Item = &Watched> {
        self.watched.of((count, kind)).iter()
    }

    /// Mean and deviation, over the seeds, of a logarithm at a step; none when all had diverged before.
    fn logs(&self, count: usize, kind: Kind, step: usize, log: fn(&[f64]) -> f64) -> Option<[f64; 2]> {
        let all = self.of(count, kind).filter_map(|w| w.at(step)).map(log).filter(|log| log.is_finite());
        let spread = Spread::of(all);
        (spread.count > 0).then(|| spread.pair())
    }

    /// Against depth, before training: points for a picture with error bars.
    fn against_depth(&self, kind: Kind, log: fn(&[f64]) -> f64) -> Vec<[f64; 3]> {
        let point = |&count: &usize| {
            let [mean, deviation] = self.logs(count, kind, 0, log)?;
            let value = 10f64.powf(mean);
            Some([layers(count) as f64, value, value * (10f64.powf(deviation) - 1.0)])
        };
        self.depths.iter().filter_map(point).collect()
    }

    /// What the value is multiplied with per layer of depth: the slope of its logarithm.
    fn factor(&self, kind: Kind, log: fn(&[f64]) -> f64) -> f64 {
        let points: Vec<[f64; 2]> = self.against_depth(kind, log).iter().map(|p| [p[0], p[1].log10()]).collect();
        10f64.powf(slope(&points))
    }

    fn lines(&self, points: impl Fn(Kind) -> Vec<[f64; 3]>) -> Vec<Line> {
        self.kinds.iter().map(|&kind| Line { name: name(kind), points: points(kind) }).collect()
    }
}

fn name((shortcut, start): Kind) -> String {
    format!("{}, {}", kind(shortcut), start.name())
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 6, 9, 15, 21, 27, 36, 54], vec![3, 9, 27, 54], vec![3, 6]);
    let seeds = setting.effort.of(3, 3, 1);
    let steps = setting.effort.of(vec![0, 1, 2, 5, 10, 20, 50, 100, 200], vec![0, 1, 5, 20], vec![0, 1]);
    let kinds: Vec<Kind> =
        [false, true].into_iter().flat_map(|shortcut| Start::ALL.map(|start| (shortcut, start))).collect();
    let all: Vec<(usize, Kind)> =
        depths.iter().flat_map(|&count| kinds.iter().map(move |&kind| (count, kind))).collect();
    let watched = setting.repeat("vanishing-gradients", all, seeds, |&(count, kind), index| {
        watch(setting, count, kind, &steps, setting.seed(index))
    })?;
    let measured = Measured { depths, steps, kinds, watched };
    let Measured { depths, steps, kinds, .. } = &measured;

    let mut rates = Table::new([
        "network",
        "start",
        "first layers: factor per layer",
        "first/last: factor per layer",
        "first/last, deepest",
    ]);
    let mut table = Table::new([
        "network",
        "start",
        "layers",
        "step",
        "first layers",
        "first/last",
        "deviation (decades)",
        "diverged",
    ]);
    for &kind in kinds {
        let (shortcut, start) = kind;
        let deepest = measured.against_depth(kind, ratio).last().map_or(f64::NAN, |p| p[1]);
        rates.row([
            super::kind(shortcut).into(),
            start.name().into(),
            format!("{:.3}", measured.factor(kind, first)),
            format!("{:.3}", measured.factor(kind, ratio)),
            format!("{deepest:.2e}"),
        ]);
        for &count in depths {
            for &step in steps {
                let both = (measured.logs(count, kind, step, first), measured.logs(count, kind, step, ratio));
                let (Some([first, _]), Some([ratio, deviation])) = both else { continue };
                table.row([
                    super::kind(shortcut).into(),
                    start.name().into(),
                    layers(count).to_string(),
                    step.to_string(),
                    format!("{:.3e}", 10f64.powf(first)),
                    format!("{:.3e}", 10f64.powf(ratio)),
                    format!("{deviation:.2}"),
                    measured.of(count, kind).filter(|w| w.diverged).count().to_string(),
                ]);
            }
        }
    }
    let pictures = vec![("gradients", picture(&measured, setting.seed(0))?)];

    let plain = Start::ALL.map(|start| measured.factor((false, start), first));
    let residual = Start::ALL.map(|start| measured.factor((true, start), first));
    let ratios = [false, true].map(|shortcut| measured.factor((shortcut, Start::Batch), ratio));
    let decays = |factor: f64| factor < DECAY;
    let verdict = format!(
        "Per layer of depth the gradient of the first layers of plain networks is multiplied by {:.3} with Xavier's initialization, {:.3} \
         with He's, {:.3} with batch normalization; that of residual ones by {:.3}, {:.3} and {:.3}; below {DECAY} counts as decay. {} \
         Against the last layers' gradient, batch normalization makes that of the first grow by {:.3} per layer in plain \
         networks and {:.3} in residual ones: each normalization divides the gradient by the deviation that it takes out.",
        plain[0],
        plain[1],
        plain[2],
        residual[0],
        residual[1],
        residual[2],
        match (decays(plain[0]), decays(plain[1]), decays(plain[2])) {
            (true, false, false) =>
                "So plain gradients vanish where neither initialization nor normalization is made for ReLU; either of the two cures it.",
            (true, true, false) => "So plain gradients vanish without normalization, and batch normalization cures it.",
            (true, true, true) => "So plain gradients vanish however they start.",
            _ => "So these plain networks do not show what is claimed.",
        },
        ratios[0],
        ratios[1],
    );
    let held = decays(plain[0]) && !residual.into_iter().any(decays);
    Ok(Finding { held, verdict, tables: vec![("rates", rates), ("ratios", table)], pictures, ..Finding::default() })
}

fn picture(measured: &Measured, first_seed: u64) -> Result<String> {
    let deepest = measured.depths.last().copied().unwrap_or(0);
    let panel = |title: String, x: &str, y: &str, lines: Vec<Line>| Panel {
        title,
        axes: [x.into(), y.into()],
        logarithmic: true,
        lines,
    };
    let per_layer = |kind: Kind| {
        let norms = measured.of(deepest, kind).next().and_then(|w| w.at(0)).unwrap_or_default();
        norms.iter().enumerate().map(|(at, norm)| [at as f64 + 1.0, *norm, 0.0]).collect()
    };
    let over_time = |kind: Kind| {
        let at =
            |&step: &usize| measured.logs(deepest, kind, step, ratio).map(|log| [step as f64, 10f64.powf(log[0]), 0.0]);
        measured.steps.iter().filter_map(at).collect()
    };
    chart::lines(&[
        panel(
            "Gradient of the first layers before training".into(),
            "layers of the network",
            "norm of the weights' gradient",
            measured.lines(|kind| measured.against_depth(kind, first)),
        ),
        panel(
            "Gradient of the first layers over that of the last, before training".into(),
            "layers of the network",
            "ratio of gradient norms",
            measured.lines(|kind| measured.against_depth(kind, ratio)),
        ),
        panel(
            format!("Gradient of each layer of {} before training, seed {first_seed}", layers(deepest)),
            "convolution, from the input to the output",
            "norm of the weights' gradient",
            measured.lines(per_layer),
        ),
        panel(
            format!("First layers over last layers while {} layers are trained", layers(deepest)),
            "training step",
            "ratio of gradient norms",
            measured.lines(over_time),
        ),
    ])
}
