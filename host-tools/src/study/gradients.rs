//! Do the gradients of deep plain networks vanish, and do shortcuts keep them?

use anyhow::Result;

use super::{Finding, Setting, kind, layers, mean_and_deviation, seed, slope, tower};
use crate::graph::Norm;
use crate::layers::Net;
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;
use crate::train::{Schedule, TrainError, Trainer};

pub(super) const CLAIM: &str = "The gradient of the first layers of deep plain networks decays exponentially with depth; \
     with shortcuts it does not.";

/// Channels of every layer: all gradients have as many elements.
const FILTERS: u32 = 16;
/// Layers at each end whose gradients are compared.
const ENDS: usize = 3;
/// A claim of decay wants at least this factor per layer.
const DECAY: f64 = 0.98;

/// A network that was watched.
struct Watched {
    count: usize,
    shortcut: bool,
    norm: Norm,
    /// Per step that was looked at: its number, and the gradient norm of each convolution from first to last.
    norms: Vec<(usize, Vec<f64>)>,
    /// Whether it diverged before the last step.
    diverged: bool,
}

/// Euclidean norms of the gradients of the blocks' convolutions, first to last.
fn norms(net: &mut Net<f32>) -> Vec<f64> {
    let body = net.slots().filter(|slot| slot.spec.decays && slot.spec.name.contains("_conv"));
    body.map(|slot| slot.gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt()).collect()
}

/// The first layers' gradient over the last layers', as geometric means.
fn ratio(norms: &[f64]) -> f64 {
    let ends = ENDS.min(norms.len());
    let log_mean =
        |part: &[f64]| part.iter().map(|n| n.max(f64::MIN_POSITIVE).log10()).sum::<f64>() / ends.max(1) as f64;
    10f64.powf(log_mean(&norms[..ends]) - log_mean(&norms[norms.len() - ends..]))
}

