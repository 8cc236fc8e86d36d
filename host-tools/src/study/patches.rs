//! What does each branch of an Inception module answer to?

use anyhow::{Context, Result};
use ndarray::{Array4, Axis};

use super::receptive::effective_width;
use super::repeat::Spread;
use super::{Finding, Setting, branches};
use crate::graph::{Block, NodeId};
use crate::layers::{forward, preprocess};
use crate::report::table::Table;
use crate::report::tiles::{self, Tiles};
use crate::train::Trained;

pub(super) const CLAIM: &str = "The branches of a trained Inception module answer to patches of different sizes: a channel of the 5x5 \
     depends on more of the image than one of the 3x3, and that on more than one of the 1x1.";

/// The branches, by the ends of their nodes' names, and the side of what they can see of their module's input.
const BRANCHES: [(&str, &str, usize); 4] =
    [("1x1", "1x1_relu", 1), ("3x3", "3x3_relu", 3), ("5x5", "5x5_relu", 5), ("pool", "pool_1x1_relu", 3)];
/// Held-out images among which the one is that a channel answers to most.
const IMAGES: usize = 256;

/// The patch that a channel answers to most.
struct Patch {
    channel: usize,
    activation: f64,
    /// How wide the part of the image is that the answer depends on.
    width: f64,
    /// The patch of the image around the answer's place, as wide as the branch can see: grey, from 0 to 1.
    pixels: Vec<f64>,
}

/// Images, and what a trained network makes of them.
struct Probed<'a> {
    trained: &'a Trained,
    pixels: Array4<u8>,
    images: Array4<f32>,
    values: Vec<Array4<f32>>,
}

impl<'a> Probed<'a> {
    fn new(setting: &Setting<'_>, trained: &'a Trained) -> Result<Self> {
        let pixels = setting.data.test.select(&setting.data.test.spaced(IMAGES)).images;
        let images = preprocess(&trained.graph.preprocess, &pixels.view());
        let values = forward(&trained.graph, &trained.params, &images.view())?;
        Ok(Self { trained, pixels, images, values })
    }
}

/// The patches of a branch's channels; of those that never answer none.
fn patches(probed: &Probed<'_>, node: NodeId, stride: usize, side: usize) -> Result<Vec<Patch>> {
    let Probed { trained: Trained { graph, params, .. }, pixels, images, values } = probed;
    let mut found = Vec::new();
    for (channel, map) in values[node.0].axis_iter(Axis(3)).enumerate() {
        let most = map.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1));
        let Some(((image, y, x), &activation)) = most.filter(|(_, activation)| **activation > 0.0) else { continue };
        let seen = images.index_axis(Axis(0), image);
        let width = effective_width(graph, params, node, &seen, [y, x], channel..channel + 1)?;
        let pixels = pixels.index_axis(Axis(0), image);
        let (h, w, c) = pixels.dim();
        let grey = |at: usize| {
            let place = |center: usize, at: usize| (center * stride + at).checked_sub(side / 2);
            let (y, x) = (place(y, at / side), place(x, at % side));
            // Beyond the border there is nothing.
            let (Some(y), Some(x)) = (y.filter(|&y| y < h), x.filter(|&x| x < w)) else { return 0.0 };
            (0..c).map(|c| f64::from(pixels[(y, x, c)])).sum::<f64>() / (255.0 * c as f64)
        };
        found.push(Patch {
            channel,
            activation: activation.into(),
            width,
            pixels: (0..side * side).map(grey).collect(),
        });
    }
    Ok(found)
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let (name, _, epochs) = branches::network(setting);
    let seeds = setting.effort.of(5, 3, 1);
    let blocks = branches::blocks(setting)?;
    let module = blocks.iter().position(|block| matches!(block, Block::Inception { .. })).context("no module")? + 1;
    let strides = blocks[..module].iter().map(|block| match block {
        Block::Conv { stride, .. } | Block::MaxPool { stride, .. } => *stride as usize,
        _ => 1,
    });
    let stride: usize = strides.product();
    // A 3x3 of the stem, and the branch's window on its map.
    let sight = |window: usize| 3 + (window - 1) * stride;
    let found = setting.repeat("patches", [()], seeds, |(), index| {
        let trained = setting.train(&setting.recipe(name, blocks.clone(), epochs, setting.seed(index)))?;
        let probed = Probed::new(setting, &trained)?;
        let of = |(_, end, window): (&str, &str, usize)| {
            let node = trained.graph.find(&format!("b{module}_{end}")).context("no such branch")?;
            patches(&probed, node, stride, sight(window))
        };
        BRANCHES.into_iter().map(of).collect::<Result<Vec<_>>>()
    })?;
    let mut table = Table::new([
        "branch",
        "can see (pixels)",
        "depends on (pixels)",
        "deviation over seeds",
        "channels that answer",
    ]);
    let mut pixels = Table::new(["branch", "channel", "activation", "depends on (pixels)", "patch"]);
    let mut rows = Vec::new();
    let mut widths = Vec::new();
    for (branch, (name, _, window)) in BRANCHES.into_iter().enumerate() {
        let width = found.spread((), |all| Spread::of(all[branch].iter().map(|patch| patch.width)).mean);
        let answering = found.spread((), |all| all[branch].len() as f64).mean;
        let [mean, deviation] = width.cells(2);
        table.row([name.into(), sight(window).to_string(), mean, deviation, format!("{answering:.1}")]);
        widths.push(width);
        let first = &found.of(())[0][branch];
        for patch in first {
            let side = sight(window);
            let line = |row: &[f64]| row.iter().map(|p| format!("{p:.2}")).collect::<Vec<_>>().join(" ");
            pixels.row([
                name.into(),
                (patch.channel + 1).to_string(),
                format!("{:.3}", patch.activation),
                format!("{:.2}", patch.width),
                patch.pixels.chunks(side).map(line).collect::<Vec<_>>().join(" / "),
            ]);
        }
        let images = first.iter().take(8).map(|patch| patch.pixels.clone()).collect();
        rows.push(Tiles { name: name.into(), images });
    }
    let picture = tiles::tiles("The patch that each channel of the first module answers to most", &rows)?;
    let (third, fifth) = (widths[1].over(widths[0]), widths[2].over(widths[1]));
    let verdict = format!(
        "The channel's greatest answer depends on {:.2} pixels across in the 1x1 branch, {:.2} in the 3x3, {:.2} in the 5x5 and {:.2} behind \
         the pool, where {}, {}, {} and {} can be seen; 3x3 against 1x1 {third}, 5x5 against 3x3 {fifth} (two standard errors).",
        widths[0].mean,
        widths[1].mean,
        widths[2].mean,
        widths[3].mean,
        sight(1),
        sight(3),
        sight(5),
        sight(3)
    );
    let tables = vec![("widths", table), ("pixels", pixels)];
    let pictures = vec![("patches", picture)];
    Ok(Finding { held: third.is_more() && fifth.is_more(), verdict, tables, pictures, ..Finding::default() })
}
