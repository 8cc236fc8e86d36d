//! A network that runs: values, gradients and weights of a whole batch.
//!
//! A batch is always cut into [`CHUNKS`] chunks; each has its own values, gradients and sums, and the sums are added
//! in the order of the chunks. So the number of threads changes nothing in the numbers.

use ndarray::{Array4, ArrayD, IxDyn};
use rayon::prelude::*;

use super::batch_norm::BatchNorm;
use super::chunk::{Chunk, Shared, State};
use super::fuse::{Fusion, Room};
use super::loss::{Loss, Targets};
use super::schedule::{Backward, Stage, stages};
use super::simd::kernel;
use super::{Real, image, layer};
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

/// What a net computes that training does not need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keep {
    /// Values of nodes that would run in another's pass.
    pub every_value: bool,
    /// The gradient of the images.
    pub input_gradient: bool,
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

/// A network with its weights and buffers for a batch.
#[derive(Debug)]
pub struct Net<T> {
    graph: Graph,
    states: Vec<State<T>>,
    chunks: Vec<Chunk<T>>,
    stages: Vec<Stage>,
    fusion: Fusion,
    loss: NodeId,
    images: usize,
}

impl<T: Real> Net<T> {
    /// A network with buffers for up to `capacity` images.
    ///
    /// # Errors
    /// When a parameter is missing or has the wrong dimensions.
    pub fn new(graph: &Graph, params: &Params, capacity: usize) -> Result<Self, GraphError> {
        Self::with(graph, params, capacity, Keep::default())
    }

    /// A network that computes the gradient of its images, too.
    ///
    /// # Errors
    /// As [`Net::new`].
    pub fn with_input_gradient(graph: &Graph, params: &Params, capacity: usize) -> Result<Self, GraphError> {
        Self::with(graph, params, capacity, Keep { input_gradient: true, ..Keep::default() })
    }

