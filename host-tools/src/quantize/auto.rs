//! The method of each range chosen by what matters: the error at the network's output.
//!
//! What one range costs depends on all others: while outliers are cut off nowhere, there is little gained by cutting them off in
//! one place. So the search starts from the one method that is best for all ranges alike, goes through them in the order of
//! computation, and changes what makes the output better. In the end what it found has to be better than each method by
//! itself on images that it did not see.

use indicatif::{ProgressBar, ProgressIterator};
use kinglet::QuantParams;
use rayon::prelude::*;

use super::fake::{self, Noise};
use super::forward::{NetRunner, Values};
use super::ranges::Method;
use crate::graph::{Graph, Op, Real};
use crate::progress::styled;

/// What is tried for each group of values; of equals the first is taken.
pub const METHODS: [Method; 6] = [
    Method::MinMax,
    Method::Mse,
    Method::Entropy,
    Method::Percentile(99.99),
    Method::Percentile(99.9),
    Method::Percentile(99.0),
];

/// Bytes that the values of the images may take which the search sees.
const MEMORY: usize = 1 << 30;

/// Products of weights and elements that may be computed in all, on large networks: less than a minute of one core.
const WORK: u64 = 40_000_000_000;

/// Values that share a quantization.
pub struct Group {
    /// Which, in the order of computation.
    pub members: Vec<usize>,
    /// What each of [`METHODS`] proposes; or one quantization, where there is nothing to choose.
    pub proposals: Vec<QuantParams>,
    /// Whether the network's output is among them, which every method by itself leaves whole.
    pub is_output: bool,
}

impl Group {
    /// The proposal of a method when it is taken for all groups alike.
    fn alike(&self, method: usize) -> usize {
        if self.is_output || method >= self.proposals.len() { 0 } else { method }
    }
}

/// For each group the proposal to take, judged by `images`, H x W x C numbers each.
///
/// On every other image, those that the search does not see, no method by itself has a smaller [`loss`].
pub fn choose(network: &Graph<Real>, groups: &[Group], images: &[Vec<f32>]) -> Vec<usize> {
    let alike = |method| groups.iter().map(|group| group.alike(method)).collect();
    let mut choices: Vec<Vec<usize>> = (0..METHODS.len()).map(alike).collect();
    choices.dedup();
    let [seen, unseen] = parts(network, images);
    if seen.is_empty() {
        return choices.remove(0);
    }
    let search = Search { network, groups, judged: judged(network) };
    let best = |choices: &[Vec<usize>], images: &[&Vec<f32>]| {
        let float = outputs(network, images);
        let losses = choices.iter().map(|choice| search.loss(choice, images, &float));
        let least = losses.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        choices[least.map_or(0, |(at, _)| at)].clone()
    };
    choices.push(search.refine(best(&choices, &seen), &seen));
    best(&choices, if unseen.is_empty() { &seen } else { &unseen })
}

/// Products that computing one image takes from node `first` on.
fn products(network: &Graph<Real>, first: usize) -> u64 {
    network.ids().skip(first).map(|id| network.macs_of(id)).sum()
}

/// The images that the search sees, as many as there is memory and work for, and those that it does not see.
pub fn parts<'i>(network: &Graph<Real>, images: &'i [Vec<f32>]) -> [Vec<&'i Vec<f32>>; 2] {
    let elements: usize = network.nodes.iter().map(|node| node.shape.len() as usize).sum();
    // A third of the work is for comparing what is taken for all values alike.
    let compared = 3 * (2 * METHODS.len() as u64 + 3) * products(network, 0).max(1);
    let most = (MEMORY / (elements.max(1) * size_of::<f32>())).max(8).min((WORK / compared).max(2) as usize);
    let part = |first: usize| images.iter().skip(first).step_by(2).take(most).collect();
    [part(0), part(1)]
}

/// The value that is compared: the output, or what softmax makes it of.
fn judged(network: &Graph<Real>) -> usize {
    let last = network.output();
    match &network.node(last).op {
        Op::Softmax { .. } => network.node(last).inputs[0].0,
        _ => last.0,
    }
}

/// How wrong an output is: from 0 to 1, which is a stranger's. Each image counts alike, so that one with a large output,
/// which may well be an outlier itself, does not decide for all.
fn wrong(float: &[f32], rounded: &[f32]) -> f64 {
    let mut noise = Noise::default();
    noise.add(float, rounded);
    if noise.noise == 0.0 { 0.0 } else { noise.noise / (noise.signal + noise.noise) }
}

/// The mean over `images` of how wrong the output is when values and weights are rounded as `quants` say, from 0 to 1.
pub fn loss(network: &Graph<Real>, quants: &[QuantParams], images: &[&Vec<f32>]) -> f64 {
    loss_beside(network, quants, images, &outputs(network, images))
}

