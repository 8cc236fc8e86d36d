//! A part of the batch: what one thread works on, image by image.

use ndarray::Array4;

use super::batch_norm::BatchNorm;
use super::fuse::{Fusion, Room};
use super::pointwise::mask;
use super::schedule::Backward;
use super::{Back, Layer, Point, Real, Scratch, Target, image, image_mut};
use crate::graph::{Activation, Graph, Op, ParamSpec};

/// What a node needs beside its values.
#[derive(Debug)]
pub struct State<T> {
    pub layer: Option<Box<dyn Layer<T>>>,
    pub norm: Option<BatchNorm<T>>,
    pub specs: Vec<ParamSpec>,
    pub weights: Vec<Vec<T>>,
    pub gradients: Vec<Vec<T>>,
}

/// What all chunks share while they run.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a, T> {
    pub graph: &'a Graph,
    pub states: &'a [State<T>],
    pub fusion: &'a Fusion,
}

/// Values, gradients and sums of some of a batch's images.
#[derive(Debug)]
pub struct Chunk<T> {
    pub first: usize,
    pub images: usize,
    /// Empty for hidden nodes.
    pub values: Vec<Array4<T>>,
    /// By home; empty until the first backward pass.
    gradients: Vec<Array4<T>>,
    /// Per node: sums for batch normalization, `2 * c`.
    pub sums: Vec<Vec<f64>>,
    /// Per node: summed weight gradients in the layer's layout.
    pub weights: Vec<Vec<Vec<T>>>,
    scratch: Scratch<T>,
    pub loss: f64,
    pub correct: usize,
}

impl<T: Real> Chunk<T> {
    /// Buffers for up to `capacity` images.
    pub fn new(shared: Shared<'_, T>, capacity: usize) -> Self {
        let Shared { graph, states, fusion } = shared;
        let rooms = fusion.hidden.iter().map(|hidden| if *hidden { 0 } else { capacity });
        let lens = |state: &State<T>| state.layer.as_ref().map(|layer| layer.gradient_lens()).unwrap_or_default();
        Self {
            first: 0,
            images: 0,
            values: rooms.zip(&graph.nodes).map(|(images, node)| batch(images, node.shape)).collect(),
            gradients: Vec::new(),
            sums: states.iter().map(|s| vec![0.0; s.norm.as_ref().map_or(0, |_| 2 * s.specs[0].len())]).collect(),
            weights: states.iter().map(|s| lens(s).iter().map(|len| vec![T::zero(); *len]).collect()).collect(),
            scratch: Scratch::default(),
            loss: 0.0,
            correct: 0,
        }
    }

    /// Images that there is room for.
    pub fn capacity(&self) -> usize {
        self.values[0].dim().0
    }

    /// Makes room for gradients, once.
    pub fn allocate_gradients(&mut self, shared: Shared<'_, T>) {
        if self.gradients.is_empty() {
            let capacity = self.capacity();
            let rooms = shared.fusion.room.iter().map(|room| match room {
                Room::None => 0,
                Room::Image => 1,
                Room::Batch => capacity,
            });
            self.gradients = rooms.zip(&shared.graph.nodes).map(|(images, node)| batch(images, node.shape)).collect();
        }
    }

    /// The gradients at `home`, images first.
    pub fn gradient(&self, home: usize) -> &Array4<T> {
        &self.gradients[home]
    }

    /// The value of `node` and its gradient at `home`, for one image.
    pub fn value_and_gradient(&mut self, node: usize, home: usize, index: usize) -> (&[T], &mut [T]) {
        (image(&self.values[node], index), room_mut(&mut self.gradients[home], index))
    }

