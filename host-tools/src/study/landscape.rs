//! What does the loss look like around what a network has learned?

use anyhow::Result;
use ndarray::Axis;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::repeat::{Spread, twins};
use super::{Finding, Setting, errors, kind, layers};
use crate::graph::{Graph, Norm, Params};
use crate::layers::{Mode, Net, Targets, preprocess};
use crate::report::surface::{self, Surface};
use crate::report::table::Table;

pub(super) const CLAIM: &str =
    "Around what it has learned, the loss of a deep plain network is rough; shortcuts make it smooth.";

/// Channels of every layer.
const FILTERS: u32 = 8;
/// Training images whose loss is computed.
const IMAGES: usize = 64;
/// How far the surface goes from the middle; at 1 a filter is moved by its own length.
const REACH: f64 = 1.0;
/// Part of the greatest curvature that a negative one must have to count.
const BENT: f64 = 0.1;

/// The loss over a square of weights.
struct Landscape {
    losses: Vec<f64>,
    /// Part of the square, in percent, over which it is not convex.
    bent: f64,
    /// Training error of the network in the middle.
    error: f64,
}

/// A random direction whose every filter is as long as the network's own, so that scales of weights do not matter (Li et
/// al., "Visualizing the Loss Landscape of Neural Nets", 2018). Biases and normalization stay.
fn direction(graph: &Graph, params: &Params, rng: &mut ChaCha8Rng) -> Result<Params> {
    let mut direction = Params::new();
    for spec in graph.param_specs().into_iter().filter(|spec| spec.decays) {
        let own = params.require(&spec.name)?;
        // The sum of twelve even numbers is as good as normal here.
        let mut array = own.mapv(|_| (0..12).map(|_| rng.random_range(-0.5..0.5f32)).sum::<f32>());
        let length = |filter: &mut dyn Iterator<Item = f32>| filter.map(|w| w * w).sum::<f32>().sqrt();
        for (mut filter, own) in array.outer_iter_mut().zip(own.outer_iter()) {
            let (is, wanted) = (length(&mut filter.iter().copied()), length(&mut own.iter().copied()));
            filter *= wanted / is.max(f32::MIN_POSITIVE);
        }
        direction.insert(spec.name, array);
    }
    Ok(direction)
}

/// The parameters, moved along both directions.
fn moved(params: &Params, directions: &[Params; 2], by: [f64; 2]) -> Params {
    let mut moved = params.clone();
    for (direction, by) in directions.iter().zip(by) {
        for (name, array) in direction.iter() {
            if let Some(weights) = moved.get_mut(name) {
                weights.zip_mut_with(array, |weight, along| *weight += by as f32 * along);
            }
        }
    }
    moved
}

/// The percentage of inner points of a grid at which the surface has a negative curvature of some size: the lesser
/// eigenvalue of the Hessian matrix, by differences, against the greatest eigenvalue there.
fn bent(heights: &[f64], side: usize) -> f64 {
    let at = |y: usize, x: usize| heights[y * side + x];
    let inner = || (1..side - 1).flat_map(|y| (1..side - 1).map(move |x| (y, x)));
    let is_bent = |&(y, x): &(usize, usize)| {
        let xx = at(y, x - 1) + at(y, x + 1) - 2.0 * at(y, x);
        let yy = at(y - 1, x) + at(y + 1, x) - 2.0 * at(y, x);
        let xy = (at(y + 1, x + 1) + at(y - 1, x - 1) - at(y + 1, x - 1) - at(y - 1, x + 1)) / 4.0;
        let (middle, half) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
        let (least, greatest) = (middle - half, middle + half);
        least < -BENT * greatest.abs().max(least.abs() * BENT)
    };
    100.0 * inner().filter(is_bent).count() as f64 / inner().count().max(1) as f64
}

/// Where a point of the grid lies.
fn along(at: usize, side: usize) -> f64 {
    REACH * (2.0 * at as f64 / (side - 1) as f64 - 1.0)
}

