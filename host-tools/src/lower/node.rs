//! One node as the runtime's operator, with what that keeps in flash.

use kinglet::format::RoundingSource;
use kinglet::kernels::algorithms::narrow::pack_depthwise;
use kinglet::kernels::algorithms::{Core, Layer, Map, depthwise, depthwise_rows};
use kinglet::kernels::blocks::dense;
use kinglet::ops::{
    self, Add, AveragePool2d, Concat, Constant, Conv2d, ConvAlgorithm, Convert, Dense, DepthwiseAlgorithm,
    DepthwiseConv2d, Encoding, L2Norm, Lookup, MaxPool2d, Mean, Mul, Operands, Piecewise, Prelu, Rescale, Reshape,
    Sigmoid, Softmax, SoftmaxFloat16, SoftmaxInt16, Sub, Weights,
};
use kinglet::{
    Activation, Channel, Channels, Clamp, DType, Multiplier, QuantParams, Rounding, Shape, Tensor, WideChannel, Window,
};

use super::curves;
use crate::elements;
use crate::graph::{Channels as _, ConstantFunction, Op, Pieces, StoredConstant, StoredFunction, StoredWeights};
use crate::network::{Network, Node, TensorInfo};
use crate::quantize::lookup;

/// An operator of the runtime, and its weights and tables.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The operator without them.
    op: ops::Op<'static>,
    /// In the order in which a model file has them, and in the runtime's layout.
    flash: [Vec<u8>; 2],
}

/// Why a node cannot be lowered.
type Reason = String;

/// In place of weights.
const NO_WEIGHTS: Weights<'static> = Weights::plain(&[]);
/// In place of a channel table.
const NO_CHANNELS: Channels<'static> = Channels::new(&[0; Channel::BYTES]).expect("one entry");

impl Lowered {
    pub(super) fn new(network: &Network, node: &Node, core: Core) -> Result<Self, Reason> {
        let Some(&first) = node.inputs.first() else { return Err("it has no input".to_owned()) };
        let inputs = node.inputs.iter().map(|&id| &network.tensors[id]).collect();
        let (input, output) = (&network.tensors[first], &network.tensors[node.output]);
        let double = network.rounding == RoundingSource::Tflm;
        let dense_in_single = !double && network.rounding != RoundingSource::Reference;
        let lowered = Lowering { node, input, inputs, output, core, double, dense_in_single };
        let Lowering { inputs, output, .. } = &lowered;
        let found = lowered.lower()?;
        found.check(inputs, output).map_err(|fault| {
            let tensors: Vec<String> = inputs.iter().chain([output]).map(ToString::to_string).collect();
            format!("{fault}: its inputs and its output are {}", tensors.join(", "))
        })?;
        Ok(found)
    }

