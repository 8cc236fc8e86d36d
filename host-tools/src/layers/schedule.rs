//! In which order nodes run, cut at batch normalizations.
//!
//! Stage 0 holds what needs no statistics; a batch normalization stands one stage after its input. Within a stage all
//! work concerns one image at a time. Branches that stand side by side share their cuts.

use super::fuse::Fusion;
use crate::graph::{Graph, NodeId, Op};

/// One step of the backward pass of an image, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backward {
    /// Batch normalization `node` of the next stage hands its gradient to its input.
    Normalized {
        /// The batch normalization.
        node: usize,
        /// Whether other readers have done so before.
        accumulate: bool,
    },
    /// The sums of a batch normalization's own gradient, which is now complete.
    Sums {
        /// The batch normalization.
        node: usize,
    },
    /// A ReLU whose gradient becomes its input's, in place.
    Mask {
        /// The ReLU.
        node: usize,
    },
    /// Both at once, for a ReLU at the end of a tail.
    MaskedSums {
        /// The ReLU.
        relu: usize,
        /// The batch normalization at the beginning of its tail.
        node: usize,
    },
    /// The weight gradients of `node`.
    Weights {
        /// A node with weights.
        node: usize,
    },
    /// `node` hands a gradient to its input.
    Input {
        /// The node.
        node: usize,
        /// Which of its inputs.
        which: usize,
        /// Whether other readers have done so before.
        accumulate: bool,
    },
}

/// One stage: node indices forward, the batch normalizations that end it, and the steps backward.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Nodes in topological order.
    pub nodes: Vec<usize>,
    /// Batch normalizations of the next stage, whose inputs are in this one.
    pub measured: Vec<usize>,
    /// The backward pass.
    pub backward: Vec<Backward>,
}

fn is_norm(graph: &Graph, node: usize) -> bool {
    matches!(graph.nodes[node].op, Op::BatchNorm(_))
}

/// The stage of every node.
pub fn levels(graph: &Graph) -> Vec<usize> {
    let mut level = vec![0; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let inputs = node.inputs.iter().map(|input| level[input.0]).max().unwrap_or(0);
        level[index] = inputs + usize::from(is_norm(graph, index));
    }
    level
}

/// Cuts the graph into stages; gradients start at `loss` and reach everything but the input, and it too on request.
pub fn stages(graph: &Graph, loss: NodeId, input_gradient: bool, fusion: &Fusion) -> Vec<Stage> {
    let is_norm = |node: usize| is_norm(graph, node);
    let home = &fusion.home;
    let level = levels(graph);
    let mut stages = vec![Stage::default(); level.iter().max().map_or(0, |top| top + 1)];
    for index in 0..graph.nodes.len() {
        stages[level[index]].nodes.push(index);
        if is_norm(index) {
            stages[level[index] - 1].measured.push(index);
        }
    }
    let consumers = graph.consumers();
    let mut written = vec![false; graph.nodes.len()];
    written[home[loss.0]] = true;
    let wants = |node: usize| node > 0 || input_gradient;
    for stage in stages.iter_mut().rev() {
        for &node in stage.nodes.iter().rev() {
            if !wants(node) {
                continue;
            }
            // A normalization that nothing reads has no gradient to hand on.
            let norms = consumers[node].iter().map(|id| id.0).filter(|&id| is_norm(id) && written[home[id]]);
            for norm in norms.collect::<Vec<_>>() {
                stage.backward.push(Backward::Normalized { node: norm, accumulate: written[home[node]] });
                written[home[node]] = true;
            }
            if !written[home[node]] {
                continue;
            }
            if is_norm(node) {
                if !fusion.hidden[node] {
                    stage.backward.push(Backward::Sums { node });
                }
                continue;
            }
            if let Some(tail) = fusion.tails[node] {
                stage.backward.push(Backward::MaskedSums { relu: node, node: tail.norm });
                continue;
            }
            let op = &graph.nodes[node].op;
            if op.weights().is_some() || matches!(op, Op::Constant { .. }) {
                stage.backward.push(Backward::Weights { node });
            }
            for (which, input) in graph.nodes[node].inputs.iter().enumerate() {
                if !wants(input.0) {
                    continue;
                }
                if home[input.0] != home[node] {
                    stage.backward.push(Backward::Input { node, which, accumulate: written[home[input.0]] });
                    written[home[input.0]] = true;
                } else if !matches!(graph.nodes[node].op, Op::Add) {
                    stage.backward.push(Backward::Mask { node });
                }
            }
        }
    }
    stages
}
