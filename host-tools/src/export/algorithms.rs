//! Which algorithm computes each convolution: the fewest instructions, or cycles of a board, that flash and RAM allow.
//!
//! Faster algorithms take weights that were transformed at export (flash), or scratch (RAM). Flash is spent where a
//! byte saves most. RAM is the planner's: where its plan does not fit, the convolutions whose scratch it finds too large
//! have to make do with less.

use std::cmp::Reverse;

use kinglet::kernels::algorithms::{Candidate, ConvAlgorithm, Core, Layer, candidates, choose};
use kinglet::ops::{Encoding, Op};
use kinglet::{Channel, DType, Rounding};
use serde::Serialize;

use super::Options;
use crate::cycles::Predictor;
use crate::lower::{Lowered, Program};
use crate::network::Network;
use crate::plan::{Demand, Plan};

/// Nodes for each convolution that one round of planning limits: rounds stay few in large networks.
const SMALL: usize = 64;

/// The algorithms of a network's nodes that were chosen, and how far each may go.
pub(super) struct Choice<'n> {
    network: &'n Network,
    /// Each node for the direct algorithm.
    direct: &'n [Lowered],
    /// For each node the layer and the algorithms that compute it; none for nodes that are no convolutions.
    layers: Vec<Option<(Layer, Vec<Candidate>)>>,
    /// The most scratch that the algorithm of each node may take.
    limits: Vec<usize>,
    /// The scratch below which no node has to go.
    floors: Vec<usize>,
    /// The candidate of each node that was chosen last.
    chosen: Vec<Option<Candidate>>,
    /// Bytes of packed weights for all convolutions.
    flash: usize,
}

/// What a node would do with more scratch than its limit.
struct Better {
    node: usize,
    /// Bytes with which it has faster algorithms, from the least on.
    scratch: Vec<usize>,
    /// What the fastest gains.
    gain: u64,
}

/// Sets the limits of nodes, and keeps them if the program still fits.
type Trial<'t, 'n> = dyn FnMut(&mut Choice<'n>, &[(usize, usize)]) -> bool + 't;

/// A way to store a convolution's weights, with the fastest algorithm over them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredAs {
    /// The convolution.
    pub layer: String,
    /// How weights are stored, in words.
    pub weights: String,
    /// The algorithm.
    pub algorithm: String,
    /// Bytes of packed weights.
    pub bytes: usize,
    /// Bytes of scratch.
    pub scratch: usize,
    /// Instructions of the core that algorithms are chosen for, or cycles of the board.
    pub cost: u64,
    /// Whether the model has it.
    pub is_chosen: bool,
}

impl<'n> Choice<'n> {
    /// With a budget of bytes of `weights` and tables.
    pub(super) fn new(network: &'n Network, direct: &'n [Lowered], options: &Options, weights: Option<u32>) -> Self {
        let program = Program::new(network, direct);
        let mut layers = Vec::new();
        for (node, lowered) in network.nodes.iter().zip(direct) {
            let convolution = || {
                let Op::Conv2d(conv) = lowered.op() else { return None };
                let step = program.steps.iter().find(|step| step.output == node.output)?;
                let tensors = program.operands(step);
                // Packed weights are for int8, and hold constants for double rounding.
                let packs = conv.weights.encoding != Encoding::Halfwords && conv.rounding == Rounding::Double;
                if tensors.a.dtype != DType::I8 || !packs {
                    return None;
                }
                let layer = conv.layer(&tensors);
                let channels: Vec<Channel> = conv.channels.iter().collect();
                let mut found = candidates(&layer, conv.weights.bytes, &channels, options.core);
                if !multiplies_bytes(options.core) && options.algorithm != Some(ConvAlgorithm::GemmBytes) {
                    found.retain(|candidate| candidate.algorithm != ConvAlgorithm::GemmBytes);
                }
                found.push(Candidate {
                    algorithm: ConvAlgorithm::Direct,
                    encoding: Encoding::Plain,
                    cost: ConvAlgorithm::Direct.cost(&layer, options.core),
                    flash: conv.weights.bytes.len(),
                    scratch: step.op.scratch_len(&tensors) as usize,
                });
                if let Some(forced) = options.algorithm
                    && found.iter().any(|candidate| candidate.algorithm == forced)
                {
                    found.retain(|candidate| candidate.algorithm == forced);
                }
                Some((layer, found))
            };
            layers.push(convolution());
        }
        if let Some(predictor) = options.board.and_then(|board| Predictor::of(board).ok()) {
            layers.iter_mut().flatten().for_each(|(layer, list)| in_cycles(layer, list, &predictor));
        }
        let flash = match weights {
            Some(flash) => {
                let all: usize = direct.iter().map(Lowered::len).sum();
                let convolutions = layers.iter().zip(direct).filter(|(layer, _)| layer.is_some());
                (flash as usize)
                    .saturating_sub(all - convolutions.map(|(_, direct)| direct.weights_len()).sum::<usize>())
            }
            // The smallest packing beside that of the portable code, which only few bytes would speak for.
            None => layers.iter().flatten().filter_map(|(_, list)| smallest_packing(list, options.core)).sum(),
        };
        let (limits, chosen) = (vec![usize::MAX; layers.len()], vec![None; layers.len()]);
        let floors = layers
            .iter()
            .map(|layer| layer.iter().flat_map(|(_, list)| list).map(|candidate| candidate.scratch).min().unwrap_or(0))
            .collect();
        Self { network, direct, layers, limits, floors, chosen, flash }
    }

