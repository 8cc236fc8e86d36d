//! From the integer network's scales to the runtime's operators: multipliers, folded biases, activation ranges.

use kinglet::kernels::algorithms::{Layer, Map, depthwise};
use kinglet::ops::{
    Add, AveragePool2d, Concat, Constant, Conv2d, ConvAlgorithm, Convert, Dense, DepthwiseAlgorithm, DepthwiseConv2d,
    Function, Lookup, MaxPool2d, Mean, Mul, Op, Pad, Piecewise, Rescale, Reshape, Sigmoid, Softmax, SoftmaxFloat16,
    SoftmaxInt16, Sub,
};
use kinglet::{Activation, Channel, Channels, Clamp, DType, Multiplier, QuantParams, Rounding, WideChannel, f16};

use super::{ExportError, curves};
use crate::network::{ConstantFunction, FloatLayer, Network, Node, NodeOp, TensorInfo};
use crate::quantize::pieces::Pieces;

/// What an operator keeps in flash, in the runtime's layout.
#[derive(Clone, Debug, Default)]
pub struct Constants {
    /// Of a convolution, how it is computed and its weights packed.
    algorithm: ConvAlgorithm,
    /// The same of a depthwise convolution.
    depthwise: DepthwiseAlgorithm,
    /// Of an addition, the constants of its linear form, where it has one.
    linear: Option<[i32; 3]>,
    weights: Vec<i8>,
    channels: Vec<u8>,
    table: Option<Box<[i8; 256]>>,
    /// Tables of functions of int16 elements, or of one of halves: starts of pieces and their polynomials.
    curves: Vec<u8>,
    /// Whether activations are int16, which only the direct algorithms take.
    wide: bool,
}

/// Why a node cannot be lowered.
type Reason = String;

impl Constants {
    /// The constants of `node`.
    ///
    /// # Errors
    /// Names the node and the ratio of scales that is out of range.
    pub fn of(network: &Network, node: &Node) -> Result<Self, ExportError> {
        let mut constants = Self::default();
        let input = node.inputs.first().map(|&id| &network.tensors[id]);
        let output = &network.tensors[node.output];
        constants.wide = output.dtype == DType::I16;
        match &node.op {
            NodeOp::Conv2d { weights, weight_scales, bias, .. } => {
                let per_channel = weights.len() / bias.len().max(1);
                let sum =
                    |c: usize| weights.iter().skip(c * per_channel).take(per_channel).map(|&w| i32::from(w)).sum();
                constants.weights.clone_from(weights);
                constants.channels = channels(node, input, output, weight_scales, bias, sum)?;
            }
            NodeOp::DepthwiseConv2d { weights, weight_scales, bias, .. } => {
                let sum = |c: usize| weights.iter().skip(c).step_by(bias.len().max(1)).map(|&w| i32::from(w)).sum();
                constants.weights.clone_from(weights);
                constants.channels = channels(node, input, output, weight_scales, bias, sum)?;
                constants.pack_depthwise(node, input, output);
            }
            NodeOp::Add { activation } => {
                let quant = |i: usize| node.inputs.get(i).map(|&id| network.tensors[id].quant);
                if let (Some(a), Some(b)) = (quant(0), quant(1)) {
                    let clamp = Clamp::activation(*activation, output.quant, output.dtype);
                    let add = Add::new(a, b, output.quant, output.dtype, node.rounding, clamp);
                    let add = add.filter(|_| output.dtype == DType::I8);
                    constants.linear = add.and_then(|add| add.linearized(a, b, output.quant).linear);
                }
            }
            NodeOp::Dense { weights, weight_scales, bias, .. } => {
                let len = weights.len() / bias.len().max(1);
                let sum = |c: usize| weights.iter().skip(c * len).take(len).map(|&w| i32::from(w)).sum();
                constants.weights.clone_from(weights);
                constants.channels = channels(node, input, output, weight_scales, bias, sum)?;
            }
            NodeOp::Constant { data, .. } => {
                let size = output.dtype.size() as usize;
                constants.weights =
                    data.iter().flat_map(|x| x.to_le_bytes().into_iter().take(size)).map(|b| b as i8).collect();
            }
            NodeOp::Float { weights, bias, .. } => {
                constants.weights = halves(weights);
                constants.channels = bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
                constants.channels.resize(constants.channels.len().next_multiple_of(Channel::BYTES), 0);
            }
            NodeOp::FloatConstant { data, .. } => constants.weights = halves(data),
            NodeOp::Sigmoid { .. } => constants.curves = curves::logistic().to_vec(),
            NodeOp::Softmax { .. } if constants.wide => constants.curves = curves::softmax(node.rounding),
            NodeOp::Piecewise(Pieces { starts, polynomials }) => {
                constants.curves = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
                constants.curves.extend(polynomials.iter().flatten().flat_map(|c| c.to_le_bytes()));
            }
            NodeOp::Lookup { table } => {
                let entries: &[i8; 256] = table.as_slice().try_into().map_err(|_| {
                    ExportError::node(node, format!("a lookup table has 256 entries, this one has {}", table.len()))
                })?;
                // Here in the order of the inputs from -128 on, there in that of their bytes.
                constants.table = Some(Box::new(std::array::from_fn(|byte| entries[byte ^ 0x80])));
            }
            _ => {}
        }
        Ok(constants)
    }