const fn normed(norm: Norm) -> &'static str {
    match norm {
        Norm::Batch => "batch norm",
        Norm::None => "no norm",
    }
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 6, 9, 15, 21, 27, 54], vec![3, 9, 15, 27], vec![3, 6]);
    let seeds = setting.effort.of(3, 3, 1);
    let steps = setting.effort.of(vec![0, 1, 2, 5, 10, 20, 50, 100, 200], vec![0, 1, 5, 20], vec![0, 1]);
    let kinds: Vec<(bool, Norm)> =
        [false, true].into_iter().flat_map(|shortcut| [(shortcut, Norm::None), (shortcut, Norm::Batch)]).collect();
    let jobs: Vec<_> = depths
        .iter()
        .flat_map(|&count| kinds.iter().map(move |&(shortcut, norm)| (count, shortcut, norm)))
        .flat_map(|(count, shortcut, norm)| (0..seeds).map(move |index| (count, shortcut, norm, seed(index))))
        .collect();
    let watched = setting.all("vanishing-gradients", &jobs, |&(count, shortcut, norm, seed)| {
        let blocks = tower(FILTERS, count, shortcut, norm);
        let mut recipe = setting.recipe("tower", blocks, 1, seed);
        // One that networks without normalization bear too.
        recipe.schedule = Schedule::Constant { rate: 0.01 };
        let mut trainer = Trainer::new(&recipe, setting.data)?;
        let mut found = Vec::new();
        let last = steps.last().copied().unwrap_or(0);
        let end = trainer.watch(last + 1, |step, net| {
            if steps.contains(&step) {
                found.push((step, norms(net)));
            }
        });
        let diverged = match end {
            Ok(()) => false,
            Err(TrainError::Diverged { .. }) => true,
            Err(error) => return Err(error.into()),
        };
        Ok(Watched { count, shortcut, norm, norms: found, diverged })
    })?;

    let mut table = Table::new(["network", "norm", "layers", "step", "first/last", "deviation", "diverged"]);
    let mut rates = Table::new(["network", "norm", "factor per layer", "first/last of the deepest"]);
    let (mut against_depth, mut over_time) = (Vec::new(), Vec::new());
    let mut factors = Vec::new();
    for &(shortcut, norm) in &kinds {
        let of =
            |count: usize| watched.iter().filter(move |w| w.count == count && w.shortcut == shortcut && w.norm == norm);
        // Logarithms of the ratios at a step, over the seeds.
        let logs = |count: usize, step: usize| -> Vec<f64> {
            let at = |w: &Watched| w.norms.iter().find(|(s, _)| *s == step).map(|(_, norms)| ratio(norms).log10());
            of(count).filter_map(at).filter(|log| log.is_finite()).collect()
        };
        for &count in &depths {
            for &step in &steps {
                let logs = logs(count, step);
                if logs.is_empty() {
                    continue;
                }
                let [mean, deviation] = mean_and_deviation(&logs);
                table.row([
                    kind(shortcut).into(),
                    normed(norm).into(),
                    layers(count).to_string(),
                    step.to_string(),
                    format!("{:.3e}", 10f64.powf(mean)),
                    format!("{:.2} decades", deviation),
                    of(count).filter(|w| w.diverged).count().to_string(),
                ]);
            }
        }
        let name = format!("{}, {}", kind(shortcut), normed(norm));
        let means: Vec<[f64; 2]> = depths
            .iter()
            .filter(|&&count| !logs(count, 0).is_empty())
            .map(|&count| [layers(count) as f64, mean_and_deviation(&logs(count, 0))[0]])
            .collect();
        let factor = 10f64.powf(slope(&means));
        let deepest = means.last().map_or(f64::NAN, |p| 10f64.powf(p[1]));
        rates.row([kind(shortcut).into(), normed(norm).into(), format!("{factor:.4}"), format!("{deepest:.3e}")]);
        factors.push((shortcut, norm, factor));
        let points = means.iter().map(|p| [p[0], 10f64.powf(p[1]), 0.0]).collect();
        against_depth.push(Line { name: name.clone(), points });
        let deep = depths.last().copied().unwrap_or(0);
        let points = steps
            .iter()
            .filter(|&&step| !logs(deep, step).is_empty())
            .map(|&step| [step as f64, 10f64.powf(mean_and_deviation(&logs(deep, step))[0]), 0.0])
            .collect();
        over_time.push(Line { name, points });
    }

    let deepest = depths.last().copied().unwrap_or(0);
    let per_layer: Vec<Line> = kinds
        .iter()
        .filter_map(|&(shortcut, norm)| {
            let first = watched.iter().find(|w| w.count == deepest && w.shortcut == shortcut && w.norm == norm)?;
            let (_, norms) = first.norms.first()?;
            let points = norms.iter().enumerate().map(|(at, norm)| [at as f64 + 1.0, *norm, 0.0]).collect();
            Some(Line { name: format!("{}, {}", kind(shortcut), normed(norm)), points })
        })
        .collect();
    let panel = |title: String, x: &str, y: &str, lines: Vec<Line>| Panel {
        title,
        axes: [x.into(), y.into()],
        logarithmic: true,
        lines,
    };
    let picture = chart::lines(&[
        panel(
            "Gradient of the first layers over that of the last, before training".into(),
            "layers of the network",
            "ratio of gradient norms",
            against_depth,
        ),
        panel(
            format!("Gradient of each layer, {} layers, before training, seed 1", layers(deepest)),
            "convolution, from the input to the output",
            "norm of the weights' gradient",
            per_layer,
        ),
        panel(
            format!("The same ratio while {} layers are trained", layers(deepest)),
            "training step",
            "ratio of gradient norms",
            over_time,
        ),
    ])?;

    let factor =
        |shortcut: bool, norm: Norm| factors.iter().find(|f| f.0 == shortcut && f.1 == norm).map_or(f64::NAN, |f| f.2);
    let decays = |shortcut: bool| [Norm::None, Norm::Batch].map(|norm| factor(shortcut, norm) < DECAY);
    let held = decays(false) == [true; 2] && decays(true) == [false; 2];
    let verdict = format!(
        "Per layer of depth, the ratio of the first layers' gradient to the last layers' changes by a factor of {:.3} in plain \
         networks and {:.3} in residual ones without normalization, {:.3} and {:.3} with batch normalization (below {DECAY} \
         counts as decay). {}",
        factor(false, Norm::None),
        factor(true, Norm::None),
        factor(false, Norm::Batch),
        factor(true, Norm::Batch),
        reading(factor(false, Norm::None), factor(false, Norm::Batch)),
    );
    let tables = vec![("rates", rates), ("ratios", table)];
    Ok(Finding { held, verdict, tables, pictures: vec![("gradients", picture)] })
}

/// What the plain networks' factors say, without and with batch normalization.
fn reading(bare: f64, normalized: f64) -> &'static str {
    match (bare < DECAY, normalized > 1.0 / DECAY) {
        (true, true) => {
            "Plain networks vanish without normalization; with it they explode towards the first layers instead: each \
             normalization divides the gradient by the deviation that it takes out."
        }
        (false, true) => {
            "With He's initialization plain networks without normalization keep their gradients at first; with batch \
             normalization they explode towards the first layers: each one divides the gradient by the deviation that it takes out."
        }
        (true, false) => "Plain networks lose their gradients, whatever normalizes them.",
        (false, false) => "At initialization He's variance keeps the gradients of plain networks too.",
    }
}