    /// Chooses the best algorithms within the limits, and lowers every node to its algorithm.
    pub(super) fn apply(&mut self, nodes: &mut [Lowered]) {
        let lists: Vec<Vec<Candidate>> =
            self.layers.iter().map(|layer| layer.as_ref().map_or(Vec::new(), |(_, list)| list.clone())).collect();
        self.chosen = choose(&lists, self.flash, |node, candidate| self.allows(node, candidate));
        for (node, lowered) in nodes.iter_mut().enumerate() {
            let (Some((layer, _)), Some(chosen)) = (&self.layers[node], self.chosen[node]) else { continue };
            // Packing takes long, and most algorithms stay.
            let Candidate { algorithm, encoding, .. } = chosen;
            if lowered.algorithm() != Some((algorithm, encoding)) {
                let packed = self.direct[node].packed(algorithm, encoding, layer);
                *lowered = packed.unwrap_or_else(|| self.direct[node].clone());
            }
        }
    }

    /// Whether a candidate keeps to its node's limit; one at the floor always does.
    fn allows(&self, node: usize, candidate: &Candidate) -> bool {
        candidate.scratch <= self.limits[node].max(self.floors[node])
    }

    /// Limits the scratch of the convolutions with the most of it among those that are demanded less of, one at a time in small
    /// networks: what one gives up may be all that the others need. Whether one of them has to change its algorithm for it;
    /// every limit that is set takes the chosen algorithm from a convolution, so this can be true only as often as there are
    /// candidates.
    pub(super) fn tighten(&mut self, program: &Program<'_>, demands: &[Demand]) -> bool {
        let mut found: Vec<_> = demands
            .iter()
            .filter_map(|demand| {
                let output = program.steps[demand.step].output;
                let node = self.network.nodes.iter().position(|node| node.output == output)?;
                let scratch = self.chosen[node]?.scratch;
                (scratch > self.floors[node]).then_some((scratch, node))
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate((self.layers.len() / SMALL).max(1));
        for &(scratch, node) in &found {
            self.limits[node] = self.limits[node].min(scratch - 1);
        }
        !found.is_empty()
    }

    /// Gives back what `tighten` took for plans that were not to be: from the convolution that gains most on, each the most scratch with
    /// which the program still `fits`. The plan, if one has more than before.
    pub(super) fn loosen(&mut self, nodes: &mut [Lowered], fits: impl Fn(&[Lowered]) -> Option<Plan>) -> Option<Plan> {
        let mut better: Vec<_> = (0..nodes.len()).filter_map(|node| self.better(node)).collect();
        better.sort_by_key(|better| Reverse(better.gain));
        let mut best = None;
        self.loosen_all(&better, false, &mut |choice, limits| {
            let before: Vec<_> = limits.iter().map(|&(node, _)| (node, choice.limits[node])).collect();
            limits.iter().for_each(|&(node, limit)| choice.limits[node] = limit);
            choice.apply(nodes);
            let plan = fits(nodes);
            if plan.is_none() {
                before.into_iter().for_each(|(node, limit)| choice.limits[node] = limit);
            }
            plan.map(|plan| best = Some(plan)).is_some()
        });
        self.apply(nodes);
        best
    }

    /// Gives convolutions the most of their bytes of scratch that a `trial` keeps: all at once, since most of them fit, or by halves.
    /// Whether all have the most; that is not tried where it is `too_much`.
    fn loosen_all(&mut self, better: &[Better], too_much: bool, trial: &mut Trial<'_, 'n>) -> bool {
        let most: Vec<_> = better.iter().filter_map(|better| Some((better.node, *better.scratch.last()?))).collect();
        if most.is_empty() || !too_much && trial(self, &most) {
            return true;
        }
        if let [Better { node, scratch, .. }] = better {
            let mut untried = 0..scratch.len() - 1;
            while !untried.is_empty() {
                let middle = usize::midpoint(untried.start, untried.end);
                if trial(self, &[(*node, scratch[middle])]) {
                    untried.start = middle + 1;
                } else {
                    untried.end = middle;
                }
            }
        } else {
            let (first, second) = better.split_at(better.len() / 2);
            // The second beside all of the first is what was too much.
            let all = self.loosen_all(first, false, trial);
            self.loosen_all(second, all, trial);
        }
        false
    }

    /// The faster algorithms of a node beyond its limit, if there are any.
    fn better(&self, node: usize) -> Option<Better> {
        let ((_, list), chosen) = (self.layers[node].as_ref()?, self.chosen[node]?);
        let mut list: Vec<_> = list.iter().filter(|candidate| !self.allows(node, candidate)).collect();
        list.sort_by_key(|candidate| candidate.scratch);
        let mut cost = chosen.cost;
        list.retain(|candidate| {
            let is_faster = candidate.cost < cost;
            cost = cost.min(candidate.cost);
            is_faster
        });
        let scratch: Vec<usize> = list.iter().map(|candidate| candidate.scratch).collect();
        (!scratch.is_empty()).then_some(Better { node, scratch, gain: chosen.cost - cost })
    }

    /// Limits every convolution to the least scratch that an algorithm in the core's own instructions takes: the portable
    /// one takes less, and several times the instructions, so that only a budget in bytes brings it in.
    pub(super) fn least(&mut self) {
        for (limit, layer) in self.limits.iter_mut().zip(&self.layers) {
            let list = layer.iter().flat_map(|(_, list)| list);
            let own = list.filter(|candidate| candidate.algorithm != ConvAlgorithm::Direct);
            *limit = own.map(|candidate| candidate.scratch).min().unwrap_or(0);
        }
    }

    /// Keeps the limits as floors: what they allow fits, so that no convolution has to do with less.
    pub(super) fn settle(&mut self) {
        self.floors.clone_from(&self.limits);
    }

    /// What is chosen for each convolution whose weights fit fewer bits than eight, and the fastest that there is for each other encoding.
    pub(super) fn stored(&self) -> Vec<StoredAs> {
        let mut all = Vec::new();
        for ((layer, chosen), node) in self.layers.iter().zip(&self.chosen).zip(&self.network.nodes) {
            let (Some((_, list)), Some(chosen)) = (layer, chosen) else { continue };
            let mut encodings: Vec<Encoding> = list.iter().map(|candidate| candidate.encoding).collect();
            encodings.sort_by_key(|encoding| encoding.code());
            encodings.dedup();
            if encodings.len() < 2 {
                continue;
            }
            all.extend(encodings.into_iter().filter_map(|encoding| {
                let is_chosen = chosen.encoding == encoding;
                let fastest = list.iter().filter(|candidate| candidate.encoding == encoding).min_by_key(|c| c.cost);
                let Candidate { algorithm, flash, scratch, cost, .. } = if is_chosen { *chosen } else { *fastest? };
                Some(StoredAs {
                    layer: node.name.clone(),
                    weights: weights_in_words(encoding),
                    algorithm: format!("{algorithm:?}"),
                    bytes: flash,
                    scratch,
                    cost,
                    is_chosen,
                })
            }));
        }
        all
    }

    /// Lifts all limits.
    pub(super) fn lift(&mut self) {
        self.limits.fill(usize::MAX);
    }
}

/// How weights are stored, in words.
#[must_use]
pub fn weights_in_words(encoding: Encoding) -> String {
    match encoding {
        Encoding::Nibbles => "4-bit".to_owned(),
        Encoding::Palette { bits } => format!("{bits}-bit palette"),
        Encoding::Halfwords => "16-bit".to_owned(),
        _ => "plain".to_owned(),
    }
}

/// Replaces instructions by cycles. An algorithm that too few steps were traced of is taken to run at the rate of the layer's others.
fn in_cycles(layer: &Layer, list: &mut [Candidate], predictor: &Predictor) {
    let cycles: Vec<Option<u64>> = list.iter().map(|c| predictor.candidate(c, layer)).collect();
    let known = list.iter().zip(&cycles).filter_map(|(candidate, cycles)| Some((candidate.cost, (*cycles)?)));
    let (instructions, all) =
        known.fold((0, 0), |(instructions, all), (cost, cycles)| (instructions + cost, all + cycles));
    if instructions > 0 {
        let rate = all as f64 / instructions as f64;
        let costs = cycles.iter().zip(list);
        costs.for_each(|(cycles, c)| c.cost = cycles.unwrap_or((c.cost as f64 * rate) as u64));
    }
}

/// Whether a core multiplies bytes at least as well as halves of words: not so where halves have instructions of their own.
fn multiplies_bytes(core: Core) -> bool {
    core != Core::M4
}

/// Bytes of the smallest packing of a layer, the portable one only if there is no other; with Helium that of its own
/// instructions, which is filled up to whole vectors.
fn smallest_packing(list: &[Candidate], core: Core) -> Option<usize> {
    let own = |candidate: &&Candidate| core == Core::M55 && candidate.algorithm == ConvAlgorithm::GemmBytes;
    if let Some(vectors) = list.iter().filter(own).map(|candidate| candidate.flash).min() {
        return Some(vectors);
    }
    let portable = |candidate: &&Candidate| candidate.algorithm == ConvAlgorithm::Direct;
    let packed = list.iter().filter(|candidate| !portable(candidate)).map(|candidate| candidate.flash).min();
    packed.or(list.iter().map(|candidate| candidate.flash).min())
}

#[cfg(test)]
mod tests {
    use kinglet::kernels::algorithms::Map;
    use kinglet::{Padding, Window};

    use super::*;
    use crate::boards;

    #[test]
    fn costs_are_a_boards_cycles_or_at_their_rate() {
        let board = boards::find("nucleo-l4r5zi", boards::all().iter(), "there are").unwrap();
        let predictor = Predictor::of(board).unwrap();
        let map = Map::dense(16, 16, 32);
        let window = Window::new([3; 2], [1; 2], Padding::Same, [16; 2]);
        let layer = Layer { input: map, output: map, window, zero_in: 0, zero_out: 0, low: i8::MIN, high: i8::MAX };
        let candidate =
            |algorithm, cost| Candidate { algorithm, encoding: Encoding::Plain, cost, flash: 9_000, scratch: 0 };
        let mut list = [candidate(ConvAlgorithm::Gemm8, 4_000_000), candidate(ConvAlgorithm::Stride2, 1_000_000)];
        in_cycles(&layer, &mut list, &predictor);
        let cycles = predictor.candidate(&list[0], &layer).unwrap();
        assert!(list[0].cost == cycles && (3_000_000..30_000_000).contains(&cycles), "{list:?}");
        // No such layer has that algorithm, and none was traced.
        assert!(list[1].cost.abs_diff(cycles / 4) <= 1, "{list:?}");
    }
}
