//! How long are the ways through a residual network, and by which of them does the gradient come back?

use anyhow::{Context, Result};
use ndarray::{Array4, Axis, concatenate};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::repeat::Spread;
use super::{Finding, Setting, layers};
use crate::graph::{Builder, EPSILON, Graph, Line as Affine, Norm, Padding, Params, Shape};
use crate::layers::{Mode, Net, Targets, forward, preprocess};
use crate::report::chart::{self, Line, Panel};
use crate::report::table::Table;
use crate::train::Trained;

pub(super) const CLAIM: &str = "A residual network is many paths, most of them through half of its blocks; but the gradient comes back \
     by the short ones.";

/// Channels of every layer.
const FILTERS: u32 = 8;
/// Images whose gradients are followed.
const PROBES: usize = 16;
/// Paths of each length that are drawn.
const DRAWS: usize = 8;
/// Of the gradient, in percent, that has to come by paths of less than half the blocks.
const MOST: f64 = 90.0;

/// Norms of what comes back by the paths of each length, from none of the blocks to all.
struct Gradients {
    /// By one path, on average.
    one: Vec<f64>,
    /// By all paths of that length together.
    all: Vec<f64>,
}

/// What comes back to the first block's input.
struct Followed {
    /// By some paths, each with its length.
    single: Vec<(usize, Array4<f32>)>,
    /// By all paths of each length.
    together: Vec<Array4<f32>>,
}

impl Followed {
    fn norms(&self) -> Gradients {
        let one = |length: usize| {
            let of = self.single.iter().filter(|(of, _)| *of == length);
            Spread::of(of.map(|(_, gradient)| norm(gradient))).mean
        };
        let lengths = 0..self.together.len();
        Gradients { one: lengths.map(one).collect(), all: self.together.iter().map(norm).collect() }
    }
}

/// The convolutions of a block's branch, with batch normalization folded into them: `relu(conv1) conv2`, to its gradient.
struct Branch {
    net: Net<f32>,
    input: Array4<f32>,
    /// 1 where the ReLU behind the sum lets through.
    mask: Array4<f32>,
}

impl Branch {
    fn new(trained: &Trained, block: usize, values: &[Array4<f32>], room: usize) -> Result<Self> {
        let node = |part: &str| trained.graph.find(&format!("b{block}_{part}")).context("no such block");
        let first = node("conv1")?;
        let shape = trained.graph.node(trained.graph.node(first).inputs[0]).shape;
        let (graph, params) = folded(&trained.params, block, shape)?;
        Ok(Self {
            net: Net::with_input_gradient(&graph, &params, room * PROBES)?,
            input: values[trained.graph.node(first).inputs[0].0].clone(),
            mask: values[node("relu")?.0].mapv(|value| f32::from(value > 0.0)),
        })
    }

    /// Takes gradients back through the ReLU behind the sum.
    fn masked(&self, gradients: &mut [Array4<f32>]) {
        gradients.iter_mut().for_each(|gradient| *gradient *= &self.mask);
    }

    /// Takes gradients of the branch's output back to its input.
    fn back(&mut self, gradients: &[&Array4<f32>]) -> Result<Vec<Array4<f32>>> {
        if gradients.is_empty() {
            return Ok(Vec::new());
        }
        let all = concatenate(Axis(0), &gradients.iter().map(|gradient| gradient.view()).collect::<Vec<_>>())?;
        let (images, input) = (self.input.dim().0, &self.input);
        let copy = |from: &Array4<f32>, image: usize, out: &mut [f32]| {
            out.iter_mut().zip(from.index_axis(Axis(0), image)).for_each(|(out, value)| *out = *value);
        };
        self.net.forward(all.dim().0, Mode::Train, |image, out| copy(input, image % images, out));
        self.net.set_gradient(|image, out| copy(&all, image, out));
        self.net.backward();
        let back = self.net.input_gradient();
        Ok(back.axis_chunks_iter(Axis(0), images).map(|part| part.to_owned()).collect())
    }
}