    /// As [`Net::new`], with more to look at.
    pub(super) fn with(graph: &Graph, params: &Params, capacity: usize, keep: Keep) -> Result<Self, GraphError> {
        // Training ends at the logits: softmax and cross-entropy together have a simple, stable gradient.
        let last = graph.output();
        let loss = if matches!(graph.node(last).op, Op::Softmax { .. }) { graph.node(last).inputs[0] } else { last };
        let mut states = Vec::new();
        for id in graph.ids() {
            let node = graph.node(id);
            let norm = match node.op {
                Op::BatchNorm(epsilon) => {
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
        let fusion = Fusion::new(graph, keep.every_value, keep.input_gradient);
        let shared = Shared { graph, states: &states, fusion: &fusion };
        let chunks = (0..CHUNKS).map(|_| Chunk::new(shared, per_chunk)).collect();
        let stages = stages(graph, loss, keep.input_gradient, &fusion);
        let mut net = Self { graph: graph.clone(), states, chunks, stages, fusion, loss, images: 0 };
        net.load(params)?;
        Ok(net)
    }

    /// The graph it runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Bytes of values, and of gradients in [`Mode::Train`], of a full batch.
    pub fn memory(&self, mode: Mode) -> usize {
        let gradients = |node: usize, capacity: usize| match (mode, self.fusion.room[node]) {
            (Mode::Infer, _) | (_, Room::None) => 0,
            (_, Room::Image) => 1,
            (_, Room::Batch) => capacity,
        };
        let images = |node: usize| {
            let capacity = self.chunks[0].capacity();
            gradients(node, capacity) + if self.fusion.hidden[node] { 0 } else { capacity }
        };
        let elements = self.graph.nodes.iter().enumerate().map(|(node, of)| images(node) * of.shape.len() as usize);
        CHUNKS * size_of::<T>() * elements.sum::<usize>()
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
        self.states.par_iter_mut().for_each(|state| {
            if let Some(layer) = &mut state.layer {
                layer.prepare(&state.weights, mode == Mode::Train);
            }
            if let (Some(norm), Mode::Infer) = (&mut state.norm, mode) {
                norm.use_running(&state.weights);
            }
        });
        let Self { chunks, states, stages, graph, fusion, .. } = self;
        if mode == Mode::Infer {
            let all: Vec<usize> = (0..graph.nodes.len()).collect();
            let shared = Shared { graph, states, fusion };
            chunks.par_iter_mut().for_each(|chunk| chunk.forward(shared, &all, &[], &fill));
            return;
        }
        for stage in stages {
            let shared = Shared { graph, states, fusion };
            chunks.par_iter_mut().for_each(|chunk| chunk.forward(shared, &stage.nodes, &stage.measured, &fill));
            for &node in &stage.measured {
                let sums = total(chunks, |chunk| &chunk.sums[node]);
                let State { norm, weights, .. } = &mut states[node];
                if let Some(norm) = norm {
                    norm.use_batch(&sums, images, weights);
                }
            }
        }
    }

    /// The loss of the batch and the gradient of its mean by the logits.
    ///
    /// # Panics
    /// When a label is no class, or there are more or fewer than images.
    pub fn loss(&mut self, targets: Targets<'_>) -> Loss {
        assert_eq!(targets.labels.len(), self.images, "one label per image");
        let share = targets.shares();
        let Self { chunks, states, graph, fusion, loss, .. } = self;
        let (node, shared) = (loss.0, Shared { graph, states, fusion });
        chunks.par_iter_mut().for_each(|chunk| {
            chunk.allocate_gradients(shared);
            (chunk.loss, chunk.correct) = (0.0, 0);
            for index in 0..chunk.images {
                let image = chunk.first + index;
                let (logits, gradient) = chunk.value_and_gradient(node, fusion.home[node], index);
                let (loss, hit) = targets.loss(image, share(image), logits, gradient);
                chunk.loss += loss;
                chunk.correct += usize::from(hit);
            }
        });
        let mean = self.chunks.iter().map(|chunk| chunk.loss).sum();
        Loss { mean, correct: self.chunks.iter().map(|chunk| chunk.correct).sum() }
    }

    /// Sets the gradient of the output by hand, instead of [`Net::loss`]: `fill` writes that of image `i`, H x W x C.
    pub fn set_gradient(&mut self, fill: impl Fn(usize, &mut [T]) + Sync) {
        let Self { chunks, states, graph, fusion, loss, .. } = self;
        let (node, shared) = (loss.0, Shared { graph, states, fusion });
        chunks.par_iter_mut().for_each(|chunk| {
            chunk.allocate_gradients(shared);
            for index in 0..chunk.images {
                let image = chunk.first + index;
                fill(image, chunk.value_and_gradient(node, fusion.home[node], index).1);
            }
        });
    }

    /// Computes all gradients from those of the output. Only after a forward pass in [`Mode::Train`] and a loss, or
    /// [`Net::set_gradient`].
    pub fn backward(&mut self) {
        let Self { chunks, states, stages, graph, fusion, images, .. } = self;
        for (index, stage) in stages.iter().enumerate().rev() {
            let shared = Shared { graph, states, fusion };
            chunks.par_iter_mut().for_each(|chunk| chunk.backward(shared, &stage.backward));
            for step in &stage.backward {
                let (Backward::Sums { node } | Backward::MaskedSums { node, .. }) = *step else { continue };
                debug_assert!(index > 0, "stage 0 has no batch normalization");
                let sums = total(chunks, |chunk| &chunk.sums[node]);
                let State { norm, weights, gradients, .. } = &mut states[node];
                if let Some(norm) = norm {
                    norm.gradients(&sums, *images, weights, gradients);
                }
            }
        }
        // Node by node, so that nodes can be worked on side by side.
        let mut parts: Vec<Vec<&mut Vec<Vec<T>>>> = states.iter().map(|_| Vec::with_capacity(CHUNKS)).collect();
        for chunk in chunks {
            parts.iter_mut().zip(&mut chunk.weights).for_each(|(parts, weights)| parts.push(weights));
        }
        states.par_iter_mut().zip(parts).for_each(|(state, mut parts)| {
            let (Some(layer), [first, others @ ..]) = (&state.layer, &mut parts[..]) else { return };
            for part in others {
                first.iter_mut().zip(part.iter()).for_each(|(sums, more)| add_to(sums, more));
            }
            layer.unpack_gradient(first, &mut state.gradients);
        });
    }

    /// The values of `node` for the images of the last forward pass, N x H x W x C. Nodes that run in another's pass
    /// have none, unless they were asked for.
    pub fn values(&self, node: NodeId) -> Array4<T> {
        self.collect(node, |chunk| &chunk.values[node.0])
    }

    /// The gradient by the images after a backward pass, of a network made by [`Net::with_input_gradient`].
    pub fn input_gradient(&self) -> Array4<T> {
        self.collect(NodeId(0), |chunk| chunk.gradient(self.fusion.home[0]))
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
            self.fusion.hidden[node]
                || (0..chunk.images).all(|index| image(&chunk.values[node], index).iter().all(|v| v.is_finite()))
        };
        let bad = |node: &usize| self.chunks.iter().any(|chunk| !finite(chunk, *node));
        (0..self.graph.nodes.len()).find(bad).map(|node| self.graph.nodes[node].name.as_str())
    }
}

kernel! {
    fn add_to<T>(sums: &mut [T], more: &[T]) {
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += *more);
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
