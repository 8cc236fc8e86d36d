//! A network that runs: values, gradients and weights of a whole batch.
//!
//! A batch is always cut into [`CHUNKS`] chunks; each has its own values, gradients and sums, and the sums are added
//! in the order of the chunks. So the number of threads changes nothing in the numbers.

use ndarray::{Array4, ArrayD, IxDyn};
use rayon::prelude::*;

use super::batch_norm::BatchNorm;
use super::schedule::{Backward, Stage, stages};
use super::{Layer, Output, Point, Real, Scratch, image, image_mut, layer};
use crate::graph::{Graph, GraphError, NodeId, Op, ParamSpec, Params};

/// Chunks of a batch.
const CHUNKS: usize = 8;

/// Where batch normalization takes its statistics from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From the batch; the running statistics follow.
    Train,
    /// From the running statistics.
    Infer,
}

/// Loss and hits of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Mean cross-entropy, weighted by class if so asked.
    pub mean: f64,
    /// Images whose greatest logit is their label's.
    pub correct: usize,
}

/// One parameter array with its gradient, for the optimizer.
#[derive(Debug)]
pub struct Slot<'a, T> {
    /// Name, dimensions and role.
    pub spec: &'a ParamSpec,
    /// The numbers.
    pub weights: &'a mut [T],
    /// The gradient of the loss by them.
    pub gradient: &'a [T],
}

/// What a node needs beside its values.
#[derive(Debug)]
struct State<T> {
    layer: Option<Box<dyn Layer<T>>>,
    norm: Option<BatchNorm<T>>,
    specs: Vec<ParamSpec>,
    weights: Vec<Vec<T>>,
    gradients: Vec<Vec<T>>,
}

/// A part of the batch: everything that one thread works on.
#[derive(Debug)]
struct Chunk<T> {
    first: usize,
    images: usize,
    values: Vec<Array4<T>>,
    /// Empty until the first backward pass.
    gradients: Vec<Array4<T>>,
    /// Per node: sums for batch normalization, `2 * c`.
    sums: Vec<Vec<f64>>,
    /// Per node: summed weight gradients in the layer's layout.
    weights: Vec<Vec<Vec<T>>>,
    scratch: Scratch<T>,
    loss: f64,
    correct: usize,
}

/// A network with its weights and buffers for a batch.
#[derive(Debug)]
pub struct Net<T> {
    graph: Graph,
    states: Vec<State<T>>,
    chunks: Vec<Chunk<T>>,
    stages: Vec<Stage>,
    loss: NodeId,
    images: usize,
}

impl<T: Real> Net<T> {
    /// A network with buffers for up to `capacity` images.
    ///
    /// # Errors
    /// When a parameter is missing or has the wrong dimensions.
    pub fn new(graph: &Graph, params: &Params, capacity: usize) -> Result<Self, GraphError> {
        Self::with_gradients(graph, params, capacity, false)
    }

    /// As [`Net::new`]; `input` asks for the gradient of the images too.
    pub(super) fn with_gradients(
        graph: &Graph,
        params: &Params,
        capacity: usize,
        input: bool,
    ) -> Result<Self, GraphError> {
        // Training ends at the logits: softmax and cross-entropy together have a simple, stable gradient.
        let last = graph.output();
        let loss = if graph.node(last).op == Op::Softmax { graph.node(last).inputs[0] } else { last };
        let mut states = Vec::new();
        for id in graph.ids() {
            let node = graph.node(id);
            let norm = match node.op {
                Op::BatchNorm { epsilon } => {
                    Some(BatchNorm::new(node.shape.c as usize, (node.shape.h * node.shape.w) as usize, epsilon))
                }
                _ => None,
            };
            let specs: Vec<ParamSpec> = crate::graph::specs(graph, id);
            let zeros = || specs.iter().map(|spec| vec![T::zero(); spec.len()]).collect();
            let (weights, gradients) = (zeros(), zeros());
            states.push(State { layer: layer(graph, id), norm, weights, gradients, specs });
        }
        let per_chunk = capacity.div_ceil(CHUNKS).max(1);
        let chunks = (0..CHUNKS).map(|_| Chunk::new(graph, &states, per_chunk)).collect();
        let stages = stages(graph, loss, input);
        let mut net = Self { graph: graph.clone(), states, chunks, stages, loss, images: 0 };
        net.load(params)?;
        Ok(net)
    }

