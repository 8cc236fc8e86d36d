//! Do the gradients at two inputs that are close have anything in common?

use anyhow::Result;
use ndarray::Array1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::repeat::Spread;
use super::{Finding, Setting};
use crate::graph::{Builder, Graph, NodeId, Params, Shape};
use crate::layers::{Mode, Net};
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;

pub(super) const CLAIM: &str = "The deeper a plain network, the less the gradients at two neighboring inputs have in common, until they \
     look like white noise; shortcuts keep them alike.";

/// Rectifiers of each layer.
const WIDTH: u32 = 100;
/// Inputs, evenly spaced from -2 to 2.
const POINTS: usize = 256;
/// How many inputs farther neighbors are.
const LAG: usize = 5;
/// The correlation below which gradients count as shattered.
const NOISE: f64 = 0.2;

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    PlainBatch,
    Residual,
    Scaled,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Plain, Self::PlainBatch, Self::Residual, Self::Scaled];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainBatch => "plain, batch norm",
            Self::Residual => "residual, batch norm",
            Self::Scaled => "residual, batch norm, branches by 0.1",
        }
    }

    /// A function of one number, before training: `depth` layers of rectifiers with He's weights, or as many that are
    /// added to what comes to them.
    fn network(self, depth: usize, seed: u64) -> Result<(Graph, Params)> {
        let mut net = Builder::new("function", Shape::vector(1))?;
        let mut x = net.dense("first", net.input(), WIDTH, true)?;
        for layer in 1..depth {
            let name = format!("layer{layer}");
            let relu = |net: &mut Builder, x: NodeId| -> Result<NodeId> {
                let x = if self == Self::Plain { x } else { net.batch_norm(&format!("{name}_bn"), x)? };
                Ok(net.relu(&format!("{name}_relu"), x)?)
            };
            let branch = relu(&mut net, x)?;
            let branch = net.dense(&name, branch, WIDTH, false)?;
            x = match self {
                Self::Plain | Self::PlainBatch => branch,
                Self::Residual | Self::Scaled => net.add(&format!("{name}_add"), x, branch)?,
            };
        }
        let x = net.relu("last", x)?;
        net.dense("output", x, 1, false)?;
        let graph = net.finish();
        let mut params = Params::init(&graph, seed);
        // Dense layers begin with a variance of 1 / fan-in; He's is 2 / fan-in.
        let gain = 2f32.sqrt() * if self == Self::Scaled { 0.1 } else { 1.0 };
        for layer in 1..depth {
            if let Some(weight) = params.get_mut(&format!("layer{layer}.weight")) {
                *weight *= gain;
            }
        }
        // So that the first layer's rectifiers bend at inputs all over the range.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let first = params.require("first.weight")?.clone();
        let bends: Vec<f32> = first.iter().map(|weight| weight * rng.random_range(-2.0..2.0)).collect();
        params.insert("first.bias", Array1::from(bends).into_dyn());
        Ok((graph, params))
    }

    /// The derivative of the function at each input.
    fn gradient(self, depth: usize, seed: u64) -> Result<Vec<f64>> {
        let (graph, params) = self.network(depth, seed)?;
        let mut net = Net::<f32>::with_input_gradient(&graph, &params, POINTS)?;
        let input = |at: usize| -2.0 + 4.0 * at as f32 / (POINTS - 1) as f32;
        net.forward(POINTS, Mode::Train, |at, out| out[0] = input(at));
        net.set_gradient(|_, out| out[0] = 1.0);
        net.backward();
        Ok(net.input_gradient().iter().map(|&gradient| gradient.into()).collect())
    }
}

