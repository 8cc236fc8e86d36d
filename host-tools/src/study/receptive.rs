//! How much of the image does one output see?

use std::ops::Range;

use anyhow::{Context, Result};
use ndarray::{Array3, Array4, ArrayView3, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::repeat::twins;
use super::{Finding, Setting, kind, slope, storeys};
use crate::graph::{Block, Graph, NetworkRecipe, NodeId, Norm, Params, Preprocess};
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

/// The width of the square whose pixels, if they counted alike, were spread as widely as those that some channels of a pixel
/// of `node` depend on: by the second moment of the change when a pixel of the image changes, `sqrt(12 m + 1)`.
pub(super) fn effective_width(
    graph: &Graph,
    params: &Params,
    node: NodeId,
    image: &ArrayView3<'_, f32>,
    [y, x]: [usize; 2],
    channels: Range<usize>,
) -> Result<f64> {
    let (h, w, c) = image.dim();
    let nodes = graph.nodes[..=node.0].to_vec();
    let graph = Graph { nodes, outputs: vec![node], ..graph.clone() };
    // Of the change: its sum, its first and its second moment.
    let mut moments = [[0.0; 2]; 3];
    for row in 0..h {
        // One image for each pixel of a row that is moved, and one as it is.
        let batch = Array4::from_shape_fn((w + 1, h, w, c), |(n, y, x, c)| {
            image[(y, x, c)] + if y == row && x == n { STEP } else { 0.0 }
        });
        let values = layers::forward(&graph, params, &batch.view())?;
        let at = |n: usize| values[node.0].slice(s![n, y, x, channels.clone()]).to_owned();
        let still = at(w);
        for column in 0..w {
            let change: f64 = (at(column) - &still).iter().map(|&v| f64::from(v).powi(2)).sum();
            for (axis, place) in [row, column].into_iter().enumerate() {
                for (power, moment) in moments.iter_mut().enumerate() {
                    moment[axis] += change * (place as f64).powi(power as i32);
                }
            }
        }
    }
    let [sum, first, second] = moments;
    let variance = |axis: usize| {
        let sum = sum[axis].max(f64::MIN_POSITIVE);
        (second[axis] / sum - (first[axis] / sum).powi(2)).max(0.0)
    };
    Ok((12.0 * (variance(0) + variance(1)) / 2.0 + 1.0).sqrt())
}

/// What the center of a tower's last map depends on. The tower has the weights of its initialization, whose theory is Luo's
/// (arXiv 1701.04128), on noise.
fn width(blocks: &[Block], side: usize, seed: u64) -> Result<f64> {
    let input = Some([side as u32, side as u32, 1]);
    let recipe = NetworkRecipe { input, blocks: blocks.to_vec(), ..NetworkRecipe::default() };
    let graph = recipe.build(&["one".into()], &Preprocess::unit(1))?;
    let pool = graph.find("pool").context("no pool")?;
    let map = graph.node(pool).inputs[0];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let image = Array3::from_shape_simple_fn((side, side, 1), || rng.random_range(-1.0..1.0));
    let (params, all) = (Params::init(&graph, seed), 0..FILTERS as usize);
    effective_width(&graph, &params, map, &image.view(), [side / 2; 2], all)
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let depths = setting.effort.of(vec![1, 2, 4, 8, 12], vec![1, 2, 4, 8], vec![1, 2]);
    let seeds = setting.effort.of(4, 3, 2);
    let theory = |count: usize| 4 * count + 1;
    let widths = setting.repeat("receptive-field", twins(&depths), seeds, |&(count, shortcut), index| {
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
            let width = widths.spread((count, shortcut), |width| *width);
            let [mean, deviation] = width.cells(2);
            let layers = 2 * count;
            table.row([kind(shortcut).into(), layers.to_string(), theory(count).to_string(), mean, deviation]);
            points.push(width.at(layers as f64));
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
