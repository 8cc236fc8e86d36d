//! How much of the image does one output see?

use anyhow::{Context, Result};
use ndarray::Array4;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Finding, Setting, kind, mean_and_deviation, slope, storeys};
use crate::graph::{Block, NetworkRecipe, Norm, Params, Preprocess};
use crate::layers;
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;

pub(super) const CLAIM: &str = "What an output really depends on is far smaller than its receptive field and grows like the square \
     root of depth, and shortcuts make it smaller still.";

/// Channels of every layer.
const FILTERS: u32 = 8;
/// What a pixel is moved by: small, so that hardly a ReLU changes sides.
const STEP: f32 = 1e-2;
/// The exponent of growth below which it is taken for that of the square root.
const ROOT: f64 = 0.75;

/// The width of the square whose pixels, if they counted alike, were spread as widely as those that the center of the last
/// map depends on: the second moment of the change when a pixel changes, `sqrt(12 m + 1)`.
///
/// The tower has the weights of its initialization, whose theory is Luo's (arXiv 1701.04128), on noise.
fn width(blocks: &[Block], side: usize, seed: u64) -> Result<f64> {
    let input = Some([side as u32, side as u32, 1]);
    let recipe = NetworkRecipe { input, blocks: blocks.to_vec(), ..NetworkRecipe::default() };
    let graph = recipe.build(&["one".into()], &Preprocess::unit(1))?;
    let params = Params::init(&graph, seed);
    let pool = graph.find("pool").context("no pool")?;
    let map = graph.node(pool).inputs[0].0;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let image: Vec<f32> = (0..side * side).map(|_| rng.random_range(-1.0..1.0)).collect();
    let center = side / 2;
    // One image of the batch for each pixel of a row that is moved, and one as it is.
    let mut moment = [0.0; 2];
    for row in 0..side {
        let batch = Array4::from_shape_fn((side + 1, side, side, 1), |(n, y, x, _)| {
            image[y * side + x] + if y == row && x == n { STEP } else { 0.0 }
        });
        let values = layers::forward(&graph, &params, &batch.view())?;
        let at = |n: usize| values[map].slice(ndarray::s![n, center, center, ..]).to_owned();
        let still = at(side);
        for column in 0..side {
            let change: f64 = (at(column) - &still).iter().map(|&v| f64::from(v).powi(2)).sum();
            let distance = (row.abs_diff(center).pow(2) + column.abs_diff(center).pow(2)) as f64 / 2.0;
            moment = [moment[0] + change, moment[1] + change * distance];
        }
    }
    Ok((12.0 * moment[1] / moment[0].max(f64::MIN_POSITIVE) + 1.0).sqrt())
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![1, 2, 4, 8, 12], vec![1, 2, 4, 8], vec![1, 2]);
    let seeds = setting.effort.of(8, 4, 2);
    let jobs: Vec<_> = depths
        .iter()
        .flat_map(|&count| [(count, false), (count, true)])
        .flat_map(|(count, shortcut)| (0..seeds).map(move |index| (count, shortcut, index)))
        .collect();
    let theory = |count: usize| 4 * count + 1;
    let widths = setting.all("receptive-field", &jobs, |&(count, shortcut, index)| {
        let blocks: Vec<Block> = storeys(FILTERS, count, shortcut, Norm::Batch).collect();
        width(&blocks, theory(count), setting.seed(index))
    })?;
    let mut table = Table::new(["network", "3x3 layers", "receptive field", "effective width", "deviation"]);
    let mut lines = vec![Line {
        name: "receptive field".into(),
        points: depths.iter().map(|&count| [2.0 * count as f64, theory(count) as f64, 0.0]).collect(),
    }];
    let mut growth = Vec::new();
    let mut last = Vec::new();
    for shortcut in [false, true] {
        let mut points = Vec::new();
        for &count in &depths {
            let of = jobs.iter().zip(&widths).filter(|(job, _)| (job.0, job.1) == (count, shortcut));
            let [mean, deviation] = mean_and_deviation(&of.map(|(_, width)| *width).collect::<Vec<_>>());
            let layers = 2 * count;
            table.row([
                kind(shortcut).into(),
                layers.to_string(),
                theory(count).to_string(),
                format!("{mean:.2}"),
                format!("{deviation:.2}"),
            ]);
            points.push([layers as f64, mean, deviation]);
        }
        growth.push(slope(&points.iter().map(|p| [p[0].ln(), (p[1] - 1.0).ln()]).collect::<Vec<_>>()));
        last.push(points.last().map_or(f64::NAN, |p| p[1]));
        lines.push(Line { name: kind(shortcut).into(), points });
    }
    let picture = chart::lines(&[Panel {
        title: format!("What the middle of the last map depends on, {seeds} random networks"),
        axes: ["3x3 layers".into(), "width (pixels)".into()],
        logarithmic: false,
        lines,
    }])?;
    let deepest = depths.last().copied().unwrap_or(0);
    let [plain, residual] = [last[0], last[1]];
    let held = plain < theory(deepest) as f64 / 2.0 && growth[0] < ROOT && residual < plain;
    let verdict = format!(
        "Behind {} layers of 3x3 the receptive field is {} pixels wide, the effective one {plain:.1} without and {residual:.1} with \
         shortcuts; it grows with the power {:.2} of depth without and {:.2} with them (a square root is 0.50, below {ROOT} counts).",
        2 * deepest,
        theory(deepest),
        growth[0],
        growth[1]
    );
    let pictures = vec![("receptive-field", picture)];
    Ok(Finding { held, verdict, tables: vec![("widths", table)], pictures, ..Finding::default() })
}