    /// Packs a depthwise convolution of as many channels as it reads, where that is exact.
    fn pack_depthwise(&mut self, node: &Node, input: Option<&TensorInfo>, output: &TensorInfo) {
        let (NodeOp::DepthwiseConv2d { window, activation, .. }, Some(input)) = (&node.op, input) else { return };
        let clamp = Clamp::activation(*activation, output.quant, output.dtype);
        let map = |info: &TensorInfo| Map::dense(info.shape.h as usize, info.shape.w as usize, info.shape.c as usize);
        let layer = Layer {
            input: map(input),
            output: map(output),
            window: *window,
            zero_in: input.quant.zero_point as i8,
            zero_out: output.quant.zero_point as i8,
            low: clamp.min as i8,
            high: clamp.max as i8,
        };
        let channels: Vec<Channel> = Channels::new(&self.channels).iter().flat_map(Channels::iter).collect();
        if node.rounding == Rounding::Double
            && !self.wide
            && depthwise::supports(&layer)
            && let Some(words) = depthwise::pack(&layer, &self.weights, &channels)
        {
            self.depthwise = DepthwiseAlgorithm::Packed;
            self.weights = words.into_iter().flat_map(u32::to_le_bytes).map(|byte| byte as i8).collect();
        }
    }

    /// Bytes of weights.
    pub(super) fn weights_len(&self) -> usize {
        self.weights.len()
    }

    /// Bytes of weights and tables.
    pub(super) fn len(&self) -> usize {
        self.weights.len()
            + self.channels.len()
            + self.table.as_ref().map_or(0, |table| table.len())
            + self.curves.len()
    }

