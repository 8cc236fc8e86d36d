//! From the float graph to a float network of the runtime's operators: batch normalization folded into weights,
//! activations fused into the operator before them.
//!
//! Folding is exact up to float rounding. What cannot be folded keeps its meaning: a batch normalization without a
//! convolution before it becomes a depthwise 1x1 convolution, an activation that others pass by an operator of its own.

use kinglet::{Activation, Window};
use ndarray::ArrayD;

use super::{QuantizeError, trained};
use crate::graph::{Convert, Dims, Function, Graph, GraphError, Line, Node, NodeId, Op, Params, Real, Spec, Weights};

/// Folds `graph` with its parameters.
///
/// # Errors
/// When a parameter is missing, has the wrong dimensions, or is not finite.
pub fn fold(graph: &Graph, params: &Params) -> Result<Graph<Real>, QuantizeError> {
    Ok(traced(graph, params)?.0)
}

/// As [`fold`], and the node that each of the graph's nodes has become, or has been merged into.
///
/// # Errors
/// As [`fold`].
pub fn traced(graph: &Graph, params: &Params) -> Result<(Graph<Real>, Vec<NodeId>), QuantizeError> {
    params.check(graph)?;
    for (name, array) in params.iter() {
        if array.iter().any(|x| !x.is_finite()) {
            return Err(QuantizeError::Weights(name.to_string()));
        }
    }
    let consumers = graph.consumers();
    let mut folding = Folding { graph, params, nodes: Vec::new(), became: Vec::new() };
    for id in graph.ids() {
        let node = graph.node(id);
        // The only one to read its input may be merged into the operator that computes it.
        let alone = node.inputs.first().is_some_and(|input| consumers[input.0].len() == 1);
        let became = match &node.op {
            Op::BatchNorm(epsilon) => folding.batch_norm(id, *epsilon, alone)?,
            Op::Activate(activation) => folding.activation(id, *activation, alone),
            op => folding.push(id, op.convert(&Numbers { params, node })?),
        };
        folding.became.push(became);
    }
    if folding.nodes.len() < 2 {
        return Err(QuantizeError::NoOperators(graph.name.clone()));
    }
    let folded = Graph {
        name: graph.name.clone(),
        input: graph.input,
        nodes: folding.nodes,
        outputs: graph.outputs.iter().map(|output| folding.became[output.0]).collect(),
        labels: graph.labels.clone(),
        preprocess: graph.preprocess.clone(),
    };
    Ok((folded, folding.became))
}

impl Node<Real> {
    /// Whether input and output must be quantized alike, since the operator only moves or selects elements.
    pub fn keeps_quantization(&self) -> bool {
        self.op.keeps_quantization() || (self.activation == Activation::None && self.selects())
    }

    /// Whether each output is one element of the input as it is: parts of channels, of rows or columns.
    fn selects(&self) -> bool {
        let (Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. }) = &self.op else { return false };
        let one = |channel: usize| weights.of(channel).filter(|&weight| weight != 0.0).eq([1.0]);
        weights.bias.iter().all(|&bias| bias == 0.0) && (0..weights.bias.len()).all(one)
    }
}

/// The numbers of one node.
struct Numbers<'g> {
    params: &'g Params,
    node: &'g Node,
}

impl Numbers<'_> {
    fn param(&self, suffix: &str) -> Result<Vec<f32>, GraphError> {
        let array: &ArrayD<f32> = self.params.require(&format!("{}.{suffix}", self.node.name))?;
        Ok(array.iter().copied().collect())
    }

    /// The trained steps between weights, if there are any.
    fn steps(&self, dims: &Dims) -> Result<Option<Vec<f32>>, GraphError> {
        let name = trained::steps_name(&self.node.name);
        let (expected, found) = (vec![dims.channels as usize], self.params.get(&name));
        match found.map(ArrayD::shape) {
            Some(shape) if shape != expected => Err(GraphError::ParamShape { name, expected, found: shape.to_vec() }),
            _ => Ok(found.map(|steps| steps.iter().copied().collect())),
        }
    }
}

impl Convert<Spec, Real> for Numbers<'_> {
    type Error = GraphError;

    fn weights(&self, dims: &Dims) -> Result<Weights, GraphError> {
        let bias = if dims.bias { self.param("bias")? } else { vec![0.0; dims.channels as usize] };
        let channels_last = matches!(self.node.op, Op::DepthwiseConv2d { .. });
        Ok(Weights { weights: self.param("weight")?, bias, channels_last, steps: self.steps(dims)? })
    }

    fn constant(&self, (): &()) -> Result<Vec<f32>, GraphError> {
        self.param("constant")
    }

    fn function(&self, function: &Function) -> Result<Function, GraphError> {
        Ok(function.clone())
    }
}

/// A folded network in the making.
struct Folding<'g> {
    graph: &'g Graph,
    params: &'g Params,
    nodes: Vec<Node<Real>>,
    /// The node that holds the output of each of the graph's so far.
    became: Vec<NodeId>,
}

impl Folding<'_> {
    fn push(&mut self, id: NodeId, op: Op<Real>) -> NodeId {
        let Node { name, inputs, shape, .. } = self.graph.node(id);
        let inputs = inputs.iter().map(|input| self.became[input.0]).collect();
        self.nodes.push(Node { name: name.clone(), op, activation: Activation::None, inputs, shape: *shape });
        NodeId(self.nodes.len() - 1)
    }

    /// The folded node that computes the first input of `id`, when nothing has followed it yet.
    fn before(&mut self, id: NodeId) -> Option<(NodeId, &mut Node<Real>)> {
        let before = self.became[self.graph.node(id).inputs.first()?.0];
        let node = &mut self.nodes[before.0];
        (node.activation == Activation::None).then_some((before, node))
    }

    fn activation(&mut self, id: NodeId, activation: Activation, alone: bool) -> NodeId {
        match self.before(id) {
            Some((before, node)) if alone && node.op.takes_activation() => {
                node.activation = activation;
                before
            }
            _ => self.push(id, Op::Activate(activation)),
        }
    }

    fn batch_norm(&mut self, id: NodeId, epsilon: f32, alone: bool) -> Result<NodeId, QuantizeError> {
        let name = &self.graph.node(id).name;
        let Line { factors, offsets } = Line::of(name, epsilon, self.params)?;
        if let Some(channel) = factors.iter().position(|factor| !factor.is_finite()) {
            return Err(QuantizeError::Weights(format!("{name}.variance[{channel}]")));
        }
        if alone
            && let Some((before, node)) = self.before(id)
            && let Some(weights) = node.op.weights_mut()
        {
            weights.scale(&factors, &offsets);
            return Ok(before);
        }
        let [weights, bias] = [&factors, &offsets].map(|numbers| numbers.iter().map(|&x| x as f32).collect());
        let weights = Weights { weights, bias, channels_last: true, steps: None };
        Ok(self.push(id, Op::DepthwiseConv2d { window: Window::global([1, 1]), weights }))
    }
}
