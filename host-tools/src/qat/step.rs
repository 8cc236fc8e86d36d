//! One operator in training, and its numbers in the runtime's integers.
//!
//! Elements are held as floats, less their zero point: so a convolution pads with 0, and its sums are those that the
//! runtime's kernels arrive at.

use kinglet::kernels::AddTerms;
use kinglet::kernels::algorithms::Core;
use kinglet::ops::{self, Op as Lowered};
use kinglet::quant::{quantize, requantize};
use kinglet::{Activation, Channel, Clamp, DType, Multiplier, QuantParams, Rounding, Shape, Window};

use crate::graph::{Node, NodeId, Op, Real, StoredFunction, StoredWeights};
use crate::layers::{Corners, Layer, corners, layer_of};
use crate::lower::lower_node;
use crate::network::Network;
use crate::quantize::QuantizeError;
use crate::quantize::forward::elementwise;

/// Up to here f32 holds every integer.
const EXACT: u64 = 1 << 24;

/// An operator, and what it needs of the network's numbers.
#[derive(Debug)]
pub struct Step {
    /// The values that it reads.
    pub inputs: Vec<NodeId>,
    /// Their shapes.
    pub(super) shapes: Vec<Shape>,
    pub(super) shape: Shape,
    /// Moves and sums elements; none where each is looked up.
    pub(super) layer: Option<Box<dyn Layer<f32>>>,
    /// The same in f64, for sums that f32 might not hold.
    pub(super) wide: Option<Box<dyn Layer<f64>>>,
    pub(super) stage: Stage,
    pub(super) settle: Settle,
    pub(super) rounding: Rounding,
}

/// What happens to elements after they are moved or summed.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing: the operator moves or selects elements.
    Moved,
    /// The mean over a window, rounded; with the zero point.
    Average(Window, i32),
    /// The weighted mean of four pixels, rounded; with the zero point.
    Blended(Vec<Corners>, i32),
    /// Weighted sums.
    Weighted(Weighted),
    /// The mean over the map, scaled.
    Mean {
        factor: Multiplier,
        /// The scale of input elements in units of the output's.
        slope: f32,
    },
    /// A sum of two: for each operand the scaled terms of its elements, its zero point and its slope.
    Add { operands: [Operand; 2], factor: Multiplier },
    /// A function of one element, for all of them, and the zero point.
    Table(Vec<Entry>, i32),
}

/// What becomes of weighted sums.
#[derive(Debug)]
pub(super) struct Weighted {
    /// Bias and factor; the input's zero point is not in the bias.
    pub channels: Vec<Channel>,
    /// The factors as real numbers.
    pub slopes: Vec<f32>,
    /// Scales of the weights, and of input elements.
    pub weight_scales: Vec<f32>,
    pub input_scale: f32,
    /// Whether sums are taken in f64.
    pub is_wide: bool,
}

/// An operand of a sum.
#[derive(Debug)]
pub(super) struct Operand {
    /// By element, from -128 on.
    pub terms: Vec<i32>,
    pub zero: i32,
    pub slope: f32,
}

/// What a function makes of one element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The element, less its zero point.
    pub value: f32,
    /// As it would be without the bounds of int8.
    pub unbounded: i32,
    /// The derivative, by elements; 0 where the bounds cut off.
    pub slope: f32,
}

/// The last part of a computation: zero point and clamp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settle {
    pub zero: i32,
    pub clamp: Clamp,
    /// The least that gradients go through: the edge of a ReLU hands nothing on.
    pub low: i32,
}

impl Settle {
    fn new(quant: QuantParams, activation: Activation) -> Self {
        let clamp = Clamp::activation(activation, quant, DType::I8);
        Self { zero: quant.zero_point, clamp, low: clamp.min + i32::from(activation != Activation::None) }
    }