    /// Runs `nodes` image by image, and sums up the statistics for the normalizations in `measured`.
    pub fn forward(
        &mut self,
        shared: Shared<'_, T>,
        nodes: &[usize],
        measured: &[usize],
        fill: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        let Shared { graph, states, fusion } = shared;
        for &node in measured {
            self.sums[node].fill(0.0);
        }
        for index in 0..self.images {
            for &node in nodes.iter().filter(|node| !fusion.hidden[**node]) {
                let (values, rest) = self.values.split_at_mut(node);
                let out = image_mut(&mut rest[0], index);
                let value = |node: usize| image(&values[node], index);
                if let Some(tail) = fusion.tails[node] {
                    let input = value(graph.nodes[tail.norm].inputs[0].0);
                    if let Some(norm) = &states[tail.norm].norm {
                        norm.forward_relu(input, tail.shortcut.map(value), limit(graph, node), out);
                    }
                    continue;
                }
                let point = Point { values, inputs: graph.nodes[node].inputs.as_slice(), image: index };
                match (&states[node].layer, &states[node].norm) {
                    (Some(layer), _) => layer.forward(&point, out, &mut self.scratch),
                    (None, Some(norm)) => norm.forward(point.input(0), out),
                    (None, None) => fill(self.first + index, out),
                }
            }
            for &node in measured {
                let x = image(&self.values[graph.nodes[node].inputs[0].0], index);
                if let Some(norm) = &states[node].norm {
                    norm.add_sums(x, x, &mut self.sums[node]);
                }
            }
        }
    }

    /// Runs `steps` image by image.
    pub fn backward(&mut self, shared: Shared<'_, T>, steps: &[Backward]) {
        for step in steps {
            match *step {
                Backward::Sums { node } | Backward::MaskedSums { node, .. } => self.sums[node].fill(0.0),
                Backward::Weights { node } => self.weights[node].iter_mut().for_each(|sums| sums.fill(T::zero())),
                Backward::Normalized { .. } | Backward::Mask { .. } | Backward::Input { .. } => {}
            }
        }
        for index in 0..self.images {
            for step in steps {
                self.step_back(shared, index, *step);
            }
        }
    }

    fn step_back(&mut self, Shared { graph, states, fusion }: Shared<'_, T>, index: usize, step: Backward) {
        let (Backward::Normalized { node, .. }
        | Backward::Sums { node }
        | Backward::Mask { node }
        | Backward::MaskedSums { node, .. }
        | Backward::Weights { node }
        | Backward::Input { node, .. }) = step;
        let inputs = graph.nodes[node].inputs.as_slice();
        // A gradient is handed on to nodes before this one only, and they are at home there.
        let (before, gradients) = self.gradients.split_at_mut(fusion.home[node]);
        let gradient = room_mut(&mut gradients[0], index);
        let point = Point { values: &self.values, inputs, image: index };
        let State { layer, norm, .. } = &states[node];
        match (step, layer, norm) {
            (Backward::Normalized { accumulate, .. }, _, Some(norm)) => {
                let target = room_mut(&mut before[inputs[0].0], index);
                norm.backward(point.input(0), gradient, target, accumulate);
            }
            (Backward::Sums { .. }, _, Some(norm)) => {
                norm.add_sums(gradient, point.input(0), &mut self.sums[node]);
            }
            (Backward::MaskedSums { relu, .. }, _, Some(norm)) => {
                let relu = (image(&self.values[relu], index), limit(graph, relu));
                norm.add_masked_sums(gradient, relu, point.input(0), &mut self.sums[node]);
            }
            (Backward::Mask { .. }, ..) => mask(image(&self.values[node], index), limit(graph, node), gradient),
            (Backward::Weights { .. }, Some(layer), _) => {
                let back = Back { point, value: image(&self.values[node], index), gradient };
                layer.weight_gradient(&back, &mut self.weights[node], &mut self.scratch);
            }
            (Backward::Input { which, accumulate, .. }, Some(layer), _) => {
                // An addition in a tail has no values, and needs none.
                let value = if fusion.hidden[node] { &[] } else { image(&self.values[node], index) };
                let target = Target { values: room_mut(&mut before[inputs[which].0], index), accumulate };
                layer.input_gradient(which, &Back { point, value, gradient }, target, &mut self.scratch);
            }
            _ => {}
        }
    }
}

/// The upper bound of a ReLU.
fn limit<T: Real>(graph: &Graph, relu: usize) -> Option<T> {
    (graph.nodes[relu].op == Op::Activate(Activation::Relu6)).then(|| T::of(6.0))
}

/// The gradient of image `index`, where there may be room for one image only.
fn room_mut<T>(batch: &mut Array4<T>, index: usize) -> &mut [T] {
    let index = if batch.dim().0 == 1 { 0 } else { index };
    image_mut(batch, index)
}

fn batch<T: Real>(images: usize, shape: kinglet::Shape) -> Array4<T> {
    Array4::zeros((images, shape.h as usize, shape.w as usize, shape.c as usize))
}