/// The value that is compared, of each image in float.
fn outputs(network: &Graph<Real>, images: &[&Vec<f32>]) -> Vec<Vec<f32>> {
    let (runner, judged) = (NetRunner::new(network), judged(network));
    images.par_iter().map(|image| runner.forward(image).swap_remove(judged)).collect()
}

/// The same with the outputs in float.
fn loss_beside(network: &Graph<Real>, quants: &[QuantParams], images: &[&Vec<f32>], float: &[Vec<f32>]) -> f64 {
    let (rounded, judged) = (NetRunner::new(&fake::network(network, quants)), judged(network));
    let wrong =
        |(image, float): (&&Vec<f32>, &Vec<f32>)| wrong(float, &rounded.rounded(image, fake::round(quants))[judged]);
    mean(&images.par_iter().zip(float).map(wrong).collect::<Vec<_>>())
}

/// Summed in the order of the images, so that threads change nothing.
fn mean(each: &[f64]) -> f64 {
    each.iter().sum::<f64>() / each.len().max(1) as f64
}

struct Search<'n> {
    network: &'n Graph<Real>,
    groups: &'n [Group],
    judged: usize,
}

impl Search<'_> {
    /// The quantization of every value.
    fn quants(&self, choice: &[usize]) -> Vec<QuantParams> {
        let mut quants = vec![QuantParams { scale: 1.0, zero_point: 0 }; self.network.nodes.len()];
        for (group, &at) in self.groups.iter().zip(choice) {
            group.members.iter().for_each(|&member| quants[member] = group.proposals[at]);
        }
        quants
    }

    fn loss(&self, choice: &[usize], images: &[&Vec<f32>], float: &[Vec<f32>]) -> f64 {
        loss_beside(self.network, &self.quants(choice), images, float)
    }

    /// The groups that are worth a search, in the order of computation: where there is not work for all of `images`, those
    /// whose proposals are the furthest apart.
    fn worth(&self, images: usize) -> Vec<usize> {
        let apart = |group: &Group| {
            let scales = group.proposals.iter().map(|proposal| proposal.scale);
            scales.clone().fold(0.0, f32::max) / scales.fold(f32::INFINITY, f32::min)
        };
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by(|&a, &b| apart(&self.groups[b]).total_cmp(&apart(&self.groups[a])));
        let mut left = WORK * 2 / 3;
        order.retain(|&at| {
            let Group { members, proposals, .. } = &self.groups[at];
            let first = members.first().copied().unwrap_or(0);
            let cost = products(self.network, first) * proposals.len() as u64 * images as u64;
            let affordable = cost <= left;
            left -= if affordable { cost } else { 0 };
            affordable
        });
        order.sort_unstable();
        order
    }

    /// Changes one group's proposal after the other where that makes the output better, all others being as they are.
    fn refine(&self, mut choice: Vec<usize>, images: &[&Vec<f32>]) -> Vec<usize> {
        let mut quants = self.quants(&choice);
        // Biases are rounded as at the start: their steps are so small that it makes no difference to this.
        let rounded = NetRunner::new(&fake::network(self.network, &quants));
        let float = outputs(self.network, images);
        let mut values: Vec<Values> =
            images.par_iter().map(|image| rounded.rounded(image, fake::round(&quants))).collect();
        let lost = |values: &[Values]| {
            let each = values.par_iter().zip(&float).map(|(values, float)| wrong(float, &values[self.judged]));
            mean(&each.collect::<Vec<_>>())
        };
        let mut least = lost(&values);
        let worth = self.worth(images.len());
        let style = "ranges {bar:30} {pos} of {len} | {per_sec} | ready in {average_eta}";
        let bar = styled(ProgressBar::new(worth.len() as u64), style);
        for at in worth.into_iter().progress_with(bar.clone()) {
            let (group, chosen) = (&self.groups[at], &mut choice[at]);
            let first = group.members[0];
            let mut tried = vec![group.proposals[*chosen]];
            for (at, &proposal) in group.proposals.iter().enumerate() {
                if tried.contains(&proposal) {
                    continue;
                }
                tried.push(proposal);
                let mut others = quants.clone();
                group.members.iter().for_each(|&member| others[member] = proposal);
                let each: Vec<f64> = values
                    .par_iter()
                    .zip(&float)
                    .map(|(values, float)| {
                        let mut values = values.clone();
                        rounded.recompute(&mut values, first..others.len(), fake::round(&others));
                        wrong(float, &values[self.judged])
                    })
                    .collect();
                let loss = mean(&each);
                if loss < least {
                    (least, *chosen) = (loss, at);
                }
            }
            let proposal = group.proposals[*chosen];
            if quants[first] != proposal {
                group.members.iter().for_each(|&member| quants[member] = proposal);
                let again = |values: &mut Values| rounded.recompute(values, first..quants.len(), fake::round(&quants));
                values.par_iter_mut().for_each(again);
            }
        }
        bar.finish_and_clear();
        choice
    }
}