/// A block's branch as a network of two convolutions.
fn folded(params: &Params, block: usize, shape: Shape) -> Result<(Graph, Params)> {
    let mut net = Builder::new("branch", shape)?;
    let x = net.conv2d("conv1", net.input(), FILTERS, [3, 3], [1, 1], Padding::Same, true)?;
    let x = net.relu("relu", x)?;
    net.conv2d("conv2", x, FILTERS, [3, 3], [1, 1], Padding::Same, true)?;
    let mut folded = Params::new();
    for conv in ["conv1", "conv2"] {
        fold(params, &format!("b{block}_{conv}"), conv, &mut folded)?;
    }
    Ok((net.finish(), folded))
}

/// A convolution with its batch normalization folded into it, under another name.
fn fold(params: &Params, from: &str, to: &str, folded: &mut Params) -> Result<()> {
    let line = Affine::of(&format!("{from}_bn"), EPSILON, params)?;
    let mut weight = params.require(&format!("{from}.weight"))?.clone();
    for (mut filter, factor) in weight.outer_iter_mut().zip(&line.factors) {
        filter *= *factor as f32;
    }
    folded.insert(format!("{to}.weight"), weight);
    let bias: Vec<f32> = line.offsets.iter().map(|offset| *offset as f32).collect();
    folded.insert(format!("{to}.bias"), ndarray::Array1::from(bias).into_dyn());
    Ok(())
}

/// The gradient of the loss by the last block's output.
fn head(setting: &Setting<'_>, trained: &Trained, last: &Array4<f32>, labels: &[u8]) -> Result<Array4<f32>> {
    let (_, h, w, c) = last.dim();
    let mut net = Builder::new("head", Shape::new(h as u32, w as u32, c as u32))?;
    let x = net.global_average_pool("pool", net.input())?;
    net.dense("logits", x, setting.data.classes.len() as u32, true)?;
    let mut net = Net::<f32>::with_input_gradient(&net.finish(), &trained.params, labels.len())?;
    net.forward(labels.len(), Mode::Train, |image, out| {
        out.iter_mut().zip(last.index_axis(Axis(0), image)).for_each(|(out, value)| *out = *value);
    });
    net.loss(Targets { labels, smoothing: 0.0, class_weights: &[], teacher: None });
    net.backward();
    Ok(net.input_gradient())
}

/// Mean over the images of the Euclidean norm.
fn norm(gradient: &Array4<f32>) -> f64 {
    let norms = gradient.outer_iter().map(|image| image.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt());
    norms.sum::<f64>() / gradient.dim().0 as f64
}

/// Follows the gradient from the last block back to the first one's input.
fn follow(setting: &Setting<'_>, trained: &Trained, count: usize, seed: u64) -> Result<Followed> {
    let probes = setting.data.train.select(&setting.data.train.spaced(PROBES));
    let images = preprocess(&trained.graph.preprocess, &probes.images.view());
    let values = forward(&trained.graph, &trained.params, &images.view())?;
    let below = trained.recipe.network.blocks.len() - count;
    let last = trained.graph.find(&format!("b{}_relu", below + count)).context("no last block")?;
    let start = head(setting, trained, &values[last.0], &probes.labels)?;

    // Of each length some paths by themselves: a path is the blocks whose branches it takes.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut paths: Vec<(usize, Vec<usize>)> = Vec::new();
    for length in 0..=count {
        for _ in 0..if [0, count].contains(&length) { 1 } else { DRAWS } {
            let mut blocks: Vec<usize> = (0..count).collect();
            blocks.shuffle(&mut rng);
            paths.push((length, blocks.split_off(count - length)));
        }
    }
    let mut single = vec![start.clone(); paths.len()];
    // And of each length all paths at once: those that take a block's branch are one longer before it.
    let mut together = vec![start];
    for block in (0..count).rev() {
        let mut branch = Branch::new(trained, below + block + 1, &values, paths.len())?;
        branch.masked(&mut single);
        branch.masked(&mut together);
        let taking: Vec<usize> = (0..paths.len()).filter(|&path| paths[path].1.contains(&block)).collect();
        let gradients: Vec<&Array4<f32>> = taking.iter().map(|&path| &single[path]).collect();
        for (back, path) in branch.back(&gradients)?.into_iter().zip(taking) {
            single[path] = back;
        }
        let back = branch.back(&together.iter().collect::<Vec<_>>())?;
        together.push(Array4::zeros(together[0].raw_dim()));
        together[1..].iter_mut().zip(&back).for_each(|(sum, back)| *sum += back);
    }
    let lengths = paths.into_iter().map(|(length, _)| length);
    Ok(Followed { single: lengths.zip(single).collect(), together })
}