    /// The graph it runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Takes over parameters.
    ///
    /// # Errors
    /// When one is missing or has the wrong dimensions.
    pub fn load(&mut self, params: &Params) -> Result<(), GraphError> {
        params.check(&self.graph)?;
        for state in &mut self.states {
            for (spec, weights) in state.specs.iter().zip(&mut state.weights) {
                let array = params.require(&spec.name)?;
                weights.iter_mut().zip(array).for_each(|(w, v)| *w = T::of(f64::from(*v)));
            }
        }
        Ok(())
    }

    /// The parameters as they are now.
    pub fn params(&self) -> Params {
        let mut params = Params::new();
        for state in &self.states {
            for (spec, weights) in state.specs.iter().zip(&state.weights) {
                let values = weights.iter().map(|w| w.wide() as f32).collect();
                let array = ArrayD::from_shape_vec(IxDyn(&spec.dims), values);
                params.insert(spec.name.clone(), array.expect("weights are allocated by their spec"));
            }
        }
        params
    }

    /// Every parameter array, in the order of the graph's parameter list.
    pub fn slots(&mut self) -> impl Iterator<Item = Slot<'_, T>> {
        self.states.iter_mut().flat_map(|state| {
            let State { specs, weights, gradients, .. } = state;
            let arrays = weights.iter_mut().zip(&*gradients);
            specs.iter().zip(arrays).map(|(spec, (weights, gradient))| Slot { spec, weights, gradient })
        })
    }

    /// Runs `images` images forward; `fill` writes image `i` of the batch, H x W x C.
    ///
    /// # Panics
    /// When there are more images than the capacity.
    pub fn forward(&mut self, images: usize, mode: Mode, fill: impl Fn(usize, &mut [T]) + Sync) {
        let per_chunk = images.div_ceil(CHUNKS);
        for (index, chunk) in self.chunks.iter_mut().enumerate() {
            assert!(per_chunk <= chunk.capacity(), "a batch of {images} images is larger than the capacity");
            chunk.first = (index * per_chunk).min(images);
            chunk.images = ((index + 1) * per_chunk).min(images) - chunk.first;
        }
        self.images = images;
        for state in &mut self.states {
            if let Some(layer) = &mut state.layer {
                layer.prepare(&state.weights, mode == Mode::Train);
            }
            if let (Some(norm), Mode::Infer) = (&mut state.norm, mode) {
                norm.use_running(&state.weights);
            }
        }
        let Self { chunks, states, stages, graph, .. } = self;
        if mode == Mode::Infer {
            let all: Vec<usize> = (0..graph.nodes.len()).collect();
            chunks.par_iter_mut().for_each(|chunk| chunk.forward(graph, states, &all, &[], &fill));
            return;
        }
        for stage in stages {
            chunks.par_iter_mut().for_each(|chunk| chunk.forward(graph, states, &stage.nodes, &stage.measured, &fill));
            for &node in &stage.measured {
                let sums = total(chunks, |chunk| &chunk.sums[node]);
                let State { norm, weights, .. } = &mut states[node];
                if let Some(norm) = norm {
                    norm.use_batch(&sums, images, weights);
                }
            }
        }
    }

    /// Cross-entropy of the batch and the gradient of its mean by the logits.
    ///
    /// `smoothing` moves that much of each label's probability to all classes alike; `class_weights` (empty: all 1)
    /// weighs each image by its label.
    ///
    /// # Panics
    /// When a label is no class, or there are too few labels.
    pub fn loss(&mut self, labels: &[u8], smoothing: f64, class_weights: &[f32]) -> Loss {
        let weight = |image: usize| class_weights.get(labels[image] as usize).map_or(1.0, |w| f64::from(*w));
        let total_weight: f64 = (0..self.images).map(weight).sum();
        let node = self.loss.0;
        self.chunks.par_iter_mut().for_each(|chunk| {
            chunk.allocate_gradients();
            (chunk.loss, chunk.correct) = (0.0, 0);
            for index in 0..chunk.images {
                let label = labels[chunk.first + index] as usize;
                let share = weight(chunk.first + index) / total_weight;
                let logits = image(&chunk.values[node], index);
                let gradient = image_mut(&mut chunk.gradients[node], index);
                let (loss, hit) = cross_entropy(logits, label, smoothing, share, gradient);
                chunk.loss += loss;
                chunk.correct += usize::from(hit);
            }
        });
        let mean = self.chunks.iter().map(|chunk| chunk.loss).sum();
        Loss { mean, correct: self.chunks.iter().map(|chunk| chunk.correct).sum() }
    }

    /// Computes all gradients from those of the logits. Only after a forward pass in [`Mode::Train`] and a loss.
    pub fn backward(&mut self) {
        let Self { chunks, states, stages, graph, images, .. } = self;
        for (index, stage) in stages.iter().enumerate().rev() {
            chunks.par_iter_mut().for_each(|chunk| chunk.backward(graph, states, &stage.backward));
            for step in &stage.backward {
                let Backward::Sums { node } = *step else { continue };
                debug_assert!(index > 0, "stage 0 has no batch normalization");
                let sums = total(chunks, |chunk| &chunk.sums[node]);
                let State { norm, weights, gradients, .. } = &mut states[node];
                if let Some(norm) = norm {
                    norm.gradients(&sums, *images, weights, gradients);
                }
            }
        }
        for (node, state) in states.iter_mut().enumerate() {
            let Some(layer) = &state.layer else { continue };
            let (first, others) = chunks.split_at_mut(1);
            for chunk in others {
                for (sums, more) in first[0].weights[node].iter_mut().zip(&chunk.weights[node]) {
                    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += *more);
                }
            }
            layer.unpack_gradient(&first[0].weights[node], &mut state.gradients);
        }
    }

    /// The values of `node` for the images of the last forward pass, N x H x W x C.
    pub fn values(&self, node: NodeId) -> Array4<T> {
        self.collect(node, |chunk| &chunk.values[node.0])
    }

    /// The gradient of the loss by the values of `node`.
    pub fn gradient(&self, node: NodeId) -> Array4<T> {
        self.collect(node, |chunk| &chunk.gradients[node.0])
    }

    fn collect<'a>(&'a self, node: NodeId, batch: impl Fn(&'a Chunk<T>) -> &'a Array4<T>) -> Array4<T> {
        let shape = self.graph.node(node).shape;
        let images = self.chunks.iter().flat_map(|chunk| (0..chunk.images).map(move |index| (chunk, index)));
        let values: Vec<T> = images.flat_map(|(chunk, index)| image(batch(chunk), index)).copied().collect();
        let dims = (self.images, shape.h as usize, shape.w as usize, shape.c as usize);
        Array4::from_shape_vec(dims, values).expect("every image has the node's shape")
    }

    /// The name of the first node whose values are not all finite.
    pub fn first_not_finite(&self) -> Option<&str> {
        let finite = |chunk: &Chunk<T>, node: usize| {
            (0..chunk.images).all(|index| image(&chunk.values[node], index).iter().all(|v| v.is_finite()))
        };
        let bad = |node: &usize| self.chunks.iter().any(|chunk| !finite(chunk, *node));
        (0..self.graph.nodes.len()).find(bad).map(|node| self.graph.nodes[node].name.as_str())
    }
}

