//! What an importer puts together one node at a time, made smaller once all readers are known.

use kinglet::Shape;
use ndarray::{ArrayD, IxDyn};

use super::lower::MAX_SIZE;
use crate::graph::{Activation, Function, Graph, Node, NodeId, Op, Params};

/// Drops what the outputs do not depend on; joins functions of functions; and gives functions that convolutions can take in the form
/// in which the quantizer lets them: ReLU, ReLU6, batch normalization.
pub(super) fn simplify(mut graph: Graph, params: &mut Params) -> Graph {
    prune(&mut graph);
    join(&mut graph);
    prune(&mut graph);
    lower(graph, params)
}

/// Drops all that the outputs do not depend on.
fn prune(graph: &mut Graph) {
    let mut wanted: Vec<bool> = graph.nodes.iter().map(|node| node.op == Op::Input).collect();
    graph.outputs.iter().for_each(|output| wanted[output.0] = true);
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if wanted[index] {
            node.inputs.iter().for_each(|input| wanted[input.0] = true);
        }
    }
    let mut renamed = vec![NodeId(0); graph.nodes.len()];
    let mut kept = Vec::new();
    for (index, mut node) in graph.nodes.drain(..).enumerate().filter(|&(index, _)| wanted[index]) {
        node.inputs.iter_mut().for_each(|id| *id = renamed[id.0]);
        renamed[index] = NodeId(kept.len());
        kept.push(node);
    }
    graph.outputs.iter_mut().for_each(|id| *id = renamed[id.0]);
    graph.nodes = kept;
}

/// Whether the operator before can take in `function`, so that it costs nothing.
fn is_free(graph: &Graph, consumers: &[Vec<NodeId>], input: NodeId, function: &Function) -> bool {
    let weighted = |op: &Op| op.weights().is_some() || matches!(op, Op::BatchNorm(_));
    let clamps = |op: &Op| op.takes_activation() || matches!(op, Op::BatchNorm(_));
    let op = &graph.node(input).op;
    if consumers[input.0].len() != 1 {
        return false;
    }
    match function.below_relu() {
        Some((Function::X, _)) => clamps(op),
        Some((below, _)) => weighted(op) && below.affine().is_some(),
        None => weighted(op) && function.affine().is_some(),
    }
}

/// A function that alone reads another function becomes one with it, unless the first costs nothing where it is.
fn join(graph: &mut Graph) {
    let consumers = graph.consumers();
    for index in 0..graph.nodes.len() {
        let Op::Function(outer) = &graph.nodes[index].op else { continue };
        let input = graph.nodes[index].inputs[0];
        let Op::Function(inner) = &graph.node(input).op else { continue };
        let origin = graph.node(input).inputs[0];
        let joint = outer.of(inner);
        let is_gain = joint.size() <= MAX_SIZE && !is_free(graph, &consumers, origin, inner);
        if consumers[input.0].len() == 1 && (is_gain || is_free(graph, &consumers, origin, &joint)) {
            graph.nodes[index].op = Op::Function(joint);
            graph.nodes[index].inputs = vec![origin];
        }
    }
}

/// ReLU and ReLU6 by their names, and lines after a convolution as batch normalizations.
fn lower(mut graph: Graph, params: &mut Params) -> Graph {
    let consumers = graph.consumers();
    let free: Vec<bool> = (0..graph.nodes.len())
        .map(|index| match &graph.nodes[index].op {
            Op::Function(function) => is_free(&graph, &consumers, graph.nodes[index].inputs[0], function),
            _ => false,
        })
        .collect();
    let mut renamed = Vec::with_capacity(free.len());
    let mut nodes: Vec<Node> = Vec::with_capacity(free.len());
    for (mut node, free) in std::mem::take(&mut graph.nodes).into_iter().zip(free) {
        node.inputs.iter_mut().for_each(|id: &mut NodeId| *id = renamed[id.0]);
        if let Op::Function(function) = node.op.clone() {
            let relu =
                |limit: Option<f64>| Op::Activate(if limit.is_some() { Activation::Relu6 } else { Activation::Relu });
            match function.below_relu() {
                Some((Function::X, limit)) => node.op = relu(limit),
                Some((below, limit)) if free => {
                    // No name of a file has a dot here.
                    let name = format!("{}.line", node.name);
                    let line = Node { name, op: norm(), ..node.clone() };
                    write_line(params, &line.name, line.shape, below);
                    nodes.push(line);
                    (node.op, node.inputs) = (relu(limit), vec![NodeId(nodes.len() - 1)]);
                }
                None if free => {
                    write_line(params, &node.name, node.shape, &function);
                    node.op = norm();
                }
                _ => {}
            }
        }
        renamed.push(NodeId(nodes.len()));
        nodes.push(node);
    }
    graph.nodes = nodes;
    graph.outputs.iter_mut().for_each(|id| *id = renamed[id.0]);
    graph
}

/// A batch normalization whose variance is 1.
fn norm() -> Op {
    Op::BatchNorm(0.0)
}

/// The parameters of a batch normalization that is `function`, which is affine.
fn write_line(params: &mut Params, name: &str, shape: Shape, function: &Function) {
    let (factor, offset) = function.affine().unwrap_or((1.0, 0.0));
    for (suffix, number) in [("gamma", factor), ("beta", offset), ("mean", 0.0), ("variance", 1.0)] {
        let array = ArrayD::from_elem(IxDyn(&[shape.c as usize]), number as f32);
        params.insert(format!("{name}.{suffix}"), array);
    }
}
