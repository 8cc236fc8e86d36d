//! Steps over tensors: concatenations become views, or copies where a view cannot be.

use std::collections::{HashMap, HashSet};

use kinglet::ops::{Concat, Op, Operands};

use super::Lowered;
use crate::graph;
use crate::network::{Network, Node, TensorId, TensorInfo};

/// A network as the runtime will see it, before anything has a place.
#[derive(Clone, Debug)]
pub struct Program<'n> {
    /// The network's tensors, and behind them a part for every input of a concatenation that must be copied.
    pub tensors: Vec<TensorInfo>,
    /// The parent tensor that each tensor is a part of, and the first of its channels there.
    pub parent: Vec<Option<(TensorId, u32)>>,
    /// The steps, in the network's order.
    pub steps: Vec<ProgramStep<'n>>,
    /// The tensors that are there before the first step: [`Network::given`].
    pub given: Vec<TensorId>,
    /// The tensors that last until the inference has ended, each as a whole: [`Network::kept`].
    pub kept: Vec<TensorId>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct ProgramStep<'n> {
    /// The node it comes from.
    pub name: &'n str,
    /// The operator.
    pub op: Op<'n>,
    /// Its operands, one or two.
    pub inputs: Vec<TensorId>,
    /// The tensor it writes.
    pub output: TensorId,
}

impl<'n> Program<'n> {
    /// The steps of a network, whose nodes are lowered.
    pub fn new(network: &'n Network, nodes: &'n [Lowered]) -> Self {
        let mut program = Self {
            tensors: network.tensors.clone(),
            parent: vec![None; network.tensors.len()],
            steps: Vec::new(),
            given: network.given().collect(),
            kept: network.kept().collect(),
        };
        let views = Views::choose(network);
        for (index, (node, lowered)) in network.nodes.iter().zip(nodes).enumerate() {
            if !matches!(node.op, graph::Op::Concat) {
                let (op, inputs) = (lowered.op(), node.inputs.clone());
                program.steps.push(ProgramStep { name: &node.name, op, inputs, output: node.output });
                continue;
            }
            let mut channel = 0;
            for (slot, &input) in node.inputs.iter().enumerate() {
                let part = if views.is_view(index, slot) { input } else { program.copy(&node.name, input) };
                program.parent[part] = Some((node.output, channel));
                channel += network.tensors[input].shape.c;
            }
        }
        program
    }

    /// A copy of `input` that can be a part of a parent tensor.
    fn copy(&mut self, name: &'n str, input: TensorId) -> TensorId {
        let part = self.tensors.len();
        self.tensors.push(self.tensors[input].clone());
        self.parent.push(None);
        self.steps.push(ProgramStep { name, op: Op::Concat(Concat), inputs: vec![input], output: part });
        part
    }

    /// The outermost parent tensor that a tensor lives in, or itself, and its first channel there.
    pub fn root(&self, tensor: TensorId) -> (TensorId, u32) {
        let (mut at, mut channel) = (tensor, 0);
        while let Some((parent, first)) = self.parent[at] {
            (at, channel) = (parent, channel + first);
        }
        (at, channel)
    }

    /// Bytes from one pixel of a tensor to the next.
    pub fn pitch(&self, tensor: TensorId) -> u32 {
        let root = &self.tensors[self.root(tensor).0];
        root.shape.c * root.dtype.size()
    }

    /// The tensors that a parent tensor consists of.
    pub fn parts(&self, parent: TensorId) -> Vec<TensorId> {
        (0..self.parent.len()).filter(|&part| self.parent[part].is_some_and(|(of, _)| of == parent)).collect()
    }

    /// Bytes of scratch that a step needs when each tensor keeps as many rows as `rows` says. It depends on shapes, pitches
    /// and rows only, not on places or time slots.
    pub fn scratch_len(&self, step: &ProgramStep<'_>, rows: &[u32]) -> u32 {
        let mut tensors = self.operands(step);
        tensors.a.place.rows = rows[step.inputs[0]];
        if let (Some(b), Some(&id)) = (&mut tensors.b, step.inputs.get(1)) {
            b.place.rows = rows[id];
        }
        tensors.output.place.rows = rows[step.output];
        step.op.scratch_len(&tensors)
    }

