//! From the float graph to a float network of the runtime's operators: batch normalization folded into weights,
//! activations fused into the operator before them.
//!
//! Folding is exact up to float rounding. What cannot be folded keeps its meaning: a batch normalization without a
//! convolution before it becomes a depthwise 1x1 convolution, an activation that others pass by an operator of its own.

use kinglet::{Activation, Shape, Window};
use ndarray::ArrayD;

use super::QuantizeError;
use crate::graph::{Function, Graph, GraphError, Line, NodeId, Op, Params, Preprocess};
use crate::network::ConstantFunction;

/// A value of a folded network: 0 is the input, `i + 1` the output of node `i`.
pub type ValueId = usize;

/// A float network of the runtime's operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// Its name.
    pub name: String,
    /// `H x W x C` of the input.
    pub input: Shape,
    /// The operators, in topological order; the last one's output is the network's.
    pub nodes: Vec<FoldedNode>,
    /// Class names, or none.
    pub labels: Vec<String>,
    /// How pixels become the input's real numbers.
    pub preprocess: Preprocess,
}

/// An operator of a folded network.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedNode {
    /// Its name: that of the graph's node that computes its weighted sum, or its only one.
    pub name: String,
    /// What it computes.
    pub op: FoldedOp,
    /// What follows.
    pub activation: Activation,
    /// The values it reads.
    pub inputs: Vec<ValueId>,
    /// `H x W x C` of its output.
    pub shape: Shape,
}

/// What a folded node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum FoldedOp {
    /// Convolution; weights `[out][kernel row][kernel column][in]`.
    Conv2d(Window, Weights),
    /// Depthwise convolution; weights `[kernel row][kernel column][out]`.
    DepthwiseConv2d(Window, Weights),
    /// Fully connected; weights `[out][in]`.
    Dense(Weights),
    /// Maximum over a window.
    MaxPool(Window),
    /// Average over the part of a window inside the input.
    AveragePool(Window),
    /// Mean over height and width.
    Mean,
    /// Sum of two values.
    Add,
    /// The first value less the second, which may be one pixel.
    Sub,
    /// Product of two values; the second may be one pixel.
    Mul,
    /// Arithmetic with a constant of the map's shape.
    Constant(ConstantFunction, Vec<f32>),
    /// A function of every element.
    Function(Function),
    /// Side by side along channels.
    Concat,
    /// Softmax along channels.
    Softmax,
    /// The same elements under another shape.
    Reshape,
    /// Zeros around the map: rows and columns before, and after.
    Pad([u32; 2], [u32; 2]),
    /// Nothing but the activation.
    Activate,
}

/// Weights and a bias per output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The weights, in the operator's layout.
    pub weights: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<f32>,
    /// Whether the output channel is the innermost dimension of the weights, and not the outermost.
    pub channels_last: bool,
}

impl Weights {
    /// Output channels.
    pub fn channels(&self) -> usize {
        self.bias.len()
    }

    /// The weights of output channel `channel`.
    pub fn of(&self, channel: usize) -> impl Iterator<Item = f32> + '_ {
        let each = self.weights.len() / self.channels();
        let (start, step) = if self.channels_last { (channel, self.channels()) } else { (channel * each, 1) };
        self.weights.iter().skip(start).step_by(step).take(each).copied()
    }

    /// Multiplies each output channel by its factor and adds its offset.
    pub(super) fn scale(&mut self, factors: &[f64], offsets: &[f64]) {
        let channels = self.channels();
        let each = self.weights.len() / channels;
        for (index, weight) in self.weights.iter_mut().enumerate() {
            let channel = if self.channels_last { index % channels } else { index / each };
            *weight = (f64::from(*weight) * factors[channel]) as f32;
        }
        for ((bias, factor), offset) in self.bias.iter_mut().zip(factors).zip(offsets) {
            *bias = (f64::from(*bias) * factor + offset) as f32;
        }
    }
}

impl FoldedOp {
    /// The weights, of operators that have some.
    pub fn weights(&self) -> Option<&Weights> {
        match self {
            FoldedOp::Conv2d(_, weights) | FoldedOp::DepthwiseConv2d(_, weights) | FoldedOp::Dense(weights) => {
                Some(weights)
            }
            _ => None,
        }
    }