    /// The operator.
    pub fn op(&self) -> ops::Op<'_> {
        let [first, second] = &self.flash;
        let weights: &[i8] = bytemuck::cast_slice(first);
        let stored = |op: Weights<'static>| Weights { bytes: weights, ..op };
        let channels = || Channels::new(second).expect("lowering makes whole channels");
        match self.op {
            ops::Op::Conv2d(op) => ops::Op::Conv2d(Conv2d { weights: stored(op.weights), channels: channels(), ..op }),
            ops::Op::DepthwiseConv2d(op) => {
                let weights = stored(op.weights);
                ops::Op::DepthwiseConv2d(DepthwiseConv2d { weights, channels: channels(), ..op })
            }
            ops::Op::Dense(op) => ops::Op::Dense(Dense { weights: stored(op.weights), channels: channels(), ..op }),
            ops::Op::Constant(op) => ops::Op::Constant(Constant { data: weights, ..op }),
            ops::Op::Prelu(op) => ops::Op::Prelu(Prelu { slopes: weights, ..op }),
            ops::Op::Lookup(_) => ops::Op::Lookup(Lookup { table: whole(weights) }),
            ops::Op::Sigmoid(op) => ops::Op::Sigmoid(Sigmoid { table: whole(first), ..op }),
            ops::Op::SoftmaxInt16(op) => {
                ops::Op::SoftmaxInt16(SoftmaxInt16 { exp: whole(first), reciprocal: whole(second), ..op })
            }
            ops::Op::Piecewise(_) => ops::Op::Piecewise(Piecewise { starts: first, polynomials: second }),
            ops::Op::Rearrange(op) => ops::Op::Rearrange(ops::Rearrange { digits: first, ..op }),
            // What keeps nothing in flash; the check of an operator that does would not let empty tables pass.
            op => op,
        }
    }

    /// How a convolution is computed, and how its weights are stored.
    pub fn algorithm(&self) -> Option<(ConvAlgorithm, Encoding)> {
        if let ops::Op::Conv2d(conv) = self.op { Some((conv.algorithm, conv.weights.encoding)) } else { None }
    }

    /// Bytes of weights, or of another first table.
    pub fn weights_len(&self) -> usize {
        self.flash[0].len()
    }

    /// Bytes of weights and tables.
    pub fn len(&self) -> usize {
        self.flash.iter().map(Vec::len).sum()
    }

    /// Whether it keeps nothing in flash.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same convolution by another algorithm, with weights stored in another way; `None` when that cannot compute it exactly.
    pub fn packed(&self, algorithm: ConvAlgorithm, encoding: Encoding, layer: &Layer) -> Option<Self> {
        let ops::Op::Conv2d(conv) = self.op() else { return None };
        let (weights, channels) = (conv.weights.bytes, conv.channels.iter().collect::<Vec<_>>());
        let packed = match encoding {
            Encoding::Plain => algorithm.pack(layer, weights, &channels)?,
            narrow => algorithm.pack_narrow(layer, weights, &channels, narrow)?,
        };
        let ops::Op::Conv2d(op) = self.op else { return None };
        let op = Conv2d { algorithm, weights: Weights { encoding, ..NO_WEIGHTS }, ..op };
        Some(Self { op: ops::Op::Conv2d(op), flash: [packed, self.flash[1].clone()] })
    }

    /// Has the runtime's operator judge its operands. A concatenation becomes views and copies of its parts.
    fn check(&self, inputs: &[&TensorInfo], output: &TensorInfo) -> Result<(), kinglet::Fault> {
        let op = self.op();
        let judge = |inputs: &[&TensorInfo], output: Tensor| {
            op.check(&Operands { a: inputs[0].dense(), b: inputs.get(1).map(|b| b.dense()), output })
        };
        match op {
            ops::Op::Concat(_) => {
                inputs.iter().try_for_each(|&input| judge(&[input], Tensor { shape: input.shape, ..output.dense() }))
            }
            _ => judge(inputs, output.dense()),
        }
    }
}

/// The smallest of the encodings of `weights` that takes fewer bytes than `plain`, with what `pack` makes of it.
fn narrowed(
    weights: &StoredWeights,
    plain: usize,
    pack: impl Fn(&[i8], Encoding) -> Option<Vec<u8>>,
) -> Option<(Vec<u8>, Encoding)> {
    let StoredWeights::Int8 { weights, .. } = weights else { return None };
    let packed = Encoding::narrower(weights).filter_map(|encoding| Some((pack(weights, encoding)?, encoding)));
    packed.filter(|(bytes, _)| bytes.len() < plain).min_by_key(|(bytes, _)| bytes.len())
}

/// Rows of `len` weights in the smallest encoding that takes fewer bytes than one each.
fn narrow_rows(weights: &StoredWeights, len: usize) -> Option<(Vec<u8>, Encoding)> {
    narrowed(weights, weights.len(), |weights, encoding| encoding.pack_rows(weights, len))
}

/// How weights are stored: as their type is, else as was chosen.
fn stored(weights: &StoredWeights, chosen: Encoding) -> Encoding {
    if matches!(weights, StoredWeights::Uint8 { .. }) { Encoding::Halfwords } else { chosen }
}

/// All of a table of a fixed size.
fn whole<T, const N: usize>(table: &[T]) -> &[T; N] {
    table.try_into().expect("lowering makes whole tables")
}

/// A node that is being lowered.
struct Lowering<'n> {
    node: &'n Node,
    input: &'n TensorInfo,
    inputs: Vec<&'n TensorInfo>,
    output: &'n TensorInfo,
    core: Core,
    /// Whether all multipliers come from products in double precision.
    double: bool,
    /// Whether that of a dense layer with one scale for all weights comes from one in single precision.
    dense_in_single: bool,
}