    /// A step's operands, before they have a place and a life.
    pub fn operands(&self, step: &ProgramStep<'_>) -> Operands {
        let tensor = |id: TensorId| {
            let mut tensor = self.tensors[id].dense();
            tensor.place.pitch = self.pitch(id);
            tensor
        };
        let b = step.inputs.get(1).map(|&id| tensor(id));
        Operands { a: tensor(step.inputs[0]), b, output: tensor(step.output) }
    }
}

/// A tensor and the parent tensors that it is within.
fn parents(parent: &HashMap<TensorId, TensorId>, tensor: TensorId) -> impl Iterator<Item = TensorId> {
    std::iter::successors(Some(tensor), |at| parent.get(at).copied())
}

/// Which inputs of which concatenations are views.
struct Views {
    /// Node and slot.
    chosen: HashSet<(usize, usize)>,
}

impl Views {
    /// An input is a view when its producer can write it straight into the parent tensor: it has a producer, it is a part of no
    /// other concatenation and only once of this one, the caller does not read it, it has the parent's quantization,
    /// and its producer reads nothing that lives in the same parent tensor.
    fn choose(network: &Network) -> Self {
        let producer: HashMap<TensorId, usize> =
            network.nodes.iter().enumerate().map(|(index, node)| (node.output, index)).collect();
        let mut parent: HashMap<TensorId, TensorId> = HashMap::new();
        let mut chosen = HashSet::new();
        let root = |parent: &HashMap<TensorId, TensorId>, mut at: TensorId| {
            while let Some(&next) = parent.get(&at) {
                at = next;
            }
            at
        };
        // From the last concatenation back, so that the outermost parent tensor is known before its parts.
        for (index, node) in network.nodes.iter().enumerate().rev() {
            if !matches!(node.op, graph::Op::Concat) {
                continue;
            }
            for (slot, input) in node.inputs.iter().enumerate() {
                let once = node.inputs.iter().filter(|other| *other == input).count() == 1;
                let (from, to) = (&network.tensors[*input], &network.tensors[node.output]);
                let same = from.dtype == to.dtype && from.quant.same(to.quant);
                let Some(&by) = producer.get(input) else { continue };
                if !once || !same || network.kept().any(|kept| kept == *input) || parent.contains_key(input) {
                    continue;
                }
                parent.insert(*input, node.output);
                chosen.insert((index, slot));
                if Self::reads_own_parent(network, &parent, by, &root) {
                    parent.remove(input);
                    chosen.remove(&(index, slot));
                }
            }
        }
        // A view chosen later may have put an operand of an earlier chosen one's producer, or of a copy, into the same
        // parent tensor.
        let concatenations = network.nodes.iter().enumerate().filter(|(_, node)| matches!(node.op, graph::Op::Concat));
        let slots: Vec<_> =
            concatenations.flat_map(|(index, node)| (0..node.inputs.len()).map(move |slot| (index, slot))).collect();
        loop {
            let wrong = slots.iter().copied().find_map(|(index, slot)| {
                let (input, output) = (network.nodes[index].inputs[slot], network.nodes[index].output);
                if chosen.contains(&(index, slot)) {
                    return Self::reads_own_parent(network, &parent, producer[&input], &root).then_some(input);
                }
                // What holds the copy's input but not its output must leave the parent tensor.
                (root(&parent, input) == root(&parent, output)).then(|| {
                    let around: Vec<_> = parents(&parent, output).collect();
                    parents(&parent, input).take_while(|tensor| !around.contains(tensor)).last().unwrap_or(input)
                })
            });
            let Some(tensor) = wrong else { break };
            let of = parent.remove(&tensor);
            chosen.retain(|&(index, slot)| {
                let node: &Node = &network.nodes[index];
                Some(node.output) != of || node.inputs[slot] != tensor
            });
        }
        Self { chosen }
    }

    /// Whether the node reads something that lives in the parent tensor that it writes a part of. A concatenation
    /// does so by nature: it writes nothing itself.
    fn reads_own_parent(
        network: &Network,
        parent: &HashMap<TensorId, TensorId>,
        node: usize,
        root: &impl Fn(&HashMap<TensorId, TensorId>, TensorId) -> TensorId,
    ) -> bool {
        let node = &network.nodes[node];
        if matches!(node.op, graph::Op::Concat) {
            return false;
        }
        let output = root(parent, node.output);
        node.inputs.iter().any(|&input| root(parent, input) == output)
    }

    fn is_view(&self, node: usize, slot: usize) -> bool {
        self.chosen.contains(&(node, slot))
    }
}