    /// As [`FoldedOp::weights`], for changing.
    pub fn weights_mut(&mut self) -> Option<&mut Weights> {
        match self {
            FoldedOp::Conv2d(_, weights) | FoldedOp::DepthwiseConv2d(_, weights) | FoldedOp::Dense(weights) => {
                Some(weights)
            }
            _ => None,
        }
    }

    /// Whether the runtime's operator clamps its output to an activation's range. (Pools do too, but share their
    /// quantization with their input, of which an activation would cut off a part.)
    fn takes_activation(&self) -> bool {
        use FoldedOp::{Add, Constant, Mul, Sub};
        self.weights().is_some() || matches!(self, Add | Sub | Mul | Constant(..))
    }

    /// Whether each output is one element of the input as it is: parts of channels, of rows or columns.
    fn selects(&self) -> bool {
        let (FoldedOp::Conv2d(_, weights) | FoldedOp::DepthwiseConv2d(_, weights)) = self else { return false };
        let one = |channel: usize| weights.of(channel).filter(|&weight| weight != 0.0).eq([1.0]);
        weights.bias.iter().all(|&bias| bias == 0.0) && (0..weights.channels()).all(one)
    }
}

impl FoldedNode {
    /// Whether input and output must be quantized alike, since the operator only moves or selects elements.
    pub fn keeps_quantization(&self) -> bool {
        use FoldedOp::{AveragePool, Concat, MaxPool, Pad, Reshape};
        matches!(self.op, MaxPool(_) | AveragePool(_) | Concat | Reshape | Pad(..))
            || (self.activation == Activation::None && self.op.selects())
    }
}

impl Folded {
    /// Folds `graph` with its parameters.
    ///
    /// # Errors
    /// When a parameter is missing, has the wrong dimensions, or is not finite.
    pub fn new(graph: &Graph, params: &Params) -> Result<Self, QuantizeError> {
        Ok(Self::traced(graph, params)?.0)
    }

    /// As [`Folded::new`], and the value that each of the graph's nodes has become, or has been merged into.
    ///
    /// # Errors
    /// As [`Folded::new`].
    pub fn traced(graph: &Graph, params: &Params) -> Result<(Self, Vec<ValueId>), QuantizeError> {
        params.check(graph)?;
        for (name, array) in params.iter() {
            if array.iter().any(|x| !x.is_finite()) {
                return Err(QuantizeError::Weights(name.to_string()));
            }
        }
        let consumers = graph.consumers();
        let mut folding = Folding { graph, params, nodes: Vec::new(), values: vec![0; graph.nodes.len()] };
        for id in graph.ids() {
            let node = graph.node(id);
            // The only one to read its input may be merged into the operator that computes it.
            let alone = node.inputs.first().is_some_and(|input| consumers[input.0].len() == 1);
            folding.values[id.0] = match &node.op {
                Op::Input => 0,
                Op::BatchNorm { epsilon } => folding.batch_norm(id, *epsilon, alone)?,
                Op::Relu => folding.activation(id, Activation::Relu, alone),
                Op::Relu6 => folding.activation(id, Activation::Relu6, alone),
                _ => folding.node(id)?,
            };
        }
        if folding.nodes.is_empty() {
            return Err(QuantizeError::NoOperators(graph.name.clone()));
        }
        let folded = Self {
            name: graph.name.clone(),
            input: graph.input,
            nodes: folding.nodes,
            labels: graph.labels.clone(),
            preprocess: graph.preprocess.clone(),
        };
        Ok((folded, folding.values))
    }

    /// `H x W x C` of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        match value.checked_sub(1) {
            Some(node) => self.nodes[node].shape,
            None => self.input,
        }
    }

    /// Number of values.
    pub fn values(&self) -> usize {
        self.nodes.len() + 1
    }

    /// The name of a value.
    pub fn value_name(&self, value: ValueId) -> &str {
        value.checked_sub(1).map_or("input", |node| &self.nodes[node].name)
    }
}

/// A folded network in the making.
struct Folding<'g> {
    graph: &'g Graph,
    params: &'g Params,
    nodes: Vec<FoldedNode>,
    /// The value that holds each node's output.
    values: Vec<ValueId>,
}

