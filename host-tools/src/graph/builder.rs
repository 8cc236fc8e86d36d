//! Adds nodes one by one; each gets its shape or an error at once.

use std::collections::HashSet;

use kinglet::{Activation, Padding, Shape, Window};

use super::{Dims, Graph, GraphError, Node, NodeId, Op, Preprocess};

/// Batch normalization's epsilon in every block and zoo network.
pub const EPSILON: f32 = 1e-5;

/// A graph under construction.
///
/// ```
/// use kinglet_tools::graph::{Builder, Padding, Shape};
/// # fn main() -> Result<(), kinglet_tools::graph::GraphError> {
/// let mut net = Builder::new("tiny", Shape::new(8, 8, 1))?;
/// let x = net.conv2d("conv", net.input(), 4, [3, 3], [2, 2], Padding::Same, true)?;
/// let x = net.relu("relu", x)?;
/// let x = net.global_average_pool("pool", x)?;
/// net.dense("logits", x, 10, true)?;
/// assert_eq!(net.finish().nodes[1].shape, Shape::new(4, 4, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    graph: Graph,
    names: HashSet<String>,
    /// Whether blocks train their convolutions as parallel branches.
    pub(super) branched: bool,
}

impl Builder {
    /// A graph with nothing but its input, named `input`.
    ///
    /// # Errors
    /// When the shape is empty or too large.
    pub fn new(name: &str, input: Shape) -> Result<Self, GraphError> {
        if !input.is_valid() {
            return Err(GraphError::Extent { node: "input".to_string(), input, output: input });
        }
        let (name_of_input, activation) = ("input".to_string(), Activation::None);
        let node = Node { name: name_of_input, op: Op::Input, activation, inputs: Vec::new(), shape: input };
        let graph = Graph {
            name: name.to_string(),
            input,
            nodes: vec![node],
            outputs: vec![NodeId(0)],
            labels: Vec::new(),
            preprocess: Preprocess::unit(input.c as usize),
        };
        Ok(Self { graph, names: HashSet::from(["input".to_string()]), branched: false })
    }

    /// Adds another input.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add_input(&mut self, name: &str, shape: Shape) -> Result<NodeId, GraphError> {
        if !self.names.insert(name.to_owned()) {
            return Err(GraphError::DuplicateName(name.to_owned()));
        }
        let (name, activation) = (name.to_owned(), Activation::None);
        self.graph.nodes.push(Node { name, op: Op::Input, activation, inputs: Vec::new(), shape });
        Ok(NodeId(self.graph.nodes.len() - 1))
    }

    /// The input node.
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// `H x W x C` of a node.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.graph.node(id).shape
    }

    /// A node that has been added.
    ///
    /// # Panics
    /// When `id` comes from another graph and is out of range.
    pub fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// Adds any operator.
    ///
    /// # Errors
    /// When the name is taken, or as [`Op::output`].
    pub fn add_node(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        if self.names.contains(name) {
            return Err(GraphError::DuplicateName(name.to_string()));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.shape(id)).collect();
        let shape = op.output(name, &shapes)?;
        self.names.insert(name.to_string());
        let activation = Activation::None;
        self.graph.nodes.push(Node { name: name.to_string(), op, activation, inputs: inputs.to_vec(), shape });
        let added = NodeId(self.graph.nodes.len() - 1);
        self.graph.outputs = vec![added];
        Ok(added)
    }

    /// A window over `input` with padding by rule.
    pub fn window(&self, input: NodeId, kernel: [u32; 2], stride: [u32; 2], padding: Padding) -> Window {
        let Shape { h, w, .. } = self.shape(input);
        Window::new(kernel, stride, padding, [h, w])
    }

    /// 2-D convolution.
    ///
    /// # Errors
    /// As [`Builder::add_node`]; so for all methods below.
    #[expect(clippy::too_many_arguments, reason = "the parameters of a convolution, as every framework lists them")]
    pub fn conv2d(
        &mut self,
        name: &str,
        input: NodeId,
        filters: u32,
        kernel: [u32; 2],
        stride: [u32; 2],
        padding: Padding,
        bias: bool,
    ) -> Result<NodeId, GraphError> {
        let window = self.window(input, kernel, stride, padding);
        self.add_node(name, Op::Conv2d { window, weights: Dims { channels: filters, bias } }, &[input])
    }

    /// Depthwise convolution with one output channel per input channel.
    pub fn depthwise(
        &mut self,
        name: &str,
        input: NodeId,
        kernel: [u32; 2],
        stride: [u32; 2],
        padding: Padding,
        bias: bool,
    ) -> Result<NodeId, GraphError> {
        let window = self.window(input, kernel, stride, padding);
        self.add_node(
            name,
            Op::DepthwiseConv2d { window, weights: Dims { channels: self.shape(input).c, bias } },
            &[input],
        )
    }

    /// Batch normalization.
    pub fn batch_norm(&mut self, name: &str, input: NodeId) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::BatchNorm(EPSILON), &[input])
    }

    /// ReLU.
    pub fn relu(&mut self, name: &str, input: NodeId) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Activate(Activation::Relu), &[input])
    }

    /// Max pooling.
    pub fn max_pool(
        &mut self,
        name: &str,
        input: NodeId,
        kernel: [u32; 2],
        stride: [u32; 2],
        padding: Padding,
    ) -> Result<NodeId, GraphError> {
        let window = self.window(input, kernel, stride, padding);
        self.add_node(name, Op::MaxPool(window), &[input])
    }

    /// Average pooling.
    pub fn average_pool(
        &mut self,
        name: &str,
        input: NodeId,
        kernel: [u32; 2],
        stride: [u32; 2],
        padding: Padding,
    ) -> Result<NodeId, GraphError> {
        let window = self.window(input, kernel, stride, padding);
        self.add_node(name, Op::AveragePool(window), &[input])
    }

    /// Mean over H and W.
    pub fn global_average_pool(&mut self, name: &str, input: NodeId) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Mean, &[input])
    }

    /// Elementwise sum.
    pub fn add(&mut self, name: &str, left: NodeId, right: NodeId) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Add, &[left, right])
    }

    /// Concatenation along channels.
    pub fn concat(&mut self, name: &str, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Concat, inputs)
    }

    /// Fully connected layer over the flattened input.
    pub fn dense(&mut self, name: &str, input: NodeId, units: u32, bias: bool) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Dense(Dims { channels: units, bias }), &[input])
    }

    /// The same numbers as a vector.
    pub fn flatten(&mut self, name: &str, input: NodeId) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Reshape(Shape::vector(self.shape(input).len())), &[input])
    }

    /// Softmax along channels.
    pub fn softmax(&mut self, name: &str, input: NodeId) -> Result<NodeId, GraphError> {
        self.add_node(name, Op::Softmax { beta: 1.0 }, &[input])
    }

    /// The graph; the node added last is its output.
    pub fn finish(self) -> Graph {
        self.graph
    }
}