    /// From a scaled number to an element less its zero point. Tells whether gradients go through, and widens the
    /// extremes that were seen.
    #[inline(always)]
    pub fn one(&self, scaled: i32, out: &mut f32, passes: &mut bool, seen: &mut [i32; 2]) {
        let q = scaled.wrapping_add(self.zero);
        *seen = [seen[0].min(q), seen[1].max(q)];
        *passes = q >= self.low && q <= self.clamp.max;
        *out = (self.clamp.apply(q) - self.zero) as f32;
    }
}

/// All elements, in the order of tables.
fn elements() -> impl Iterator<Item = i32> {
    DType::I8.min()..=DType::I8.max()
}

impl Step {
    /// The step of a node, without numbers.
    ///
    /// # Errors
    /// Names the node when its operator cannot be trained this way.
    pub fn new(node: &Node<Real>, shapes: Vec<Shape>) -> Result<Self, QuantizeError> {
        let layered = match &node.op {
            Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) => true,
            Op::Add if shapes.iter().all(|&shape| shape == node.shape) => true,
            Op::MaxPool(_) | Op::AveragePool(_) | Op::ResizeBilinear(_) => true,
            Op::Mean | Op::Concat | Op::Reshape(_) => true,
            // Elements are held less their zero points, so that only zeros are the same there.
            Op::Rearrange(rearrange) if rearrange.constant().unwrap_or_default() == 0.0 => true,
            Op::Function(_) | Op::Activate(_) => false,
            Op::Input | Op::Add | Op::Sub | Op::Mul | Op::Constant { .. } => {
                return Err(QuantizeError::Untrainable(node.name.clone()));
            }
            Op::Softmax { .. } | Op::L2Norm | Op::Rearrange(_) => {
                return Err(QuantizeError::Untrainable(node.name.clone()));
            }
            Op::BatchNorm(never) => match *never {},
        };
        // Biases are integers, added after the sums.
        let layer = if layered { layer_of(&node.op, false, &shapes, node.shape) } else { None };
        let wide = node.op.weights().and_then(|_| layer_of(&node.op, false, &shapes, node.shape));
        Ok(Self {
            inputs: node.inputs.clone(),
            shapes,
            shape: node.shape,
            layer,
            wide,
            stage: Stage::Moved,
            settle: Settle::new(QuantParams { scale: 1.0, zero_point: 0 }, Activation::None),
            rounding: Rounding::default(),
        })
    }

    /// Elements of the output.
    pub fn len(&self) -> usize {
        self.shape.len() as usize
    }

    /// Whether the elements are computed, and not those of another value.
    pub fn computes(&self) -> bool {
        !matches!(self.stage, Stage::Moved | Stage::Average(..) | Stage::Blended(..))
    }

    /// The numbers of weighted sums, of steps that take some.
    pub fn weighted(&self) -> Option<&Weighted> {
        match &self.stage {
            Stage::Weighted(weighted) => Some(weighted),
            _ => None,
        }
    }

    /// Takes over the numbers of node `index` of the integer network that was made of `folded`'s.
    ///
    /// # Errors
    /// Says what is out of range.
    pub fn prepare(&mut self, folded: &Node<Real>, network: &Network, index: usize) -> Result<(), String> {
        let node = &network.nodes[index];
        let quant = |tensor: usize| network.tensors[tensor].quant;
        let (input, output) = (quant(node.inputs[0]), quant(node.output));
        let ratio = f64::from(input.scale) / f64::from(output.scale);
        let far = || format!("{} (scales {} and {} are too far apart)", node.name, input.scale, output.scale);
        self.settle = Settle::new(output, folded.activation);
        self.rounding = node.rounding;
        self.stage = match &node.op {
            Op::Conv2d { weights: StoredWeights::Int8 { weights, scales, bias }, .. }
            | Op::DepthwiseConv2d { weights: StoredWeights::Int8 { weights, scales, bias }, .. }
            | Op::Dense(StoredWeights::Int8 { weights, scales, bias }) => {
                let lowered = lower_node(network, node, Core::default()).map_err(|error| error.to_string())?;
                let table = match lowered.op() {
                    Lowered::Conv2d(op) => op.channels,
                    Lowered::DepthwiseConv2d(op) => op.channels,
                    Lowered::Dense(op) => op.channels,
                    _ => return Err(far()),
                };
                let plain = |(channel, &bias): (Channel, &i64)| Channel { bias: bias as i32, ..channel };
                let channels: Vec<Channel> = table.iter().zip(bias).map(plain).collect();
                let last = matches!(node.op, Op::DepthwiseConv2d { .. });
                let is_wide = self.take(weights, channels.len(), last, input.zero_point);
                Stage::Weighted(Weighted {
                    channels,
                    slopes: scales.iter().map(|scale| (ratio * f64::from(*scale)) as f32).collect(),
                    weight_scales: scales.clone(),
                    input_scale: input.scale,
                    is_wide,
                })
            }
            Op::Mean => {
                let pixels = self.shapes[0].h * self.shapes[0].w;
                let mean = ops::Mean::new(input, output, pixels, node.rounding).ok_or_else(far)?;
                Stage::Mean { factor: mean.factor, slope: ratio as f32 }
            }
            Op::Add => {
                let quants = [input, quant(node.inputs[1])];
                let add = ops::Add::new(quants[0], quants[1], output, DType::I8, node.rounding, self.settle.clamp);
                let add = add.ok_or_else(far)?;
                let operand = |which: usize| {
                    let QuantParams { scale, zero_point: zero } = quants[which];
                    let term = |q: i32| (q - zero) << AddTerms::LEFT_SHIFT;
                    let terms = elements().map(|q| requantize(term(q), add.factors[which], add.rounding)).collect();
                    Operand { terms, zero, slope: scale / output.scale }
                };
                Stage::Add { operands: [operand(0), operand(1)], factor: add.output_factor }
            }
            Op::Function(StoredFunction::Table(table)) => {
                let inputs: Vec<f32> = elements().map(|q| input.dequantize(q)).collect();
                let entry = |((x, real), &to): ((f32, f32), &i8)| {
                    let unbounded = quantize(real, output);
                    let derivative = match &folded.op {
                        Op::Function(function) => function.derivative(x.into()),
                        // What an activation leaves as it is, but for 0, its edge.
                        _ => f64::from(u8::from(real == x && x != 0.0)),
                    };
                    let inside = Clamp::full(DType::I8).apply(unbounded) == unbounded;
                    let slope = if inside { (derivative * ratio) as f32 } else { 0.0 };
                    Entry { value: (i32::from(to) - output.zero_point) as f32, unbounded, slope }
                };
                Stage::Table(
                    inputs.iter().copied().zip(elementwise(folded, &inputs)).zip(table).map(entry).collect(),
                    input.zero_point,
                )
            }
            Op::AveragePool(window) => Stage::Average(*window, input.zero_point),
            Op::ResizeBilinear(resize) => Stage::Blended(corners(resize, self.shapes[0]), input.zero_point),
            Op::MaxPool(_) | Op::Concat | Op::Reshape(_) | Op::Rearrange(_) => Stage::Moved,
            op => return Err(format!("{} ({} is not trained)", node.name, op.kind())),
        };
        Ok(())
    }

    /// Hands integer weights to the layers; tells whether sums might be too large for f32.
    fn take(&mut self, weights: &[i8], channels: usize, channels_last: bool, zero: i32) -> bool {
        let each = weights.len() / channels;
        let mut sums = vec![0; channels];
        for (index, weight) in weights.iter().enumerate() {
            sums[if channels_last { index % channels } else { index / each }] += u64::from(weight.unsigned_abs());
        }
        let largest = (DType::I8.max() - zero).max(zero - DType::I8.min()).unsigned_abs();
        let is_wide = sums.iter().any(|sum| sum * u64::from(largest) > EXACT);
        if let Some(layer) = &mut self.layer {
            layer.prepare(&[weights.iter().map(|&w| f32::from(w)).collect()], true);
        }
        if let Some(wide) = self.wide.as_mut().filter(|_| is_wide) {
            wide.prepare(&[weights.iter().map(|&w| f64::from(w)).collect()], false);
        }
        is_wide
    }
}