/// The shares of all paths that have each length.
fn binomial(count: usize) -> Vec<f64> {
    let mut shares = vec![0.5f64.powi(count as i32)];
    for length in 1..=count {
        shares.push(shares[length - 1] * (count + 1 - length) as f64 / length as f64);
    }
    shares
}

fn shares(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    let weights: Vec<f64> = weights.collect();
    let sum = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    weights.iter().map(|weight| weight / sum).collect()
}

/// The length below which this part of the whole lies.
fn quantile(shares: &[f64], part: f64) -> usize {
    let mut sum = 0.0;
    shares
        .iter()
        .position(|share| {
            sum += share;
            sum >= part
        })
        .unwrap_or(shares.len() - 1)
}

pub(super) fn run(setting: &Setting<'_>) -> Result<Finding> {
    let counts = setting.effort.of(vec![9, 27, 54], vec![9, 27], vec![2, 3]);
    let [seeds, epochs] = setting.effort.of([3, 8], [2, 4], [1, 1]);
    let found = setting.repeat("paths", counts.iter().copied(), seeds, |&count, index| {
        let blocks = setting.tower(FILTERS, count, true, Norm::Batch);
        let trained = setting.train(&setting.recipe("tower", blocks, epochs, setting.seed(index)))?;
        Ok(follow(setting, &trained, count, setting.seed(index))?.norms())
    })?;

    let mut lengths = Table::new([
        "blocks",
        "length",
        "paths %",
        "gradient by one path",
        "gradient %",
        "deviation",
        "gradient of all together",
        "deviation",
    ]);
    let mut table = Table::new([
        "blocks",
        "layers",
        "paths: middle 90 %",
        "gradient: middle 90 %",
        "by less than half %",
        "deviation",
    ]);
    let mut lines = Vec::new();
    let mut single = Vec::new();
    let mut said = Vec::new();
    let mut held = true;
    for (&count, all) in found.iter() {
        let paths = binomial(count);
        let shared: Vec<Vec<f64>> =
            all.iter().map(|g| shares(g.one.iter().zip(&paths).map(|(one, paths)| one * paths))).collect();
        let mean: Vec<Spread> =
            (0..=count).map(|length| Spread::of(shared.iter().map(|shares| 100.0 * shares[length]))).collect();
        for length in 0..=count {
            let one = Spread::of(all.iter().map(|g| g.one[length])).mean;
            let [share, deviation] = mean[length].cells(3);
            let together = Spread::of(all.iter().map(|g| g.all[length]));
            lengths.row([
                count.to_string(),
                length.to_string(),
                format!("{:.3}", 100.0 * paths[length]),
                format!("{one:.3e}"),
                share,
                deviation,
                format!("{:.3e}", together.mean),
                format!("{:.3e}", together.deviation),
            ]);
        }
        let short = Spread::of(shared.iter().map(|shares| 100.0 * shares[..count.div_ceil(2)].iter().sum::<f64>()));
        let range = |shares: &[f64]| format!("{} to {}", quantile(shares, 0.05), quantile(shares, 0.95));
        let means = shares(mean.iter().map(|spread| spread.mean));
        let [part, deviation] = short.cells(1);
        said.push(format!(
            "of {count} blocks, the middle 90 % of the paths take {}, those of the gradient {}, and {part} % (deviation {deviation}) of it \
             comes by less than half of the blocks",
            range(&paths),
            range(&means)
        ));
        table.row([count.to_string(), layers(count).to_string(), range(&paths), range(&means), part, deviation]);
        held &= short.mean - short.deviation > MOST;
        if counts.last() == Some(&count) {
            let points = paths.iter().enumerate().map(|(length, share)| [length as f64, 100.0 * share, 0.0]);
            lines.push(Line { name: "paths".into(), points: points.collect() });
            let points = mean.iter().enumerate().map(|(length, share)| share.at(length as f64));
            lines.push(Line { name: "gradient".into(), points: points.collect() });
        }
        let point = |length: usize| Spread::of(all.iter().map(|g| g.one[length])).at(length as f64);
        single.push(Line { name: format!("{count} blocks"), points: (0..=count).map(point).collect() });
    }
    let deepest = counts.last().copied().unwrap_or(0);
    let picture = chart::lines(&[
        Panel {
            title: format!("Paths through {deepest} blocks, and the gradient that comes by them, {seeds} seeds"),
            axes: ["blocks that the path takes".into(), "share (%)".into()],
            logarithmic: false,
            lines,
        },
        Panel {
            title: "Gradient that comes back by one path".into(),
            axes: ["blocks that the path takes".into(), "Euclidean norm".into()],
            logarithmic: true,
            lines: single,
        },
    ])?;
    let verdict = format!("{}; the criterion is {MOST} % at every depth.", capitalized(&said.join("; ")));
    let tables = vec![("ranges", table), ("lengths", lengths)];
    Ok(Finding { held, verdict, tables, pictures: vec![("paths", picture)], ..Finding::default() })
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Source};
    use crate::graph::NetworkRecipe;
    use crate::study::Effort;

    #[test]
    fn lengths_are_binomial() {
        assert_eq!(binomial(4), [1.0, 4.0, 6.0, 4.0, 1.0].map(|paths| paths / 16.0));
        assert!((binomial(54).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!([0.05, 0.5, 1.0].map(|part| quantile(&binomial(4), part)), [0, 2, 4]);
    }

    /// All paths together bring the gradient that the whole network has: here by the biases of the stem, which take what
    /// comes to every pixel of theirs.
    #[test]
    fn paths_of_all_lengths_add_up_to_the_networks_gradient() {
        const COUNT: usize = 3;
        let data = Effort::Tiny.images(&Dataset::digits().unwrap());
        let setting = Setting { effort: Effort::Tiny, data: &data, source: &Source::Digits, seed: 1, board: None };
        let blocks = setting.tower(FILTERS, COUNT, true, Norm::Batch);
        let trained = setting.train(&setting.recipe("tower", blocks, 2, 1)).unwrap();
        let probes = data.train.select(&data.train.spaced(PROBES));
        let images = preprocess(&trained.graph.preprocess, &probes.images.view());

        let blocks = setting.tower(FILTERS, COUNT, true, Norm::None);
        let recipe = NetworkRecipe { blocks, input: trained.recipe.network.input, ..NetworkRecipe::default() };
        let graph = recipe.build(&trained.graph.labels, &trained.graph.preprocess).unwrap();
        let mut params = trained.params.clone();
        for spec in graph.param_specs() {
            if let Some(conv) = spec.name.strip_suffix(".bias").filter(|conv| *conv != "logits") {
                fold(&trained.params, conv, conv, &mut params).unwrap();
            }
        }
        let mut net = Net::<f32>::new(&graph, &params, PROBES).unwrap();
        net.forward(PROBES, Mode::Train, |image, out| {
            out.iter_mut().zip(images.index_axis(Axis(0), image)).for_each(|(out, value)| *out = *value);
        });
        let stem = net.values(graph.find("b1_relu").unwrap());
        net.loss(Targets { labels: &probes.labels, smoothing: 0.0, class_weights: &[], teacher: None });
        net.backward();
        let whole = net.slots().find(|slot| slot.spec.name == "b1.bias").unwrap().gradient.to_vec();

        let Followed { single, together } = follow(&setting, &trained, COUNT, 1).unwrap();
        let sum = together.iter().fold(Array4::<f32>::zeros(stem.raw_dim()), |sum, gradient| sum + gradient);
        let by_paths =
            (sum * stem.mapv(|value| f32::from(value > 0.0))).sum_axis(Axis(0)).sum_axis(Axis(0)).sum_axis(Axis(0));
        let most = whole.iter().fold(0f32, |most, g| most.max(g.abs()));
        for (paths, whole) in by_paths.iter().zip(&whole) {
            assert!((paths - whole).abs() < 1e-4 * most, "{by_paths} against {whole:?}");
        }
        // There is one path through no block, and one through all.
        for length in [0, COUNT] {
            let (_, path) = single.iter().find(|(of, _)| *of == length).unwrap();
            assert!((norm(path) - norm(&together[length])).abs() <= 1e-6 * norm(path), "length {length}");
        }
    }
}