impl Folding<'_> {
    fn push(&mut self, id: NodeId, op: FoldedOp, activation: Activation) -> ValueId {
        let node = self.graph.node(id);
        let inputs = node.inputs.iter().map(|input| self.values[input.0]).collect();
        self.nodes.push(FoldedNode { name: node.name.clone(), op, activation, inputs, shape: node.shape });
        self.nodes.len()
    }

    /// The folded node that computes the first input of `id`, when nothing has followed it yet.
    fn before(&mut self, id: NodeId) -> Option<&mut FoldedNode> {
        let input = self.graph.node(id).inputs.first()?;
        let node = &mut self.nodes[self.values[input.0].checked_sub(1)?];
        (node.activation == Activation::None).then_some(node)
    }

    fn node(&mut self, id: NodeId) -> Result<ValueId, QuantizeError> {
        let node = self.graph.node(id);
        let op = match &node.op {
            Op::Conv2d { window, bias, .. } => FoldedOp::Conv2d(*window, self.weights(id, *bias, false)?),
            Op::DepthwiseConv2d { window, bias, .. } => {
                FoldedOp::DepthwiseConv2d(*window, self.weights(id, *bias, true)?)
            }
            Op::Dense { bias, .. } => FoldedOp::Dense(self.weights(id, *bias, false)?),
            Op::MaxPool(window) => FoldedOp::MaxPool(*window),
            Op::AveragePool(window) => FoldedOp::AveragePool(*window),
            Op::GlobalAveragePool => FoldedOp::Mean,
            Op::Add => FoldedOp::Add,
            Op::Sub => FoldedOp::Sub,
            Op::Mul => FoldedOp::Mul,
            Op::AddConstant => FoldedOp::Constant(ConstantFunction::Add, self.constant(id)?),
            Op::MulConstant => FoldedOp::Constant(ConstantFunction::Mul, self.constant(id)?),
            Op::Function(function) => FoldedOp::Function(function.clone()),
            Op::Concat => FoldedOp::Concat,
            Op::Softmax => FoldedOp::Softmax,
            Op::Flatten | Op::Reshape(_) => FoldedOp::Reshape,
            Op::Pad { before, after } => FoldedOp::Pad(*before, *after),
            Op::Input | Op::BatchNorm { .. } | Op::Relu | Op::Relu6 => unreachable!("folded by the caller"),
        };
        Ok(self.push(id, op, Activation::None))
    }

    fn param(&self, id: NodeId, suffix: &str) -> Result<&ArrayD<f32>, GraphError> {
        self.params.require(&format!("{}.{suffix}", self.graph.node(id).name))
    }

    fn constant(&self, id: NodeId) -> Result<Vec<f32>, GraphError> {
        Ok(self.param(id, "constant")?.iter().copied().collect())
    }

    fn weights(&self, id: NodeId, has_bias: bool, channels_last: bool) -> Result<Weights, GraphError> {
        let weights = self.param(id, "weight")?.iter().copied().collect();
        let bias = match has_bias {
            true => self.param(id, "bias")?.iter().copied().collect(),
            false => vec![0.0; self.graph.node(id).shape.c as usize],
        };
        Ok(Weights { weights, bias, channels_last })
    }

    fn activation(&mut self, id: NodeId, activation: Activation, alone: bool) -> ValueId {
        match self.before(id) {
            Some(node) if alone && node.op.takes_activation() => {
                node.activation = activation;
                self.values[self.graph.node(id).inputs[0].0]
            }
            _ => self.push(id, FoldedOp::Activate, activation),
        }
    }

    fn batch_norm(&mut self, id: NodeId, epsilon: f32, alone: bool) -> Result<ValueId, QuantizeError> {
        let Line { factors, offsets } = Line::of(&self.graph.node(id).name, epsilon, self.params)?;
        if let Some(channel) = factors.iter().position(|factor| !factor.is_finite()) {
            return Err(QuantizeError::Weights(format!("{}.variance[{channel}]", self.graph.node(id).name)));
        }
        if alone
            && let Some(node) = self.before(id)
            && let Some(weights) = node.op.weights_mut()
        {
            weights.scale(&factors, &offsets);
            return Ok(self.values[self.graph.node(id).inputs[0].0]);
        }
        let bias = offsets.iter().map(|&x| x as f32).collect();
        let weights = Weights { weights: factors.iter().map(|&x| x as f32).collect(), bias, channels_last: true };
        Ok(self.push(id, FoldedOp::DepthwiseConv2d(Window::global([1, 1]), weights), Activation::None))
    }
}
