//! Float layers, forward and backward, and the network that runs them over a batch.
//!
//! A layer sees one image at a time, NHWC. Only batch normalization looks across images; the [`Net`] cuts the graph
//! there, and between two cuts does everything that touches one image while it is in the cache.

mod batch_norm;
pub(crate) mod blocks;
mod chunk;
mod conv;
mod dense;
mod depthwise;
mod elementwise;
mod fuse;
mod infer;
mod interpolate;
mod lanes;
mod loss;
mod net;
mod pointwise;
mod pool;
mod real;
mod schedule;
mod shaping;
mod simd;
pub(crate) mod transforms;
mod winograd;

use kinglet::Shape;
use ndarray::Array4;

use crate::graph::{Activation, ConstantFunction, Constants, Function, Graph, NodeId, Op};

pub use infer::{InferError, forward, greatest, logits, preprocess};
pub(crate) use interpolate::{Corners, corners};
pub(crate) use loss::log_softmax;
pub use loss::{Loss, Targets, Taught};
pub use net::{Mode, Net, Slot};
pub use real::Real;

/// What a layer sees of one image: its inputs and its output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point<'a, T> {
    /// Values of all nodes before this one.
    pub values: &'a [Array4<T>],
    pub inputs: &'a [NodeId],
    pub image: usize,
}

impl<'a, T: Real> Point<'a, T> {
    pub fn input(&self, which: usize) -> &'a [T] {
        image(&self.values[self.inputs[which].0], self.image)
    }
}

/// What a layer sees of one image on the way back: its inputs, its output, and the output's gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Back<'a, T> {
    pub point: Point<'a, T>,
    pub value: &'a [T],
    pub gradient: &'a [T],
}

impl<'a, T: Real> Back<'a, T> {
    fn input(&self, which: usize) -> &'a [T] {
        self.point.input(which)
    }
}

/// Where the gradient of an input goes.
#[derive(Debug)]
pub(crate) struct Target<'a, T> {
    pub values: &'a mut [T],
    /// Whether it is added to what is there.
    pub accumulate: bool,
}

impl<'a, T: Real> Target<'a, T> {
    /// What gradients are added to: zeros, where nothing is there.
    fn sums(self) -> &'a mut [T] {
        if !self.accumulate {
            self.values.fill(T::zero());
        }
        self.values
    }
}

/// The elements of one image of a batch.
pub(crate) fn image<T>(batch: &Array4<T>, index: usize) -> &[T] {
    let len = batch.len() / batch.dim().0;
    &batch.as_slice().expect("batches are allocated in standard layout")[index * len..][..len]
}

/// The elements of one image of a batch, for writing.
pub(crate) fn image_mut<T>(batch: &mut Array4<T>, index: usize) -> &mut [T] {
    let len = batch.len() / batch.dim().0;
    &mut batch.as_slice_mut().expect("batches are allocated in standard layout")[index * len..][..len]
}

/// Buffers that a layer may use during one call; they keep their memory from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch<T> {
    a: Vec<T>,
    b: Vec<T>,
    rows: Vec<T>,
    segments: Vec<blocks::Segment>,
}

/// One operator over one image.
pub(crate) trait Layer<T: Real>: Send + Sync + std::fmt::Debug {
    /// Takes over new weights, in the order of the graph's parameter list; `backward` if gradients will be asked for.
    fn prepare(&mut self, _weights: &[Vec<T>], _backward: bool) {}