    /// What an algorithm is chosen by: the weights and the channels of a convolution that rounds twice.
    pub(super) fn convolution<'c>(&'c self, node: &Node) -> Option<(&'c [i8], Vec<Channel>)> {
        let doubly = node.rounding == Rounding::Double && !self.wide;
        (matches!(node.op, NodeOp::Conv2d { .. }) && doubly)
            .then(|| (self.weights.as_slice(), Channels::new(&self.channels).iter().flat_map(Channels::iter).collect()))
    }

    /// The same convolution by another algorithm; `None` when that cannot compute it exactly.
    pub(super) fn packed(&self, algorithm: ConvAlgorithm, layer: &Layer, node: &Node) -> Option<Self> {
        let (weights, channels) = self.convolution(node)?;
        let packed = algorithm.pack(layer, weights, &channels)?;
        Some(Self { algorithm, weights: packed.into_iter().map(|byte| byte as i8).collect(), ..self.clone() })
    }

    /// The runtime's operator for `node`, over these constants.
    ///
    /// # Errors
    /// Names the node and the ratio of scales that is out of range.
    pub fn op<'c>(&'c self, network: &Network, node: &Node) -> Result<Op<'c>, ExportError> {
        self.try_op(network, node).map_err(|reason| ExportError::node(node, reason))
    }

    fn try_op<'c>(&'c self, network: &Network, node: &Node) -> Result<Op<'c>, Reason> {
        let rounding = node.rounding;
        let output = &network.tensors[node.output];
        let operand =
            |i: usize| node.inputs.get(i).map(|&id| &network.tensors[id]).ok_or(format!("input {i} is missing"));
        let clamp = |activation: Activation| Clamp::activation(activation, output.quant, output.dtype);
        let channels = || Channels::new(&self.channels).ok_or("the channel table is broken".to_owned());
        let weights = self.weights.as_slice();
        let ratio = |what: &str| {
            let scales: Vec<_> = node.inputs.iter().map(|&id| network.tensors[id].quant.scale).collect();
            format!("{what} is out of range: input scales {scales:?}, output scale {}", output.quant.scale)
        };
        Ok(match &node.op {
            NodeOp::Conv2d { window, activation, .. } => Op::Conv2d(Conv2d {
                algorithm: self.algorithm,
                window: *window,
                rounding,
                clamp: clamp(*activation),
                weights,
                channels: channels()?,
            }),
            NodeOp::DepthwiseConv2d { window, activation, .. } => Op::DepthwiseConv2d(DepthwiseConv2d {
                algorithm: self.depthwise,
                window: *window,
                rounding,
                clamp: clamp(*activation),
                weights,
                channels: channels()?,
            }),
            NodeOp::Dense { activation, .. } => {
                Op::Dense(Dense { rounding, clamp: clamp(*activation), weights, channels: channels()? })
            }
            NodeOp::MaxPool { window, activation } => {
                Op::MaxPool2d(MaxPool2d { window: *window, clamp: clamp(*activation) })
            }
            NodeOp::AveragePool { window, activation } => {
                Op::AveragePool2d(AveragePool2d { window: *window, clamp: clamp(*activation) })
            }
            NodeOp::Mean => {
                let input = operand(0)?;
                let pixels = input.shape.h.saturating_mul(input.shape.w);
                let mean = Mean::new(input.quant, output.quant, pixels, rounding);
                Op::Mean(mean.ok_or_else(|| ratio("the ratio of the mean's scales"))?)
            }
            NodeOp::Add { activation } => {
                let (a, b) = (operand(0)?.quant, operand(1)?.quant);
                let add = Add::new(a, b, output.quant, output.dtype, rounding, clamp(*activation));
                let add = add.ok_or_else(|| ratio("a ratio of the sum's scales"))?;
                Op::Add(Add { linear: self.linear, ..add })
            }
            NodeOp::Sub { activation } => {
                let (a, b) = (operand(0)?.quant, operand(1)?.quant);
                let sub = Sub::new(a, b, output.quant, output.dtype, rounding, clamp(*activation));
                Op::Sub(sub.ok_or_else(|| ratio("a ratio of the difference's scales"))?)
            }
            NodeOp::Mul { activation } => {
                let (a, b) = (operand(0)?.quant, operand(1)?.quant);
                let mul = Mul::new(a, b, output.quant, rounding, clamp(*activation));
                Op::Mul(mul.ok_or_else(|| ratio("the ratio of the product's scales"))?)
            }
            NodeOp::Constant { function, quant, activation, .. } => {
                let function = with_constant(*function, operand(0)?, *quant, output, rounding, clamp(*activation));
                let function = function.ok_or_else(|| ratio("a ratio with the constant's scale"))?;
                Op::Constant(Constant { function, zero_point: quant.zero_point, data: weights })
            }
            NodeOp::FloatConstant { function, activation, .. } => {
                let real = QuantParams::REAL;
                let function = with_constant(*function, operand(0)?, real, output, rounding, clamp(*activation));
                let function = function.ok_or_else(|| ratio("a scale of float16"))?;
                Op::Constant(Constant { function, zero_point: 0, data: weights })
            }
            NodeOp::Float { layer, activation, .. } => {
                let (clamp, channels) = (clamp(*activation), channels()?);
                match *layer {
                    FloatLayer::Conv2d(window) => {
                        let algorithm = ConvAlgorithm::Direct;
                        Op::Conv2d(Conv2d { algorithm, window, rounding, clamp, weights, channels })
                    }
                    FloatLayer::DepthwiseConv2d(window) => {
                        let algorithm = DepthwiseAlgorithm::Direct;
                        Op::DepthwiseConv2d(DepthwiseConv2d { algorithm, window, rounding, clamp, weights, channels })
                    }
                    FloatLayer::Dense => Op::Dense(Dense { rounding, clamp, weights, channels }),
                }
            }
            NodeOp::Piecewise(pieces) => {
                let starts = pieces.starts.len() * size_of::<i16>();
                let (starts, polynomials) = self.curves.split_at_checked(starts).ok_or("the pieces are broken")?;
                Op::Piecewise(Piecewise { starts, polynomials })
            }
            NodeOp::Convert => Op::Convert(Convert),
            NodeOp::Concat => Op::Concat(Concat),
            NodeOp::Softmax { beta } if self.wide => {
                let factor = SoftmaxInt16::factor(operand(0)?.quant, *beta).filter(|factor| factor.is_valid());
                let (exp, reciprocal) = self.curves.split_at(self.curves.len() / 2);
                let broken = |_| "the tables of the softmax are broken".to_owned();
                Op::SoftmaxInt16(SoftmaxInt16 {
                    factor: factor.ok_or_else(|| ratio("beta times the input scale"))?,
                    exp: exp.try_into().map_err(broken)?,
                    reciprocal: reciprocal.try_into().map_err(broken)?,
                })
            }
            NodeOp::Softmax { beta } if output.dtype == DType::F16 => {
                Op::SoftmaxFloat16(SoftmaxFloat16 { beta: *beta })
            }
            NodeOp::Softmax { beta } => {
                let softmax = Softmax::new(operand(0)?.quant, *beta);
                Op::Softmax(softmax.ok_or_else(|| ratio("beta times the input scale"))?)
            }
            NodeOp::Lookup { .. } => {
                Op::Lookup(Lookup { table: self.table.as_deref().ok_or("the lookup table is missing")? })
            }
            NodeOp::Rescale { slope, activation } => {
                let (from, to) = (operand(0)?.quant.scale, output.quant.scale);
                let factors = match slope {
                    None => [f64::from(from) / f64::from(to); 2],
                    Some(slope) => [f64::from(from / to), f64::from(from * slope / to)],
                };
                let [factor, negative_factor] = factors.map(Multiplier::from_real);
                let out_of_range = || ratio("the ratio of the scales");
                Op::Rescale(Rescale {
                    rounding,
                    factor: factor.ok_or_else(out_of_range)?,
                    negative_factor: negative_factor.ok_or_else(out_of_range)?,
                    clamp: clamp(*activation),
                })
            }
            NodeOp::Sigmoid { curve } => {
                let table = self.curves.as_slice().try_into().map_err(|_| "the table is broken".to_owned())?;
                Op::Sigmoid(Sigmoid { curve: *curve, scale: curves::scale(*curve, operand(0)?.quant.scale)?, table })
            }
            NodeOp::Reshape => Op::Reshape(Reshape),
            NodeOp::Pad { before, after, value } => Op::Pad(Pad { before: *before, after: *after, value: *value }),
        })
    }
}