/// Correlation of a sequence with itself, `lag` places farther.
fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let product = |lag: usize| values.iter().zip(&values[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(lag) / product(0).max(f64::MIN_POSITIVE)
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![2, 4, 10, 24, 50], vec![2, 10, 50], vec![2, 6]);
    let seeds = setting.effort.of(20, 8, 2);
    let lags: Vec<usize> = (1..=15).collect();
    let kinds = Kind::ALL.into_iter().flat_map(|kind| depths.iter().map(move |&depth| (kind, depth)));
    let found = setting.repeat("shattered-gradients", kinds, seeds, |&(kind, depth), index| {
        kind.gradient(depth, setting.seed(index))
    })?;
    let near = |kind: Kind, depth: usize| found.spread((kind, depth), |g| autocorrelation(g, LAG));
    let mut summary = Table::new(["network", "layers", "correlation", "deviation"]);
    let mut table = Table::new(["network", "layers", "distance", "correlation", "deviation"]);
    let mut gradients = Table::new(["network", "layers", "gradient at each input from -2 to 2"]);
    for (&(kind, depth), all) in found.iter() {
        let [mean, deviation] = near(kind, depth).cells(3);
        summary.row([kind.name().into(), depth.to_string(), mean, deviation]);
        for &lag in &lags {
            let [mean, deviation] = Spread::of(all.iter().map(|g| autocorrelation(g, lag))).cells(3);
            table.row([kind.name().into(), depth.to_string(), lag.to_string(), mean, deviation]);
        }
        let values: Vec<String> = all[0].iter().map(|gradient| format!("{gradient:.1e}")).collect();
        gradients.row([kind.name().into(), depth.to_string(), values.join(" ")]);
    }
    let deepest = depths.last().copied().unwrap_or(2);
    let lines = |point: &dyn Fn(Kind) -> Vec<[f64; 3]>| -> Vec<Line> {
        Kind::ALL.iter().map(|&kind| Line { name: kind.name().into(), points: point(kind) }).collect()
    };
    let picture = chart::lines(&[
        Panel {
            title: format!("Correlation of the gradients at inputs {LAG} of {POINTS} apart, {seeds} seeds"),
            axes: ["layers".into(), "correlation".into()],
            logarithmic: false,
            lines: lines(&|kind| depths.iter().map(|&depth| near(kind, depth).at(depth as f64)).collect()),
        },
        Panel {
            title: format!("Correlation by distance, {deepest} layers"),
            axes: [format!("distance (inputs of {POINTS})"), "correlation".into()],
            logarithmic: false,
            lines: lines(&|kind| {
                let at = |&lag: &usize| found.spread((kind, deepest), |g| autocorrelation(g, lag)).at(lag as f64);
                lags.iter().map(at).collect()
            }),
        },
    ])?;
    let all = Kind::ALL.map(|kind| near(kind, deepest));
    let list: Vec<String> = Kind::ALL
        .iter()
        .zip(&all)
        .map(|(kind, near)| format!("{} {}", kind.name(), near.cells(2).join(" +- ")))
        .collect();
    let verdict = format!(
        "Of {deepest} layers the gradients at inputs {LAG} of {POINTS} apart correlate by (with deviation): {}. Below {NOISE} they count \
         as shattered; the shortcuts' have to be above it, and above the plain network's by two standard errors.",
        list.join("; ")
    );
    let kept = |near: Spread| near.mean > NOISE && near.over(all[0]).is_more() && near.over(all[1]).is_more();
    let held = all[0].mean < NOISE && kept(all[2]) && kept(all[3]);
    let tables = vec![("near", summary), ("correlations", table), ("gradients", gradients)];
    Ok(Finding { held, verdict, tables, pictures: vec![("shattered-gradients", picture)], ..Finding::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_function() {
        let (graph, params) = Kind::Plain.network(4, 3).unwrap();
        let mut net = Net::<f64>::new(&graph, &params, POINTS).unwrap();
        let mut values = |shift: f64| {
            let input = |at: usize| -2.0 + 4.0 * at as f64 / (POINTS - 1) as f64;
            net.forward(POINTS, Mode::Train, |at, out| out[0] = input(at) + shift);
            net.values(graph.output()).iter().copied().collect::<Vec<f64>>()
        };
        let step = 1e-6;
        let (after, before) = (values(step), values(-step));
        let gradient = Kind::Plain.gradient(4, 3).unwrap();
        let differences = after.iter().zip(&before).map(|(after, before)| (after - before) / (2.0 * step));
        let right = gradient.iter().zip(differences).filter(|(g, d)| (*g - d).abs() < 1e-3 * (1.0 + d.abs())).count();
        // At an input where a rectifier bends the difference is another one.
        assert!(right > POINTS - 5, "{right} of {POINTS}");
    }

    #[test]
    fn noise_does_not_correlate_and_a_line_does() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f64> = (0..POINTS).map(|_| rng.random_range(-1.0..1.0)).collect();
        assert!(autocorrelation(&noise, LAG).abs() < 0.2);
        let line: Vec<f64> = (0..POINTS).map(|at| at as f64).collect();
        assert!(autocorrelation(&line, LAG) > 0.9 && (autocorrelation(&line, 0) - 1.0).abs() < 1e-12);
    }
}