    /// Computes the output.
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], scratch: &mut Scratch<T>);

    /// Computes the gradient of input `which` from the output's.
    fn input_gradient(&self, which: usize, back: &Back<'_, T>, target: Target<'_, T>, scratch: &mut Scratch<T>);

    /// Lengths of the buffers that weight gradients are summed in; the layer chooses their layout.
    fn gradient_lens(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Adds one image's weight gradients to `sums`.
    fn weight_gradient(&self, _back: &Back<'_, T>, _sums: &mut [Vec<T>], _scratch: &mut Scratch<T>) {}

    /// Brings summed gradients into the layout of the weights.
    fn unpack_gradient(&self, sums: &[Vec<T>], gradients: &mut [Vec<T>]) {
        for (gradient, sum) in gradients.iter_mut().zip(sums) {
            gradient.copy_from_slice(sum);
        }
    }
}

/// `target = value` or `target += value`.
fn store<T: Real>(target: &mut T, value: T, accumulate: bool) {
    *target = if accumulate { *target + value } else { value };
}

/// The layer of a node; none for the input and for batch normalization, which the net itself runs.
fn layer<T: Real>(graph: &Graph, id: NodeId) -> Option<Box<dyn Layer<T>>> {
    let op = &graph.node(id).op;
    layer_of(op, op.weights().is_some_and(|dims| dims.bias), &graph.input_shapes(id), graph.node(id).shape)
}

/// The layer of an operator from `inputs` to `output`; `bias` is whether one comes with its weights.
pub(crate) fn layer_of<T: Real, W: Constants<Function = Function>>(
    op: &Op<W>,
    bias: bool,
    inputs: &[Shape],
    output: Shape,
) -> Option<Box<dyn Layer<T>>> {
    let input = *inputs.first()?;
    Some(match op {
        Op::Input | Op::BatchNorm(_) => return None,
        Op::Conv2d { window, .. } if winograd::suits(*window, input, output) => {
            Box::new(winograd::Winograd::new(*window, input, output, bias))
        }
        Op::Conv2d { window, .. } => Box::new(conv::Conv2d::new(*window, input, output, bias)),
        Op::DepthwiseConv2d { window, .. } => Box::new(depthwise::Depthwise::new(*window, input, output, bias)),
        Op::Dense(_) => Box::new(dense::Dense::new(input.len() as usize, output.c as usize, bias)),
        Op::Activate(Activation::None) | Op::Reshape(_) => Box::new(shaping::Same),
        Op::Activate(Activation::Relu) => Box::new(pointwise::Relu { limit: None }),
        Op::Activate(Activation::Relu6) => Box::new(pointwise::Relu { limit: Some(T::of(6.0)) }),
        Op::Activate(Activation::ReluN1To1) => Box::new(elementwise::Apply { function: Function::X.clip(-1.0, 1.0) }),
        Op::Function(function) => Box::new(elementwise::Apply { function: function.clone() }),
        Op::Add if inputs.iter().all(|&shape| shape == output) => Box::new(pointwise::Add),
        Op::Add => Box::new(elementwise::Arithmetic::new(ConstantFunction::Add, inputs, output)),
        Op::Sub => Box::new(elementwise::Arithmetic::new(ConstantFunction::Sub, inputs, output)),
        Op::Mul => Box::new(elementwise::Arithmetic::new(ConstantFunction::Mul, inputs, output)),
        Op::Constant { function, .. } => Box::new(elementwise::Constant::new(*function, output)),
        Op::Softmax { beta } => {
            Box::new(pointwise::Softmax { channels: output.c as usize, beta: T::of((*beta).into()) })
        }
        Op::L2Norm => Box::new(pointwise::L2Norm { channels: output.c as usize }),
        Op::MaxPool(window) => Box::new(pool::MaxPool::new(*window, input, output)),
        Op::AveragePool(window) => Box::new(pool::AveragePool::new(*window, input, output)),
        Op::Mean => Box::new(pool::GlobalAverage { channels: input.c as usize }),
        Op::Concat => Box::new(shaping::Concat::new(inputs)),
        Op::ResizeBilinear(resize) => Box::new(interpolate::Interpolation::new(resize, input)),
        Op::Rearrange(rearrange) => Box::new(shaping::Rearranged::new(rearrange, input, output)),
    })
}

#[cfg(test)]
mod tests;
