//! Runs a folded network in float, one image at a time, and keeps every value: what calibration and comparisons look
//! at.
//!
//! The layers are those of training; the operators are those of the network that is quantized, so that an integer step
//! and the float numbers it stands for can be laid side by side.

use std::ops::Range;

use kinglet::{Activation, Shape};
use ndarray::Array4;

use crate::graph::{Graph, Node, NodeId, Op, Real};
use crate::layers::{Layer, Point, Scratch, layer_of};

/// The values of one image, `H x W x C` each, by the node's number.
pub type Values = Vec<Vec<f32>>;

/// A node with its layer.
#[derive(Debug)]
pub struct Runner {
    /// None for an input, which the caller gives.
    layer: Option<Box<dyn Layer<f32>>>,
    inputs: Vec<NodeId>,
    activation: Activation,
    len: usize,
}

impl Runner {
    /// Of a node that reads maps of these shapes.
    pub fn new(node: &Node<Real>, inputs: &[Shape]) -> Self {
        let mut layer = layer_of(&node.op, true, inputs, node.shape);
        let constants = match &node.op {
            Op::Constant { data, .. } => vec![data.clone()],
            op => op.weights().map_or(Vec::new(), |weights| vec![weights.weights.clone(), weights.bias.clone()]),
        };
        if let Some(layer) = &mut layer {
            layer.prepare(&constants, false);
        }
        Self { layer, inputs: node.inputs.clone(), activation: node.activation, len: node.shape.len() as usize }
    }

    /// The output for these inputs, `H x W x C` each.
    pub fn output(&self, inputs: &[&[f32]]) -> Vec<f32> {
        let Some(layer) = &self.layer else { return inputs.concat() };
        let array = |input: &&[f32]| Array4::from_shape_vec((1, 1, 1, input.len()), input.to_vec());
        let values: Vec<_> = inputs.iter().map(|input| array(input).expect("as long as itself")).collect();
        let ids: Vec<NodeId> = (0..values.len()).map(NodeId).collect();
        let mut out = vec![0.0; self.len];
        layer.forward(&Point { values: &values, inputs: &ids, image: 0 }, &mut out, &mut Scratch::default());
        let [low, high] = match self.activation {
            Activation::None => return out,
            Activation::Relu => [0.0, f32::INFINITY],
            Activation::Relu6 => [0.0, 6.0],
            Activation::ReluN1To1 => [-1.0, 1.0],
        };
        out.iter_mut().for_each(|x| *x = x.max(low).min(high));
        out
    }

    /// The output for the values of the nodes that it reads.
    pub fn output_of(&self, values: &Values) -> Vec<f32> {
        let inputs: Vec<&[f32]> = self.inputs.iter().map(|id| values[id.0].as_slice()).collect();
        self.output(&inputs)
    }
}

/// What a node that computes element by element makes of some elements.
pub fn elementwise(node: &Node<Real>, elements: &[f32]) -> Vec<f32> {
    let shape = Shape::vector(elements.len() as u32);
    Runner::new(&Node { shape, ..node.clone() }, &[shape]).output(&[elements])
}

/// The nodes of a network with their layers.
#[derive(Debug)]
pub struct NetRunner {
    nodes: Vec<Runner>,
}

impl NetRunner {
    /// Makes the layers, for any number of images.
    pub fn new(network: &Graph<Real>) -> Self {
        let runner = |id| Runner::new(network.node(id), &network.input_shapes(id));
        Self { nodes: network.ids().map(runner).collect() }
    }

    /// All values for one image, `H x W x C`; of several inputs the elements of all.
    pub fn forward(&self, image: &[f32]) -> Values {
        self.rounded(image, |_, _| {})
    }

    /// The same, each value rounded by `round`, which gets the node's number.
    pub fn rounded(&self, image: &[f32], round: impl Fn(usize, &mut [f32])) -> Values {
        let mut rest = image;
        let given = |node: &Runner| match node.layer {
            None => rest.split_off(..node.len).expect("an image has the elements of all inputs").to_vec(),
            Some(_) => Vec::new(),
        };
        let mut values: Values = self.nodes.iter().map(given).collect();
        self.recompute(&mut values, 0..self.nodes.len(), round);
        values
    }

    /// Computes the values of some nodes from those before them, each rounded by `round`.
    pub fn recompute(&self, values: &mut Values, nodes: Range<usize>, round: impl Fn(usize, &mut [f32])) {
        for node in nodes {
            if self.nodes[node].layer.is_some() {
                values[node] = self.nodes[node].output_of(values);
            }
            round(node, &mut values[node]);
        }
    }
}