impl Lowering<'_> {
    fn lower(&self) -> Result<Lowered, Reason> {
        let Self { node, input, output, .. } = self;
        let (rounding, clamp) = (node.rounding, self.clamp(node.activation));
        let plain = |op: ops::Op<'static>| Ok(Lowered { op, flash: Default::default() });
        match &node.op {
            Op::Input => Err("an input computes nothing".to_owned()),
            Op::BatchNorm(never) => match *never {},
            Op::Conv2d { window, weights } => {
                let each = weights.len() / weights.channels().max(1);
                let (mut flash, channels) = self.weights(weights, |channel| (channel * each, 1, each))?;
                let mut encoding = Encoding::Plain;
                // Those of the other convolutions are packed with their algorithm.
                if !self.has_algorithms()
                    && let Some(narrow) = narrow_rows(weights, each)
                {
                    (flash, encoding) = narrow;
                }
                let (algorithm, window) = (ConvAlgorithm::Direct, *window);
                let weights = Weights { encoding: stored(weights, encoding), ..NO_WEIGHTS };
                let op = Conv2d { algorithm, window, rounding, clamp, weights, channels: NO_CHANNELS };
                Ok(Lowered { op: ops::Op::Conv2d(op), flash: [flash, channels] })
            }
            Op::DepthwiseConv2d { window, weights } => {
                let (count, each) = (weights.channels(), weights.len() / weights.channels().max(1));
                let (mut packed, channels) = self.weights(weights, |channel| (channel, count, each))?;
                let (mut algorithm, mut encoding) = (DepthwiseAlgorithm::Direct, Encoding::Plain);
                if let Some((chosen, found)) = self.pack_depthwise(*window, weights, &channels) {
                    (algorithm, (packed, encoding)) = (chosen, found);
                } else if let Some(narrow) = narrow_rows(weights, count) {
                    (packed, encoding) = narrow;
                }
                let weights = Weights { encoding: stored(weights, encoding), ..NO_WEIGHTS };
                let (window, channels_of) = (*window, NO_CHANNELS);
                let op = DepthwiseConv2d { algorithm, window, rounding, clamp, weights, channels: channels_of };
                Ok(Lowered { op: ops::Op::DepthwiseConv2d(op), flash: [packed, channels] })
            }
            Op::Dense(weights) => {
                let each = weights.len() / weights.channels().max(1);
                let (mut flash, channels) = self.weights(weights, |channel| (channel * each, 1, each))?;
                let mut encoding = Encoding::Plain;
                if let Some(narrow) = narrow_rows(weights, each) {
                    (flash, encoding) = narrow;
                } else if let StoredWeights::Int8 { weights, .. } = weights
                    // Only the loops of the DSP extension gain by it.
                    && self.core == Core::M4
                    && self.has_algorithms()
                    && let Some(paired) = dense::pack(weights, each)
                {
                    (flash, encoding) = (paired, Encoding::Paired);
                }
                let weights = Weights { encoding: stored(weights, encoding), ..NO_WEIGHTS };
                let op = Dense { rounding, clamp, weights, channels: NO_CHANNELS };
                Ok(Lowered { op: ops::Op::Dense(op), flash: [flash, channels] })
            }
            Op::MaxPool(window) => plain(ops::Op::MaxPool2d(MaxPool2d { window: *window, clamp })),
            Op::AveragePool(window) => plain(ops::Op::AveragePool2d(AveragePool2d { window: *window, clamp })),
            Op::Mean => {
                let pixels = input.shape.h.saturating_mul(input.shape.w);
                let mean = Mean::new(input.quant, output.quant, pixels, rounding);
                plain(ops::Op::Mean(mean.ok_or_else(|| self.ratio("the ratio of the mean's scales"))?))
            }
            Op::Add => {
                let (a, b) = (input.quant, self.second()?.quant);
                let add = Add::new(a, b, output.quant, output.dtype, rounding, clamp);
                let add = add.ok_or_else(|| self.ratio("a ratio of the sum's scales"))?;
                let int8 = output.dtype == DType::I8;
                plain(ops::Op::Add(if int8 { add.linearized(a, b, output.quant) } else { add }))
            }
            Op::Sub => {
                let sub = self.difference(input.quant, self.second()?.quant, clamp);
                plain(ops::Op::Sub(sub.ok_or_else(|| self.ratio("a ratio of the difference's scales"))?))
            }
            Op::Mul => {
                let mul = Mul::new(input.quant, self.second()?.quant, output.quant, rounding, clamp);
                plain(ops::Op::Mul(mul.ok_or_else(|| self.ratio("the ratio of the product's scales"))?))
            }
            Op::Constant { function: ConstantFunction::Prelu, data: StoredConstant { data, quant } } => {
                let prelu = Prelu::new(input.quant, *quant, output.quant, rounding, clamp);
                let op = prelu.ok_or_else(|| self.ratio("a ratio with the slopes' scale"))?;
                let slopes = elements::to_bytes(channels_of(data, input.shape), output.dtype);
                Ok(Lowered { op: ops::Op::Prelu(op), flash: [slopes, Vec::new()] })
            }
            Op::Constant { function, data: StoredConstant { data, quant } } => {
                let function = self.with_constant(*function, *quant, clamp);
                let function = function.ok_or_else(|| self.ratio("a ratio with the constant's scale"))?;
                let op = Constant { function, zero_point: quant.zero_point, data: &[] };
                Ok(Lowered { op: ops::Op::Constant(op), flash: [elements::to_bytes(data, output.dtype), Vec::new()] })
            }
            Op::Concat => plain(ops::Op::Concat(Concat)),
            Op::Softmax { beta } => self.softmax(*beta),
            Op::L2Norm => plain(ops::Op::L2Norm(L2Norm { rounding })),
            Op::Activate(activation) => {
                let clamp = self.clamp(*activation);
                match [input.dtype, output.dtype].map(|dtype| dtype == DType::F16) {
                    // A pool over one pixel does nothing but clamp.
                    [true, true] => plain(ops::Op::MaxPool2d(MaxPool2d { window: Window::global([1, 1]), clamp })),
                    [false, false] => {
                        self.rescale([f64::from(input.quant.scale) / f64::from(output.quant.scale); 2], clamp)
                    }
                    _ if *activation == Activation::None => plain(ops::Op::Convert(Convert)),
                    _ => Err("a conversion from or to float16 has no activation".to_owned()),
                }
            }
            Op::Function(function) => self.function(function),
            Op::Reshape(_) => plain(ops::Op::Reshape(Reshape)),
            Op::ResizeBilinear(resize) => plain(ops::Op::ResizeBilinear(*resize)),
            Op::Rearrange(rearrange) => {
                let element = |number| elements::of(number, output.quant, output.dtype);
                let (op, flash) = rearrange.lowered(input.shape, element);
                Ok(Lowered { op, flash: [flash, Vec::new()] })
            }
        }
    }

    /// Whether a convolution may be computed by other algorithms than the direct one: their weights are for int8, and hold constants
    /// for double rounding.
    fn has_algorithms(&self) -> bool {
        self.output.dtype == DType::I8 && self.node.rounding == Rounding::Double
    }

    fn second(&self) -> Result<&TensorInfo, Reason> {
        self.inputs.get(1).copied().ok_or_else(|| "its second input is missing".to_owned())
    }

    fn clamp(&self, activation: Activation) -> Clamp {
        Clamp::activation(activation, self.output.quant, self.output.dtype)
    }

    /// What to say of a ratio of scales that no multiplier expresses.
    fn ratio(&self, what: &str) -> Reason {
        let scales: Vec<f32> = self.inputs.iter().map(|input| input.quant.scale).collect();
        format!("{what} is out of range: input scales {scales:?}, output scale {}", self.output.quant.scale)
    }

    fn function(&self, function: &StoredFunction) -> Result<Lowered, Reason> {
        let (from, to) = (self.input.quant.scale, self.output.quant.scale);
        Ok(match function {
            StoredFunction::Table(table) => {
                // Here in the order of the inputs from -128 on, there in that of their bytes.
                let entry = |byte: usize| table.get(byte ^ 0x80).map(|&entry| entry as u8);
                let entries: Option<Vec<u8>> = (0..256).map(entry).collect();
                let entries = entries.filter(|_| table.len() == 256);
                let entries = entries.ok_or_else(|| format!("a table of {} entries, expected 256", table.len()))?;
                Lowered { op: ops::Op::Lookup(Lookup { table: &[0; 256] }), flash: [entries, Vec::new()] }
            }
            StoredFunction::Curve(curve) => {
                let op = Sigmoid { curve: *curve, scale: curves::scale(*curve, from)?, table: &[0; 512] };
                Lowered { op: ops::Op::Sigmoid(op), flash: [curves::logistic().to_vec(), Vec::new()] }
            }
            StoredFunction::Slope(slope) => {
                self.rescale(lookup::slopes(from, to, *slope, self.double), self.clamp(Activation::None))?
            }
            StoredFunction::Pieces(Pieces { starts, polynomials }) => {
                let starts = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
                let polynomials = polynomials.iter().flatten().flat_map(|c| c.to_le_bytes()).collect();
                let op = ops::Op::Piecewise(Piecewise { starts: &[], polynomials: &[] });
                Lowered { op, flash: [starts, polynomials] }
            }
        })
    }

    fn softmax(&self, beta: f32) -> Result<Lowered, Reason> {
        let range = || self.ratio("beta times the input scale");
        let (quant, mut flash) = (self.input.quant, [Vec::new(), Vec::new()]);
        let op = match self.output.dtype {
            DType::I16 => {
                let factor = SoftmaxInt16::factor(quant, beta).filter(|factor| factor.is_valid());
                flash = curves::softmax(self.node.rounding);
                let table = &[0; curves::SOFTMAX];
                ops::Op::SoftmaxInt16(SoftmaxInt16 { factor: factor.ok_or_else(range)?, exp: table, reciprocal: table })
            }
            DType::F16 => ops::Op::SoftmaxFloat16(SoftmaxFloat16 { beta }),
            _ => ops::Op::Softmax(Softmax::new(quant, beta).ok_or_else(range)?),
        };
        Ok(Lowered { op, flash })
    }

    fn rescale(&self, [plain, negative]: [f64; 2], clamp: Clamp) -> Result<Lowered, Reason> {
        let factor = |real| Multiplier::from_real(real).ok_or_else(|| self.ratio("the ratio of the scales"));
        let (factor, negative_factor) = (factor(plain)?, factor(negative)?);
        let op = Rescale { rounding: self.node.rounding, factor, negative_factor, clamp };
        Ok(Lowered { op: ops::Op::Rescale(op), flash: Default::default() })
    }

    fn difference(&self, a: QuantParams, b: QuantParams, clamp: Clamp) -> Option<Sub> {
        let new = if self.double { Sub::new } else { Sub::in_single };
        new(a, b, self.output.quant, self.output.dtype, self.node.rounding, clamp)
    }

    /// Arithmetic with a constant quantized with `quant`; `None` when a ratio of scales is out of range.
    fn with_constant(&self, function: ConstantFunction, quant: QuantParams, clamp: Clamp) -> Option<ops::Function> {
        let (rounding, dtype) = (self.node.rounding, self.output.dtype);
        let (input, output) = (self.input.quant, self.output.quant);
        match function {
            ConstantFunction::Mul => Mul::new(input, quant, output, rounding, clamp).map(ops::Function::Mul),
            ConstantFunction::Add => Add::new(input, quant, output, dtype, rounding, clamp).map(ops::Function::Add),
            ConstantFunction::Sub => self.difference(input, quant, clamp).map(ops::Function::Sub),
            ConstantFunction::SubFrom => self.difference(quant, input, clamp).map(ops::Function::SubFrom),
            // An operator of its own.
            ConstantFunction::Prelu => None,
        }
    }

    /// Weights and the per-channel table, as in a file. `place` tells where a channel's weights begin, how far apart they
    /// are, and how many.
    fn weights(
        &self,
        weights: &StoredWeights,
        place: impl Fn(usize) -> (usize, usize, usize),
    ) -> Result<(Vec<u8>, Vec<u8>), Reason> {
        match weights {
            StoredWeights::Int8 { weights, scales, bias } => {
                let sum = |channel: usize| {
                    let (first, step, count) = place(channel);
                    weights.iter().skip(first).step_by(step).take(count).map(|&w| i32::from(w)).sum()
                };
                Ok((bytemuck::cast_slice(weights).to_vec(), self.channels(scales, bias, false, sum)?))
            }
            StoredWeights::Uint8 { weights, scale, bias } => {
                let sum = |channel: usize| {
                    let (first, step, count) = place(channel);
                    weights.iter().skip(first).step_by(step).take(count).map(|&w| i32::from(w)).sum()
                };
                let channels = self.channels(&[*scale], bias, true, sum)?;
                Ok((weights.iter().flat_map(|w| w.to_le_bytes()).collect(), channels))
            }
            StoredWeights::F16 { weights, bias } => {
                if !(weights.iter().all(|w| w.is_finite()) && bias.iter().all(|b| b.is_finite())) {
                    return Err("weights or biases that are not finite".to_owned());
                }
                let mut channels: Vec<u8> = bias.iter().flat_map(|bias| bias.to_le_bytes()).collect();
                channels.resize(channels.len().next_multiple_of(Channel::BYTES), 0);
                Ok((weights.iter().flat_map(|w| w.to_le_bytes()).collect(), channels))
            }
        }
    }

    /// The per-channel table; `sum` is the sum of a channel's weights, of a uint8 model's if they are `unsigned`.
    fn channels(
        &self,
        scales: &[f32],
        bias: &[i64],
        unsigned: bool,
        sum: impl Fn(usize) -> i32,
    ) -> Result<Vec<u8>, Reason> {
        let (input, output) = (self.input.quant, self.output.quant);
        if scales.len() != 1 && scales.len() != bias.len() {
            let (found, channels) = (scales.len(), bias.len());
            return Err(format!("{found} weight scales for {channels} channels: there must be one, or one for each"));
        }
        let mut table = Vec::with_capacity(bias.len() * Channel::BYTES);
        for (c, &bias) in bias.iter().enumerate() {
            let weight = scales[c % scales.len()];
            // The scales of a convolution of uint8 are multiplied in single precision, as were those of a fully connected layer
            // with one for all channels in TensorFlow Lite Micro before October 2026. Everything else is in double precision.
            let single = match self.node.op {
                Op::Dense(_) => scales.len() == 1 && self.dense_in_single,
                _ => unsigned,
            };
            let product =
                if single { f64::from(input.scale * weight) } else { f64::from(input.scale) * f64::from(weight) };
            let factor = Multiplier::from_real(product / f64::from(output.scale)).ok_or_else(|| {
                let ratio = format!(
                    "input scale {} times weight scale {weight} over output scale {}",
                    input.scale, output.scale
                );
                format!("channel {c}: {ratio} is out of range")
            })?;
            if self.node.rounding == Rounding::Wide {
                let channel = WideChannel::new(bias, factor);
                if !channel.is_valid() {
                    return Err(format!("channel {c}: the factor 2^{} is out of range", factor.shift));
                }
                table.extend(channel.to_bytes());
                continue;
            }
            let bias = i32::try_from(bias).map_err(|_| format!("bias {bias} exceeds 32 bits"))?;
            table.extend(Channel::folded(bias, input.zero_point, sum(c), factor).to_bytes());
        }
        Ok(table)
    }

    /// The packed weights of an int8 depthwise convolution of as many channels as it reads, where that is exact.
    fn pack_depthwise(
        &self,
        window: Window,
        stored: &StoredWeights,
        channels: &[u8],
    ) -> Option<(DepthwiseAlgorithm, (Vec<u8>, Encoding))> {
        let StoredWeights::Int8 { weights, .. } = stored else { return None };
        let Self { node, input, output, .. } = self;
        let map = |info: &TensorInfo| Map::dense(info.shape.h as usize, info.shape.w as usize, info.shape.c as usize);
        let clamp = self.clamp(node.activation);
        let layer = Layer {
            input: map(input),
            output: map(output),
            window,
            zero_in: input.quant.zero_point as i8,
            zero_out: output.quant.zero_point as i8,
            low: clamp.min as i8,
            high: clamp.max as i8,
        };
        if node.rounding != Rounding::Double || output.dtype != DType::I8 || !depthwise::supports(&layer) {
            return None;
        }
        let channels = Channels::new(channels)?.iter().collect::<Vec<_>>();
        let plain = 4 * depthwise::packed_words(&layer);
        let pack = |weights: &[i8], encoding| pack_depthwise(&layer, weights, &channels, encoding);
        if let Some(narrow) = narrowed(stored, plain, pack) {
            return Some((DepthwiseAlgorithm::Packed, narrow));
        }
        // Short lines are not worth taking apart.
        let long = layer.output.w.max(layer.output.h) >= 6;
        let (algorithm, words) = if self.core == Core::M4 && long && depthwise_rows::supports(&layer) {
            (DepthwiseAlgorithm::Rows, depthwise_rows::pack(&layer, weights, &channels)?)
        } else {
            (DepthwiseAlgorithm::Packed, depthwise::pack(&layer, weights, &channels)?)
        };
        Some((algorithm, (words.into_iter().flat_map(u32::to_le_bytes).collect(), Encoding::Plain)))
    }
}

/// Numbers for each element as those for each channel, where all pixels have the same.
fn channels_of(data: &[i16], shape: Shape) -> &[i16] {
    let (first, _) = data.split_at(data.len().min(shape.c as usize));
    if data.chunks(first.len().max(1)).all(|pixel| pixel == first) { first } else { data }
}
