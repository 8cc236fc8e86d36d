//! The method of each range chosen by what matters: the error at the network's output.

use kinglet::QuantParams;
use rayon::prelude::*;

use super::fake::Noise;
use super::fold::{Folded, FoldedOp, ValueId};
use super::forward::Values;
use super::observe::Histogram;
use super::ranges::Method;
use super::scales::affine;

/// What is tried for each group of values.
const METHODS: [Method; 5] =
    [Method::MinMax, Method::Mse, Method::Entropy, Method::Percentile(99.99), Method::Percentile(99.9)];

/// Chooses one group's range after the other, in the order of computation; those before it are rounded already.
pub struct Search<'n> {
    network: &'n Folded,
    /// The value that is compared: the output, or what softmax makes it of.
    judged: ValueId,
    /// Each image's output in float.
    float: Vec<Vec<f32>>,
    /// Each image's values, with the ranges that are chosen.
    values: Vec<Values>,
    chosen: Vec<Option<QuantParams>>,
}

impl<'n> Search<'n> {
    /// Nothing is chosen yet; `images` are H x W x C numbers each.
    pub fn new(network: &'n Folded, images: &[Vec<f32>]) -> Self {
        let last = network.nodes.len();
        let judged = match &network.nodes[last - 1] {
            node if node.op == FoldedOp::Softmax => node.inputs[0],
            _ => last,
        };
        let values: Vec<Values> = images.par_iter().map(|image| network.forward(image)).collect();
        let float = values.iter().map(|values| values[judged].clone()).collect();
        Self { network, judged, float, values, chosen: vec![None; network.values()] }
    }

    /// Fixes the quantization of a group.
    pub fn fix(&mut self, members: &[ValueId], quant: QuantParams) {
        members.iter().for_each(|&member| self.chosen[member] = Some(quant));
        let (network, chosen, first) = (self.network, &self.chosen, members[0]);
        self.values.par_iter_mut().for_each(|values| network.recompute(values, first, chosen));
    }

    /// The range, of all that the methods propose, with the least error at the output.
    pub fn choose(&self, members: &[ValueId], seen: &[&Histogram]) -> (f64, f64) {
        let mut ranges: Vec<(f64, f64)> = Vec::new();
        for method in METHODS {
            let range = method.range(seen);
            if !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        if ranges.len() == 1 || self.values.is_empty() {
            return ranges[0];
        }
        let losses = ranges.into_iter().map(|range| (self.loss(members, affine(range.0, range.1)), range));
        losses.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is at least one").1
    }

    /// The squared error of the output when a group has this quantization.
    fn loss(&self, members: &[ValueId], quant: QuantParams) -> f64 {
        let mut chosen = self.chosen.clone();
        members.iter().for_each(|&member| chosen[member] = Some(quant));
        let noise = |(values, float): (&Values, &Vec<f32>)| {
            let mut values = values.clone();
            self.network.recompute(&mut values, members[0], &chosen);
            let mut noise = Noise::default();
            noise.add(float, &values[self.judged]);
            noise
        };
        // Summed in the order of the images, so that threads change nothing.
        let each: Vec<Noise> = self.values.par_iter().zip(&self.float).map(noise).collect();
        each.into_iter().fold(Noise::default(), Noise::and).noise
    }
}
