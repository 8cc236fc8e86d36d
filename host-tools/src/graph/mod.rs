//! Networks as graphs of operators in topological order, over constants of several forms.
//!
//! A [`Graph<Spec>`](Spec) names its parameters: the trainer runs it forward and backward, importers of float files build it.
//! Folding makes a [`Graph<Real>`](Real) of it, which is calibrated. Shapes are computed by the rules of the runtime's
//! operators when a node is added, so a graph that exists is consistent.

mod block;
mod builder;
mod constants;
mod error;
mod function;
mod merge;
mod op;
mod params;
mod preprocess;
mod rearrange;
mod recipe;
mod store;
mod strided;
pub mod zoo;

pub use block::{Block, Branch, Form, Head, Norm};
pub use builder::{Builder, EPSILON};
pub use constants::{
    Channels, Constants, Dims, Pieces, Real, Spec, Stored, StoredConstant, StoredFunction, StoredWeights, Weights,
};
pub use error::GraphError;
pub(crate) use function::erf;
pub use function::{Binary, Function, Unary};
pub use kinglet::{Activation, Padding, Shape, Window};
pub use merge::merge;
pub use op::{ConstantFunction, Convert, Op};
pub(crate) use params::{Line, specs};
pub use params::{ParamSpec, Params};
pub use preprocess::Preprocess;
pub use rearrange::Rearrange;
pub use recipe::NetworkRecipe;
pub use store::{FloatModel, load, save};
pub(crate) use store::{read, write};
pub use strided::Strided;

/// A node of a graph: its index in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// One operator applied to earlier nodes. Every node has one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<W: Constants = Spec> {
    /// Unique within the graph; the prefix of the node's parameter names.
    pub name: String,
    /// What it computes.
    pub op: Op<W>,
    /// What follows in the same pass; with [`Spec`] constants nothing does, and activations are nodes.
    pub activation: Activation,
    /// The nodes it reads, all of them earlier ones.
    pub inputs: Vec<NodeId>,
    /// `H x W x C` of its output for one image.
    pub shape: Shape,
}

/// A network in topological order, single assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph<W: Constants = Spec> {
    /// The network's name.
    pub name: String,
    /// `H x W x C` of one image of the first input.
    pub input: Shape,
    /// Node 0 is the input, or the first of several; every node reads only earlier ones.
    pub nodes: Vec<Node<W>>,
    /// The nodes whose values are the network's outputs: one or more. Of a network that is trained it is the last node.
    pub outputs: Vec<NodeId>,
    /// Class names, one per output channel; empty when the output is no classification.
    pub labels: Vec<String>,
    /// How pixels become the input's real numbers.
    pub preprocess: Preprocess,
}

impl<W: Constants> Graph<W> {
    /// The node of `id`.
    ///
    /// # Panics
    /// When `id` comes from another graph and is out of range.
    pub fn node(&self, id: NodeId) -> &Node<W> {
        &self.nodes[id.0]
    }

    /// The ids of all nodes, in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<W> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The nodes that the caller gives, in order.
    pub fn inputs(&self) -> Vec<NodeId> {
        self.ids().filter(|&id| self.node(id).op == Op::Input).collect()
    }

    /// `H x W x C` of what one inference takes: the input, or the elements of all inputs one after the other as a vector.
    pub fn image(&self) -> Shape {
        match &self.inputs()[..] {
            [_] => self.input,
            inputs => Shape::vector(inputs.iter().map(|&id| self.node(id).shape.len()).sum()),
        }
    }

    /// The node whose value is the network's first output.
    pub fn output(&self) -> NodeId {
        self.outputs[0]
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name == name).map(NodeId)
    }

    /// For every node the nodes that read it, in order; the last of them twice, if the node is an output too, so that none is its only
    /// reader.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for id in self.ids() {
            for input in &self.node(id).inputs {
                readers[input.0].push(id);
            }
        }
        for output in &self.outputs {
            let last = readers[output.0].last().copied();
            readers[output.0].extend(last);
        }
        readers
    }

    /// `H x W x C` of the inputs of `id`.
    pub fn input_shapes(&self, id: NodeId) -> Vec<Shape> {
        self.node(id).inputs.iter().map(|&input| self.node(input).shape).collect()
    }

    /// Multiply-accumulates of one inference, in convolutions and dense layers.
    pub fn macs(&self) -> u64 {
        self.ids().map(|id| self.macs_of(id)).sum()
    }

    /// Multiply-accumulates of one node.
    pub fn macs_of(&self, id: NodeId) -> u64 {
        self.node(id).op.macs(&self.input_shapes(id), self.node(id).shape)
    }
}

impl Graph {
    /// Names, dimensions and roles of all parameters, in the order of their nodes.
    pub fn param_specs(&self) -> Vec<ParamSpec> {
        self.ids().flat_map(|id| params::specs(self, id)).collect()
    }

    /// Trained numbers: weights, biases, batch-norm scales and offsets, but not the running statistics.
    pub fn trainable_len(&self) -> usize {
        self.param_specs().iter().filter(|spec| spec.trainable).map(ParamSpec::len).sum()
    }
}

#[cfg(test)]
mod tests;