/// Adds up the same sums of all chunks, in order.
fn total<T>(chunks: &[Chunk<T>], sums: impl Fn(&Chunk<T>) -> &Vec<f64>) -> Vec<f64> {
    let mut total = vec![0.0; sums(&chunks[0]).len()];
    for chunk in chunks {
        total.iter_mut().zip(sums(chunk)).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// Softmax cross-entropy of one image times `share`, its gradient, and whether the label has the greatest logit.
fn cross_entropy<T: Real>(logits: &[T], label: usize, smoothing: f64, share: f64, gradient: &mut [T]) -> (f64, bool) {
    let top = logits.iter().fold(f64::NEG_INFINITY, |top, z| if top > z.wide() { top } else { z.wide() });
    let sum: f64 = logits.iter().map(|z| (z.wide() - top).exp()).sum();
    let mut loss = 0.0;
    for (class, (gradient, z)) in gradient.iter_mut().zip(logits).enumerate() {
        let wanted = smoothing / logits.len() as f64 + if class == label { 1.0 - smoothing } else { 0.0 };
        let z = z.wide() - top;
        loss -= wanted * (z - sum.ln());
        *gradient = T::of((z.exp() / sum - wanted) * share);
    }
    let hit = logits.iter().position(|z| z.wide() == top) == Some(label);
    (loss * share, hit)
}

impl<T: Real> Chunk<T> {
    fn new(graph: &Graph, states: &[State<T>], capacity: usize) -> Self {
        let batch =
            |shape: kinglet::Shape| Array4::zeros((capacity, shape.h as usize, shape.w as usize, shape.c as usize));
        let lens = |state: &State<T>| state.layer.as_ref().map(|layer| layer.gradient_lens()).unwrap_or_default();
        Self {
            first: 0,
            images: 0,
            values: graph.nodes.iter().map(|node| batch(node.shape)).collect(),
            gradients: Vec::new(),
            sums: states.iter().map(|s| vec![0.0; s.norm.as_ref().map_or(0, |_| 2 * s.specs[0].len())]).collect(),
            weights: states.iter().map(|s| lens(s).iter().map(|len| vec![T::zero(); *len]).collect()).collect(),
            scratch: Scratch::default(),
            loss: 0.0,
            correct: 0,
        }
    }

    fn capacity(&self) -> usize {
        self.values[0].dim().0
    }

    fn allocate_gradients(&mut self) {
        if self.gradients.is_empty() {
            self.gradients = self.values.iter().map(|values| Array4::zeros(values.dim())).collect();
        }
    }

    /// Runs `nodes` image by image, and sums up the statistics for the normalizations in `measured`.
    fn forward(
        &mut self,
        graph: &Graph,
        states: &[State<T>],
        nodes: &[usize],
        measured: &[usize],
        fill: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        for &node in measured {
            self.sums[node].fill(0.0);
        }
        for index in 0..self.images {
            for &node in nodes {
                let (values, rest) = self.values.split_at_mut(node);
                let out = image_mut(&mut rest[0], index);
                let inputs = graph.nodes[node].inputs.as_slice();
                let point = Point { values, inputs, image: index };
                match (&states[node].layer, &states[node].norm) {
                    (Some(layer), _) => layer.forward(&point, out, &mut self.scratch),
                    (None, Some(norm)) => norm.forward(point.input(0), out),
                    (None, None) => fill(self.first + index, out),
                }
            }
            for &node in measured {
                let x = image(&self.values[graph.nodes[node].inputs[0].0], index);
                if let Some(norm) = &states[node].norm {
                    norm.add_sums(x, x, &mut self.sums[node], &mut self.scratch.a);
                }
            }
        }
    }

    fn backward(&mut self, graph: &Graph, states: &[State<T>], steps: &[Backward]) {
        for step in steps {
            match *step {
                Backward::Sums { node } => self.sums[node].fill(0.0),
                Backward::Weights { node } => self.weights[node].iter_mut().for_each(|sums| sums.fill(T::zero())),
                Backward::Normalized { .. } | Backward::Input { .. } => {}
            }
        }
        for index in 0..self.images {
            for step in steps {
                self.step_back(graph, states, index, step);
            }
        }
    }

    fn step_back(&mut self, graph: &Graph, states: &[State<T>], index: usize, step: &Backward) {
        let (Backward::Normalized { node, .. }
        | Backward::Sums { node }
        | Backward::Weights { node }
        | Backward::Input { node, .. }) = *step;
        let inputs = graph.nodes[node].inputs.as_slice();
        let (before, gradient) = self.gradients.split_at_mut(node);
        let gradient = image(&gradient[0], index);
        let point = Point { values: &self.values, inputs, image: index };
        let output = Output { value: image(&self.values[node], index), gradient };
        let State { layer, norm, .. } = &states[node];
        match (step, layer, norm) {
            (Backward::Normalized { accumulate, .. }, _, Some(norm)) => {
                let target = image_mut(&mut before[inputs[0].0], index);
                norm.backward(point.input(0), gradient, target, *accumulate);
            }
            (Backward::Sums { .. }, _, Some(norm)) => {
                norm.add_sums(gradient, point.input(0), &mut self.sums[node], &mut self.scratch.a);
            }
            (Backward::Weights { .. }, Some(layer), _) => {
                layer.weight_gradient(&point, output, &mut self.weights[node], &mut self.scratch);
            }
            (Backward::Input { which, accumulate, .. }, Some(layer), _) => {
                let target = image_mut(&mut before[inputs[*which].0], index);
                layer.input_gradient(*which, &point, output, target, *accumulate, &mut self.scratch);
            }
            _ => {}
        }
    }
}
