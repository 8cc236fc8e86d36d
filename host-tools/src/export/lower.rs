//! From the integer network's scales to the runtime's operators: multipliers, folded biases, activation ranges.

use kinglet::kernels::algorithms::{Layer, Map, depthwise};
use kinglet::kernels::float16::ordinal;
use kinglet::ops::{
    Add, AveragePool2d, Concat, Constant, Conv2d, ConvAlgorithm, Convert, Dense, DepthwiseAlgorithm, DepthwiseConv2d,
    Function, Lookup, MaxPool2d, Mean, Mul, Op, Operands, Pad, Piecewise, Rescale, Reshape, Sigmoid, Softmax,
    SoftmaxFloat16, SoftmaxInt16, Sub,
};
use kinglet::quant::quantize;
use kinglet::{
    Activation, Channel, Channels, Clamp, DType, Multiplier, QuantParams, Rounding, WideChannel, Window, f16,
};

use super::{ExportError, curves};
use crate::graph::{self, Channels as _, ConstantFunction, Pieces, StoredConstant, StoredFunction, StoredWeights};
use crate::network::{Network, Node, TensorInfo};
use crate::simulate::to_bytes;

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
    int16: bool,
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
        constants.int16 = output.dtype == DType::I16;
        match &node.op {
            graph::Op::Conv2d { weights, .. } | graph::Op::Dense(weights) => {
                let each = weights.len() / weights.channels().max(1);
                constants.of_weights(node, input, output, weights, &|channel| (channel * each, 1, each))?;
            }
            graph::Op::DepthwiseConv2d { weights, .. } => {
                let channels = weights.channels().max(1);
                let each = weights.len() / channels;
                constants.of_weights(node, input, output, weights, &|channel| (channel, channels, each))?;
                constants.pack_depthwise(node, input, output);
            }
            graph::Op::Add => {
                let quant = |i: usize| node.inputs.get(i).map(|&id| network.tensors[id].quant);
                if let (Some(a), Some(b)) = (quant(0), quant(1)) {
                    let clamp = Clamp::activation(node.activation, output.quant, output.dtype);
                    let add = Add::new(a, b, output.quant, output.dtype, node.rounding, clamp);
                    let add = add.filter(|_| output.dtype == DType::I8);
                    constants.linear = add.and_then(|add| add.linearized(a, b, output.quant).linear);
                }
            }
            graph::Op::Constant { data, .. } => constants.weights = signed(to_bytes(&data.data, output.dtype)),
            graph::Op::Function(StoredFunction::Curve(_)) => constants.curves = curves::logistic().to_vec(),
            graph::Op::Softmax { .. } if constants.int16 => constants.curves = curves::softmax(node.rounding),
            graph::Op::Function(StoredFunction::Pieces(Pieces { starts, polynomials })) => {
                constants.curves = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
                constants.curves.extend(polynomials.iter().flatten().flat_map(|c| c.to_le_bytes()));
            }
            graph::Op::Function(StoredFunction::Table(table)) => {
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

    /// Takes over weights and biases; `place` tells where a channel's weights begin, how far apart they are, and how many.
    fn of_weights(
        &mut self,
        node: &Node,
        input: Option<&TensorInfo>,
        output: &TensorInfo,
        weights: &StoredWeights,
        place: &dyn Fn(usize) -> (usize, usize, usize),
    ) -> Result<(), ExportError> {
        match weights {
            StoredWeights::Int8 { weights, scales, bias } => {
                let sum = |channel: usize| {
                    let (first, step, count) = place(channel);
                    weights.iter().skip(first).step_by(step).take(count).map(|&w| i32::from(w)).sum()
                };
                self.weights.clone_from(weights);
                self.channels = channels(node, input, output, scales, bias, sum)?;
            }
            StoredWeights::F16 { weights, bias } => {
                self.weights = signed(weights.iter().flat_map(|x| x.to_le_bytes()).collect());
                self.channels = bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
                self.channels.resize(self.channels.len().next_multiple_of(Channel::BYTES), 0);
            }
        }
        Ok(())
    }

    /// Packs a depthwise convolution of as many channels as it reads, where that is exact.
    fn pack_depthwise(&mut self, node: &Node, input: Option<&TensorInfo>, output: &TensorInfo) {
        let (graph::Op::DepthwiseConv2d { window, weights: StoredWeights::Int8 { .. } }, Some(input)) =
            (&node.op, input)
        else {
            return;
        };
        let clamp = Clamp::activation(node.activation, output.quant, output.dtype);
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
            && !self.int16
            && depthwise::supports(&layer)
            && let Some(words) = depthwise::pack(&layer, &self.weights, &channels)
        {
            self.depthwise = DepthwiseAlgorithm::Packed;
            self.weights = words.into_iter().flat_map(u32::to_le_bytes).map(|byte| byte as i8).collect();
        }
    }

    /// How a convolution is computed.
    pub(super) const fn algorithm(&self) -> ConvAlgorithm {
        self.algorithm
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
        let int8 = matches!(node.op, graph::Op::Conv2d { weights: StoredWeights::Int8 { .. }, .. }) && !self.int16;
        (int8 && node.rounding == Rounding::Double)
            .then(|| (self.weights.as_slice(), Channels::new(&self.channels).iter().flat_map(Channels::iter).collect()))
    }

    /// The same convolution by another algorithm; `None` when that cannot compute it exactly.
    pub(super) fn packed(&self, algorithm: ConvAlgorithm, layer: &Layer, node: &Node) -> Option<Self> {
        let (weights, channels) = self.convolution(node)?;
        let packed = algorithm.pack(layer, weights, &channels)?;
        Some(Self { algorithm, weights: packed.into_iter().map(|byte| byte as i8).collect(), ..self.clone() })
    }

    /// Has the runtime's operator for `node` judge its operands. A concatenation becomes views and copies, which all say the same.
    ///
    /// # Errors
    /// Names the node, what it breaks and its operands.
    pub(super) fn check(&self, network: &Network, node: &Node) -> Result<(), ExportError> {
        let op = self.op(network, node)?;
        let output = &network.tensors[node.output];
        let inputs = || node.inputs.iter().map(|&id| &network.tensors[id]);
        let faults = match op {
            Op::Concat(_) => inputs().find_map(|input| {
                let part = TensorInfo { shape: input.shape, ..output.clone() };
                op.check(&Operands { a: input.dense(), b: None, output: part.dense() }).err()
            }),
            _ => {
                let [a, b] = [0, 1].map(|which| inputs().nth(which).map(TensorInfo::dense));
                let a = a.ok_or_else(|| ExportError::node(node, "it has no input".to_owned()))?;
                op.check(&Operands { a, b, output: output.dense() }).err()
            }
        };
        let Some(fault) = faults else { return Ok(()) };
        let tensors: Vec<String> = inputs().chain([output]).map(ToString::to_string).collect();
        Err(ExportError::node(node, format!("{fault}; its inputs and its output: {}", tensors.join(", "))))
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
        let clamp = Clamp::activation(node.activation, output.quant, output.dtype);
        let channels = || Channels::new(&self.channels).ok_or("the channel table is broken".to_owned());
        let weights = self.weights.as_slice();
        let ratio = |what: &str| {
            let scales: Vec<_> = node.inputs.iter().map(|&id| network.tensors[id].quant.scale).collect();
            format!("{what} is out of range: input scales {scales:?}, output scale {}", output.quant.scale)
        };
        let rescale = |[plain, negative]: [f64; 2], clamp: Clamp| {
            let out_of_range = || ratio("the ratio of the scales");
            let factor = Multiplier::from_real(plain).ok_or_else(out_of_range)?;
            let negative_factor = Multiplier::from_real(negative).ok_or_else(out_of_range)?;
            Ok::<_, Reason>(Op::Rescale(Rescale { rounding, factor, negative_factor, clamp }))
        };
        Ok(match &node.op {
            graph::Op::Input => return Err("an input computes nothing".to_owned()),
            graph::Op::BatchNorm(never) => match *never {},
            graph::Op::Conv2d { window, .. } => Op::Conv2d(Conv2d {
                algorithm: self.algorithm,
                window: *window,
                rounding,
                clamp,
                weights,
                channels: channels()?,
            }),
            graph::Op::DepthwiseConv2d { window, .. } => Op::DepthwiseConv2d(DepthwiseConv2d {
                algorithm: self.depthwise,
                window: *window,
                rounding,
                clamp,
                weights,
                channels: channels()?,
            }),
            graph::Op::Dense(_) => Op::Dense(Dense { rounding, clamp, weights, channels: channels()? }),
            graph::Op::MaxPool(window) => Op::MaxPool2d(MaxPool2d { window: *window, clamp }),
            graph::Op::AveragePool(window) => Op::AveragePool2d(AveragePool2d { window: *window, clamp }),
            graph::Op::Mean => {
                let input = operand(0)?;
                let pixels = input.shape.h.saturating_mul(input.shape.w);
                let mean = Mean::new(input.quant, output.quant, pixels, rounding);
                Op::Mean(mean.ok_or_else(|| ratio("the ratio of the mean's scales"))?)
            }
            graph::Op::Add => {
                let (a, b) = (operand(0)?.quant, operand(1)?.quant);
                let add = Add::new(a, b, output.quant, output.dtype, rounding, clamp);
                let add = add.ok_or_else(|| ratio("a ratio of the sum's scales"))?;
                Op::Add(Add { linear: self.linear, ..add })
            }
            graph::Op::Sub => {
                let (a, b) = (operand(0)?.quant, operand(1)?.quant);
                let sub = Sub::new(a, b, output.quant, output.dtype, rounding, clamp);
                Op::Sub(sub.ok_or_else(|| ratio("a ratio of the difference's scales"))?)
            }
            graph::Op::Mul => {
                let (a, b) = (operand(0)?.quant, operand(1)?.quant);
                let mul = Mul::new(a, b, output.quant, rounding, clamp);
                Op::Mul(mul.ok_or_else(|| ratio("the ratio of the product's scales"))?)
            }
            graph::Op::Constant { function, data: StoredConstant { quant, .. } } => {
                let function = with_constant(*function, operand(0)?, *quant, output, rounding, clamp);
                let function = function.ok_or_else(|| ratio("a ratio with the constant's scale"))?;
                Op::Constant(Constant { function, zero_point: quant.zero_point, data: weights })
            }
            graph::Op::Concat => Op::Concat(Concat),
            graph::Op::Softmax { beta } => match output.dtype {
                DType::I16 => {
                    let factor = SoftmaxInt16::factor(operand(0)?.quant, *beta).filter(|factor| factor.is_valid());
                    let (exp, reciprocal) = self.curves.split_at(self.curves.len() / 2);
                    let broken = |_| "the tables of the softmax are broken".to_owned();
                    Op::SoftmaxInt16(SoftmaxInt16 {
                        factor: factor.ok_or_else(|| ratio("beta times the input scale"))?,
                        exp: exp.try_into().map_err(broken)?,
                        reciprocal: reciprocal.try_into().map_err(broken)?,
                    })
                }
                DType::F16 => Op::SoftmaxFloat16(SoftmaxFloat16 { beta: *beta }),
                _ => {
                    let softmax = Softmax::new(operand(0)?.quant, *beta);
                    Op::Softmax(softmax.ok_or_else(|| ratio("beta times the input scale"))?)
                }
            },
            graph::Op::Activate(activation) => {
                let input = operand(0)?;
                let clamp = Clamp::activation(*activation, output.quant, output.dtype);
                match [input.dtype, output.dtype].map(|dtype| dtype == DType::F16) {
                    // A pool over one pixel does nothing but clamp.
                    [true, true] => Op::MaxPool2d(MaxPool2d { window: Window::global([1, 1]), clamp }),
                    [false, false] => {
                        rescale([f64::from(input.quant.scale) / f64::from(output.quant.scale); 2], clamp)?
                    }
                    _ if *activation == Activation::None => Op::Convert(Convert),
                    _ => return Err("a conversion from or to float16 has no activation".to_owned()),
                }
            }
            graph::Op::Function(StoredFunction::Slope(slope)) => {
                let (from, to) = (operand(0)?.quant.scale, output.quant.scale);
                rescale([f64::from(from / to), f64::from(from * slope / to)], clamp)?
            }
            graph::Op::Function(StoredFunction::Table(_)) => {
                Op::Lookup(Lookup { table: self.table.as_deref().ok_or("the lookup table is missing")? })
            }
            graph::Op::Function(StoredFunction::Curve(curve)) => {
                let table = self.curves.as_slice().try_into().map_err(|_| "the table is broken".to_owned())?;
                Op::Sigmoid(Sigmoid { curve: *curve, scale: curves::scale(*curve, operand(0)?.quant.scale)?, table })
            }
            graph::Op::Function(StoredFunction::Pieces(pieces)) => {
                let starts = pieces.starts.len() * size_of::<i16>();
                let (starts, polynomials) = self.curves.split_at_checked(starts).ok_or("the pieces are broken")?;
                Op::Piecewise(Piecewise { starts, polynomials })
            }
            graph::Op::Reshape(_) => Op::Reshape(Reshape),
            graph::Op::Pad { before, after, value } => {
                Op::Pad(Pad { before: *before, after: *after, value: element_of(*value, output) })
            }
        })
    }
}

/// The bytes that a model file has.
fn signed(bytes: Vec<u8>) -> Vec<i8> {
    bytes.into_iter().map(|byte| byte as i8).collect()
}

/// The element of a tensor that stands for a real number; in half precision the ordinal.
fn element_of(real: f32, tensor: &TensorInfo) -> i16 {
    let element = match tensor.dtype {
        DType::F16 => ordinal(f16::from_f32(real)),
        _ => quantize(real, tensor.quant),
    };
    Clamp::full(tensor.dtype).apply(element) as i16
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
        let product = if matches!(node.op, graph::Op::Dense(_)) && scales.len() == 1 {
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