fn landscape(
    setting: &Setting<'_>,
    count: usize,
    shortcut: bool,
    epochs: usize,
    side: usize,
    seed: u64,
) -> Result<Landscape> {
    let blocks = setting.tower(FILTERS, count, shortcut, Norm::Batch);
    let trained = setting.train(&setting.recipe("tower", blocks, epochs, seed))?;
    let (graph, params) = (&trained.graph, &trained.params);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let directions = [direction(graph, params, &mut rng)?, direction(graph, params, &mut rng)?];
    let probes = setting.data.train.select(&setting.data.train.spaced(IMAGES));
    let images = preprocess(&graph.preprocess, &probes.images.view());
    let mut net = Net::<f32>::new(graph, params, probes.len())?;
    let mut losses = Vec::new();
    for y in 0..side {
        for x in 0..side {
            net.load(&moved(params, &directions, [along(x, side), along(y, side)]))?;
            net.forward(probes.len(), Mode::Infer, |image, out| {
                out.iter_mut().zip(images.index_axis(Axis(0), image)).for_each(|(out, value)| *out = *value);
            });
            let targets = Targets { labels: &probes.labels, smoothing: 0.0, class_weights: &[], teacher: None };
            losses.push(net.loss(targets).mean);
        }
    }
    Ok(Landscape { bent: bent(&losses, side), losses, error: errors(&trained).train })
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![3, 9, 21], vec![3, 15], vec![1, 2]);
    let [seeds, epochs, side] = setting.effort.of([3, 10, 21], [2, 5, 11], [1, 1, 5]);
    let found = setting.repeat("landscape", twins(&depths), seeds, |&(count, shortcut), index| {
        landscape(setting, count, shortcut, epochs, side, setting.seed(index))
    })?;
    let mut table = Table::new(["network", "layers", "not convex %", "deviation", "training error %", "deviation"]);
    let mut points = Table::new(["network", "layers", "y", "loss at each x from -1 to 1"]);
    let mut surfaces = Vec::new();
    for (&(count, shortcut), all) in found.iter() {
        let [bent, bent_deviation] = Spread::of(all.iter().map(|l| l.bent)).cells(1);
        let [error, error_deviation] = Spread::of(all.iter().map(|l| l.error)).cells(2);
        let (name, layers) = (kind(shortcut), layers(count).to_string());
        let first = &all[0];
        surfaces.push(Surface {
            title: format!("{name}, {layers} layers: loss, on a logarithmic scale"),
            heights: first.losses.clone(),
            reach: REACH,
        });
        for (row, losses) in first.losses.chunks(side).enumerate() {
            let y = format!("{:.2}", along(row, side));
            let losses: Vec<String> = losses.iter().map(|loss| format!("{loss:.3}")).collect();
            points.row([name.into(), layers.clone(), y, losses.join(" ")]);
        }
        table.row([name.into(), layers, bent, bent_deviation, error, error_deviation]);
    }
    let deepest = depths.last().copied().unwrap_or(1);
    let [plain, residual] = [false, true].map(|shortcut| found.spread((deepest, shortcut), |l| l.bent));
    let rougher = plain.over(residual);
    let verdict = format!(
        "Of a plane through the weights of {} layers, the loss of plain networks is not convex over {:.1} % (deviation {:.1}), that of \
         residual ones over {:.1} % ({:.1}): a difference of {rougher:.1} (two standard errors).",
        layers(deepest),
        plain.mean,
        plain.deviation,
        residual.mean,
        residual.deviation
    );
    let tables = vec![("convexity", table), ("points", points)];
    let pictures = vec![("landscape", surface::surfaces(&surfaces)?)];
    Ok(Finding { held: rougher.is_more(), verdict, tables, pictures, ..Finding::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bowls_are_convex_and_saddles_are_not() {
        let grid = |height: fn(f64, f64) -> f64| -> Vec<f64> {
            (0..81).map(|at| height((at % 9) as f64 - 4.0, (at / 9) as f64 - 4.0)).collect()
        };
        assert_eq!(bent(&grid(|x, y| x * x + 0.1 * y * y), 9), 0.0);
        assert_eq!(bent(&grid(|x, y| x * x - y * y), 9), 100.0);
        assert_eq!(bent(&grid(|x, y| x * y), 9), 100.0);
        assert_eq!(bent(&grid(|x, y| 3.0 * x + y), 9), 0.0);
        assert_eq!(bent(&grid(|x, y| -x * x - y * y), 9), 100.0);
    }
}