/// Halves as a model file has them.
fn halves(numbers: &[f16]) -> Vec<i8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).map(|byte| byte as i8).collect()
}

/// Arithmetic with a constant quantized with `quant`; `None` when a ratio of scales is out of range.
fn with_constant(
    function: ConstantFunction,
    input: &TensorInfo,
    quant: QuantParams,
    output: &TensorInfo,
    rounding: Rounding,
    clamp: Clamp,
) -> Option<Function> {
    let (input, dtype, output) = (input.quant, output.dtype, output.quant);
    match function {
        ConstantFunction::Mul => Mul::new(input, quant, output, rounding, clamp).map(Function::Mul),
        ConstantFunction::Add => Add::new(input, quant, output, dtype, rounding, clamp).map(Function::Add),
        ConstantFunction::Sub => Sub::new(input, quant, output, dtype, rounding, clamp).map(Function::Sub),
        ConstantFunction::SubFrom => Sub::new(quant, input, output, dtype, rounding, clamp).map(Function::SubFrom),
    }
}

/// The per-channel table of a node with weights; `sum` is the sum of a channel's weights.
fn channels(
    node: &Node,
    input: Option<&TensorInfo>,
    output: &TensorInfo,
    scales: &[f32],
    bias: &[i64],
    sum: impl Fn(usize) -> i32,
) -> Result<Vec<u8>, ExportError> {
    let input = input.ok_or_else(|| ExportError::node(node, "input 0 is missing".to_owned()))?;
    if scales.len() != 1 && scales.len() != bias.len() {
        let text =
            format!("{} weight scales for {} channels: there must be one, or one for each", scales.len(), bias.len());
        return Err(ExportError::node(node, text));
    }
    let mut table = Vec::with_capacity(bias.len() * Channel::BYTES);
    for (c, &bias) in bias.iter().enumerate() {
        let weight = scales[if scales.len() == 1 { 0 } else { c }];
        // TensorFlow Lite multiplies the scales of a fully connected layer in single precision when it has one for
        // all channels; everything else is in double precision.
        let product = if matches!(node.op, NodeOp::Dense { .. }) && scales.len() == 1 {
            f64::from(input.quant.scale * weight)
        } else {
            f64::from(input.quant.scale) * f64::from(weight)
        };
        let factor = Multiplier::from_real(product / f64::from(output.quant.scale)).ok_or_else(|| {
            let (input, output) = (input.quant.scale, output.quant.scale);
            ExportError::node(node, format!("channel {c}: input scale {input} times weight scale {weight} over output scale {output} is out of range"))
        })?;
        if node.rounding == Rounding::Wide {
            let channel = WideChannel::new(bias, factor);
            if !channel.is_valid() {
                let text = format!("channel {c}: the factor 2^{} is out of range", factor.shift);
                return Err(ExportError::node(node, text));
            }
            table.extend(channel.to_bytes());
            continue;
        }
        let bias = i32::try_from(bias).map_err(|_| ExportError::node(node, format!("bias {bias} exceeds 32 bits")))?;
        table.extend(Channel::folded(bias, input.quant.zero_point, sum(c), factor).to_bytes());
    }
    Ok(table)
}
