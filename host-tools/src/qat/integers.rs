//! The integer network of some parameters and ranges, and a place to run it on an image.

use kinglet::{Clamp, DType, QuantParams, Shape, quant::quantize};
use ndarray::Array4;

use super::pass::{NOTHING, Room, Sums};
use super::step::Step;
use crate::graph::{Graph, Node, NodeId, Params, Real};
use crate::layers::{Targets, image, image_mut};
use crate::quantize::QuantizeError;
use crate::quantize::emit;
use crate::quantize::fold;
use crate::quantize::trained;

/// A folded network with all its integers.
#[derive(Debug)]
pub struct Integers {
    /// The float network that they are made of.
    pub folded: Graph<Real>,
    /// The value that each of the graph's nodes has become, or has been merged into.
    pub values: Vec<NodeId>,
    /// One per node of the folded network but its input: step `i` computes value `i + 1`.
    pub steps: Vec<Step>,
    /// The quantization of every value.
    pub quants: Vec<QuantParams>,
    /// The layers whose weights have 4 bits.
    pub nibbles: Vec<String>,
}

impl Integers {
    /// The network without integers yet.
    ///
    /// # Errors
    /// When a parameter is missing or not finite, or a node has no quantization-aware form.
    pub fn new(graph: &Graph, params: &Params) -> Result<Self, QuantizeError> {
        let (folded, values) = fold::traced(graph, params)?;
        let step =
            |node: &Node<Real>| Step::new(node, node.inputs.iter().map(|&value| folded.node(value).shape).collect());
        let steps = folded.nodes.iter().skip(1).map(step).collect::<Result<_, _>>()?;
        let nibbles = trained::nibbles(&folded);
        Ok(Self { folded, values, steps, quants: Vec::new(), nibbles })
    }

    /// Rounds parameters of the same graph.
    ///
    /// # Errors
    /// Names what is not finite or out of range.
    pub fn prepare(&mut self, graph: &Graph, params: &Params, quants: Vec<QuantParams>) -> Result<(), String> {
        self.folded = fold::fold(graph, params).map_err(|error| match error {
            QuantizeError::Weights(name) => name,
            error => error.to_string(),
        })?;
        let network = emit::int8(&self.folded, &quants, &self.nibbles);
        for (index, (step, node)) in self.steps.iter_mut().zip(&self.folded.nodes[1..]).enumerate() {
            step.prepare(node, &network, index)?;
        }
        self.quants = quants;
        Ok(())
    }

    /// The value that holds the output.
    pub fn output(&self) -> usize {
        self.steps.len()
    }
}

/// Values, gradients and sums of the images that one thread works on, one after the other.
#[derive(Debug)]
pub struct Place {
    /// Of one image; elements less their zero points.
    values: Vec<Array4<f32>>,
    /// By these elements.
    gradients: Vec<Vec<f32>>,
    written: Vec<bool>,
    passes: Vec<Vec<bool>>,
    room: Room,
    /// Per step: gradients of its numbers.
    pub sums: Vec<Sums>,
    /// Per value: extremes of the elements, if they are computed.
    pub seen: Vec<[i32; 2]>,
    /// Summed over images.
    pub loss: f64,
    /// Images whose greatest output is their label's.
    pub correct: usize,
}

impl Place {
    /// A place for images of a network whose integers are there.
    pub fn new(network: &Integers) -> Self {
        let values = network.steps.len() + 1;
        let zeros = |value: usize| {
            let Shape { h, w, c } = network.folded.nodes[value].shape;
            Array4::zeros((1, h as usize, w as usize, c as usize))
        };
        Self {
            values: (0..values).map(zeros).collect(),
            gradients: vec![Vec::new(); values],
            written: vec![false; values],
            passes: network.steps.iter().map(|step| vec![false; step.len()]).collect(),
            room: Room::default(),
            sums: Vec::new(),
            seen: vec![NOTHING; values],
            loss: 0.0,
            correct: 0,
        }
    }

    /// Forgets what images have left behind, and makes room for gradients.
    pub fn begin(&mut self, network: &Integers) {
        if self.sums.is_empty() {
            self.sums = network.steps.iter().map(Sums::new).collect();
            for (gradient, value) in self.gradients.iter_mut().zip(&self.values).skip(1) {
                gradient.resize(value.len(), 0.0);
            }
        }
        self.sums.iter_mut().for_each(Sums::clear);
        self.seen.fill(NOTHING);
        (self.loss, self.correct) = (0.0, 0);
    }

    /// Runs one image, whose real numbers `fill` writes.
    pub fn forward(&mut self, network: &Integers, fill: impl FnOnce(&mut [f32])) {
        let quant = network.quants[0];
        let input = image_mut(&mut self.values[0], 0);
        fill(input);
        for x in input {
            *x = (Clamp::full(DType::I8).apply(quantize(*x, quant)) - quant.zero_point) as f32;
        }
        for (index, step) in network.steps.iter().enumerate() {
            let seen = step.forward(&mut self.values, index + 1, &mut self.passes[index], &mut self.room);
            let all = &mut self.seen[index + 1];
            *all = [all[0].min(seen[0]), all[1].max(seen[1])];
        }
    }

    /// The elements of a value of the last image.
    pub fn elements(&self, network: &Integers, value: usize) -> impl Iterator<Item = i8> {
        let zero = network.quants[value].zero_point;
        image(&self.values[value], 0).iter().map(move |&x| (x as i32 + zero) as i8)
    }

    /// Adds the loss of the last image, which is number `index` of the batch, and all gradients of it. `share` is its part
    /// of the batch's loss.
    pub fn backward(&mut self, network: &Integers, targets: Targets<'_>, index: usize, share: f64) {
        let output = network.output();
        let scale = network.quants[output].scale;
        let logits: Vec<f32> = image(&self.values[output], 0).iter().map(|x| x * scale).collect();
        let gradient = &mut self.gradients[output];
        let (loss, hit) = targets.loss(index, share, &logits, gradient);
        gradient.iter_mut().for_each(|g| *g *= scale);
        self.loss += loss;
        self.correct += usize::from(hit);
        self.written.fill(false);
        self.written[output] = true;
        for (index, step) in network.steps.iter().enumerate().rev() {
            if !self.written[index + 1] {
                continue;
            }
            let gradients = (self.gradients.as_mut_slice(), self.written.as_mut_slice());
            let sums = &mut self.sums[index];
            step.backward(&self.values, index + 1, &self.passes[index], gradients, sums, &mut self.room);
        }
    }
}
