//! The operators with weights: convolutions and dense layers, and arithmetic with constants.

use kinglet::{Activation, DType, Multiplier, Rounding, Shape, Window};

use super::lower::{FusedPad, Lowering, quant};
use super::names as op;
use super::options::{Blocks, activation, blocks, damaged, dilated, extent, hint, padding};
use super::schema::{Operator, Tensor, Type};
use crate::graph::{ConstantFunction, Op, StoredConstant, StoredWeights};
use crate::import::RoundingMode;
use crate::import::elementwise::broadcast;
use crate::import::problem::{Refusal, refuse};
use crate::network::TensorId;
use crate::quantize::lookup;

/// Weights as they are multiplied: int8, with their scales.
struct Weights {
    data: Vec<i8>,
    scales: Vec<f32>,
}

impl Lowering<'_, '_> {
    /// CONV_2D and DEPTHWISE_CONV_2D.
    ///
    /// What the runtime has no operator for becomes weights of zero, which add exactly nothing: groups and
    /// dilation.
    pub(super) fn conv(&mut self, o: &Operator<'_>, depthwise: bool) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let field = |at, default| options.i32(at, default).map_err(damaged);
        let activation = activation(options.i8(if depthwise { 4 } else { 3 }, 0).map_err(damaged)?)?;
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let stride = [extent(field(2, 0)?, "vertical stride")?, extent(field(1, 0)?, "horizontal stride")?];
        let first = if depthwise { 5 } else { 4 };
        let dilation =
            [extent(field(first + 1, 1)?, "vertical dilation")?, extent(field(first, 1)?, "horizontal dilation")?];

        let fused = o.input(0).and_then(|input| self.pads.get(&input).copied());
        let input = match fused {
            Some(pad) => self.value(pad.input)?,
            None => self.operand(o, 0)?,
        };
        let from = self.info(input).clone();
        let Some(filter) = o.input(1) else { return refuse("its filter is missing", "") };
        let [first_dim, kh, kw, last_dim] = four(&self.model.tensors[filter])?;
        let channels = if depthwise { last_dim } else { first_dim };
        let into = fused.filter(|pad| pad.dilation != [1, 1]);
        let dilation = into.map_or(dilation, |pad| pad.dilation);
        let kernel = [(kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1];
        let mut window = Window::new(kernel, stride, padding, [from.shape.h, from.shape.w]);
        if let Some(pad) = fused {
            (window.before, window.after) = (pad.before, pad.after);
        }
        let output = match into {
            None => self.result(o)?,
            Some(FusedPad { before, after, dilation: size, .. }) => {
                let back = o.output(0).and_then(|output| self.only_reader(output));
                let Some(back) = back.filter(|back| back.code == op::BATCH_TO_SPACE_ND) else {
                    return refuse("blocks that are not put together behind it", hint(op::SPACE_TO_BATCH_ND));
                };
                window = dilated(kernel, Blocks { size, before, after }, blocks(self.model, back)?)?;
                self.result(back)?
            }
        };
        self.demand_shape(output, window.output([from.shape.h, from.shape.w]), channels)?;
        let weights = self.weights(filter, channels, if depthwise { 3 } else { 0 })?;
        let (bias, rounding) = self.bias(o, channels, from.dtype)?;
        self.check_factors(input, output, &weights.scales, rounding)?;
        let Weights { data, scales } = weights;

        let layout = if depthwise {
            if first_dim != 1 || !last_dim.is_multiple_of(from.shape.c) {
                return refuse(
                    format!("a filter of {last_dim} channels for {}", from.shape.c),
                    "the file contradicts itself",
                );
            }
            Layout::Depthwise
        } else {
            let groups = from.shape.c / last_dim.max(1);
            if last_dim * groups != from.shape.c || !channels.is_multiple_of(groups.max(1)) {
                return refuse(
                    format!("a filter of {last_dim} channels for {}", from.shape.c),
                    "the file contradicts itself",
                );
            }
            Layout::Conv { groups, group_inputs: last_dim }
        };
        let taps = Taps { kernel: [kh, kw], dilation, inputs: from.shape.c, outputs: channels };
        self.spend(taps.spread_len(layout)?)?;
        let weights = taps.spread(&data, layout)?;
        let weights = StoredWeights::Int8 { weights, scales, bias };
        let op = if depthwise { Op::DepthwiseConv2d { window, weights } } else { Op::Conv2d { window, weights } };
        self.push_rounded(op, activation, vec![input], output, rounding);
        Ok(())
    }

    /// FULLY_CONNECTED.
    pub(super) fn dense(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(0, 0).map_err(damaged)?)?;
        if options.i8(1, 0).map_err(damaged)? != 0 {
            return refuse("shuffled weights", "convert the model without weight shuffling");
        }
        let input = self.operand(o, 0)?;
        let from = self.info(input).clone();
        let Some(filter) = o.input(1) else { return refuse("its weights are missing", "") };
        let tensor = &self.model.tensors[filter];
        let [outputs, inputs] = tensor.dims[..] else {
            return refuse(format!("weights of shape {:?}", tensor.dims), "");
        };
        let [Ok(outputs), Ok(inputs)] = [u32::try_from(outputs), u32::try_from(inputs)] else {
            return refuse("weights of a negative extent", "");
        };
        let output = self.result(o)?;
        let to = self.info(output).clone();
        let weights = self.weights(filter, outputs, 0)?;
        let (bias, rounding) = self.bias(o, outputs, from.dtype)?;
        self.check_factors(input, output, &weights.scales, rounding)?;
        let Weights { data, scales } = weights;
        let per_channel = scales.len() > 1;
        let weights = StoredWeights::Int8 { weights: data, scales, bias };
        let op = if from.shape.len() == inputs && to.shape.len() == outputs {
            Op::Dense(weights)
        } else if from.shape.c == inputs && to.shape == Shape::new(from.shape.h, from.shape.w, outputs) && per_channel {
            // A dense layer of every pixel is a pointwise convolution, rounded as the dense layer is.
            Op::Conv2d { window: Window::global([1, 1]), weights }
        } else {
            return refuse(
                format!(
                    "{inputs} weights per output for an input of {} x {} x {}",
                    from.shape.h, from.shape.w, from.shape.c
                ),
                "only a dense layer over the whole of its input is supported",
            );
        };
        self.push_rounded(op, activation, vec![input], output, rounding);
        Ok(())
    }

    /// Checks and copies a filter.
    fn weights(&mut self, filter: usize, channels: u32, axis: i32) -> Result<Weights, Refusal> {
        let data = self.constant(filter, "filter")?;
        let tensor = &self.model.tensors[filter];
        if tensor.dtype != Type::Int8 {
            return refuse(
                format!("weights of type {}", tensor.dtype.name()),
                "convert the model with full integer quantization (int8)",
            );
        }
        if data.len() != tensor.len() {
            return refuse("its filter is shorter or longer than its shape", "the file contradicts itself");
        }
        if !tensor.is_symmetric() {
            return refuse(
                "weights with a zero point other than 0",
                "kinglet needs symmetric weights, as TensorFlow Lite's int8 scheme has",
            );
        }
        let count = tensor.scale_count();
        if count != 1 && (count != channels as usize || tensor.axis != axis) {
            return refuse(
                format!("{count} weight scales along dimension {}", tensor.axis),
                "one scale, or one for each output channel",
            );
        }
        self.spend(count * 4)?;
        let scales = tensor.scales();
        // A pruned channel may have a scale of 0: all its weights are 0 then.
        if let Some(bad) = scales.iter().find(|s| !s.is_finite() || **s < 0.0) {
            return refuse(format!("a weight scale of {bad}"), "scales are positive and finite");
        }
        Ok(Weights { data: data.iter().map(|&b| b as i8).collect(), scales })
    }

    /// Demands that every channel's factor be representable.
    fn check_factors(
        &self,
        input: TensorId,
        output: TensorId,
        scales: &[f32],
        rounding: Rounding,
    ) -> Result<(), Refusal> {
        let (from, to) = (self.info(input).quant.scale, self.info(output).quant.scale);
        // Factors of 64-bit sums are below 2^7.
        let most = if rounding == Rounding::Wide { 7 } else { 30 };
        let factor = |s: f32| Multiplier::from_real(f64::from(from) * f64::from(s) / f64::from(to));
        let fits = |&s: &f32| factor(s).is_some_and(|factor| factor.shift <= most);
        if scales.iter().all(fits) { Ok(()) } else { refuse("scales whose ratio is out of range", "") }
    }

    /// The bias, zeros if there is none, and how sums are rounded: those of int16 activations have 64 bits, unless the bias
    /// has 32.
    fn bias(&mut self, o: &Operator<'_>, channels: u32, dtype: DType) -> Result<(Vec<i64>, Rounding), Refusal> {
        let channels = channels as usize;
        // The desktop's fully connected layer rounds the whole product once, also there.
        let whole = self.mode == RoundingMode::Reference && o.code == op::FULLY_CONNECTED;
        let wide = if dtype == DType::I16 && !whole { Rounding::Wide } else { self.rounding() };
        self.spend(channels * 8)?;
        let Some(index) = o.input(2) else {
            return Ok((vec![0; channels], wide));
        };
        let data = self.constant(index, "bias")?;
        let tensor = &self.model.tensors[index];
        match tensor.dtype {
            Type::Int32 if data.len() == channels * 4 => {
                let (words, _) = data.as_chunks();
                Ok((words.iter().map(|&word| i32::from_le_bytes(word).into()).collect(), self.rounding()))
            }
            Type::Int64 if data.len() == channels * 8 && dtype == DType::I16 => {
                let (words, _) = data.as_chunks();
                Ok((words.iter().map(|&word| i64::from_le_bytes(word)).collect(), wide))
            }
            other => refuse(
                format!("a bias of {} bytes of type {}", data.len(), other.name()),
                "one int32 for each output channel, or int64 beside int16 activations",
            ),
        }
    }

    /// ADD, SUB and MUL of activation `input` and constant `constant`.
    pub(super) fn with_constant(
        &mut self,
        o: &Operator<'_>,
        input: usize,
        constant: usize,
        activation: Activation,
    ) -> Result<(), Refusal> {
        let function = match o.code {
            op::MUL => ConstantFunction::Mul,
            op::ADD => ConstantFunction::Add,
            _ if o.input(1) == Some(constant) => ConstantFunction::Sub,
            _ => ConstantFunction::SubFrom,
        };
        let id = self.value(input)?;
        let output = self.result(o)?;
        let (from, to) = (self.info(id).clone(), self.info(output).clone());
        let data = self.constant(constant, "constant")?;
        let tensor = &self.model.tensors[constant];
        let constant_quant = quant(tensor)?;
        let dtype = if tensor.dtype == Type::Int16 { DType::I16 } else { DType::I8 };
        if from.dtype != to.dtype || from.dtype != dtype {
            return refuse("operands of different types", "");
        }
        let mut data = match dtype {
            DType::I8 => data.iter().map(|&b| i16::from(b as i8)).collect::<Vec<_>>(),
            _ => data.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect(),
        };
        let channelwise = tensor.dims.last() == Some(&(from.shape.c as i32)) && data.len() == from.shape.c as usize;
        if data.len() > 1 && !channelwise && data.len() < from.shape.len() as usize {
            // One number for each pixel, or for each column.
            let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
            let Shape { h, w, c } = from.shape;
            self.spend(2 * from.shape.len() as usize)?;
            if let Some(spread) = broadcast(&data, &dims, &[1, h, w, c].map(|extent| extent as usize)) {
                data = spread;
            }
        }
        let whole = data.len() == from.shape.len() as usize;
        if from.shape != to.shape || !(data.len() == 1 || channelwise || whole) {
            return refuse(
                format!("a constant of shape {:?}", tensor.dims),
                "a constant has one element, or a shape that is spread over the activation's",
            );
        }
        if let [value] = data[..]
            && dtype == DType::I16
        {
            self.spend(from.shape.c as usize)?;
            data = vec![value; from.shape.c as usize];
        }
        match data[..] {
            [value] if dtype == DType::I8 => {
                let quants = [from.quant, constant_quant, to.quant];
                let table = lookup::with_constant(function, quants, value as i8, activation, self.rounding());
                self.push_table(table.map_err(|reason| (reason, String::new()))?, id, output);
            }
            _ => {
                let data = StoredConstant { data, quant: constant_quant };
                self.push_fused(Op::Constant { function, data }, activation, vec![id], output);
            }
        }
        Ok(())
    }
}

/// How a filter's channels meet the input's.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// Filters over one channel each.
    Depthwise,
    /// Filters over `group_inputs` channels each.
    Conv { groups: u32, group_inputs: u32 },
}

/// A filter's taps before they are spread over its dilated window.
#[derive(Clone, Copy)]
pub(super) struct Taps {
    pub(super) kernel: [u32; 2],
    pub(super) dilation: [u32; 2],
    pub(super) inputs: u32,
    pub(super) outputs: u32,
}

impl Taps {
    /// Height and width of the window.
    pub(super) fn window(&self) -> [u32; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1) * self.dilation[axis] + 1)
    }

    /// How many weights [`Taps::spread`] makes.
    pub(super) fn spread_len(&self, layout: Layout) -> Result<usize, Refusal> {
        let [height, width] = self.window().map(|extent| extent as usize);
        let inputs = if matches!(layout, Layout::Depthwise) { 1 } else { self.inputs as usize };
        let len = (height * width).checked_mul(inputs).and_then(|n| n.checked_mul(self.outputs as usize));
        match len.filter(|&len| len <= Shape::MAX_LEN as usize) {
            Some(len) => Ok(len),
            None => refuse("weights larger than the format allows", ""),
        }
    }

    /// Weights in the runtime's order (`[output][ky][kx][input]`, or `[ky][kx][channel]`), with zeros where there is no
    /// tap. `data` is in the file's order: `[output][ky][kx][group input]`, or `[ky][kx][output]`.
    pub(super) fn spread<T: Copy + Default>(&self, data: &[T], layout: Layout) -> Result<Vec<T>, Refusal> {
        let Self { kernel: [kh, kw], dilation, .. } = *self;
        let [height, width] = self.window().map(|extent| extent as usize);
        let (inputs, outputs) = (self.inputs as usize, self.outputs as usize);
        let mut spread = vec![T::default(); self.spread_len(layout)?];
        let mut taken = data.iter();
        let outer = if matches!(layout, Layout::Conv { .. }) { outputs } else { 1 };
        for outer in 0..outer {
            for ky in 0..kh as usize {
                for kx in 0..kw as usize {
                    let (y, x) = (ky * dilation[0] as usize, kx * dilation[1] as usize);
                    let inner = match layout {
                        Layout::Conv { group_inputs, .. } => group_inputs as usize,
                        Layout::Depthwise => outputs,
                    };
                    for inner in 0..inner {
                        let Some(&weight) = taken.next() else {
                            return refuse("its filter is shorter than its shape", "the file contradicts itself");
                        };
                        let at = match layout {
                            Layout::Depthwise => (y * width + x) * outputs + inner,
                            Layout::Conv { groups, group_inputs } => {
                                let group = outer / (outputs / groups as usize);
                                ((outer * height + y) * width + x) * inputs + group * group_inputs as usize + inner
                            }
                        };
                        spread[at] = weight;
                    }
                }
            }
        }
        Ok(spread)
    }
}

/// A filter's four extents.
pub(super) fn four(tensor: &Tensor<'_>) -> Result<[u32; 4], Refusal> {
    let extents: Vec<u32> =
        tensor.dims.iter().filter_map(|&d| u32::try_from(d).ok().filter(|d| (1..=1 << 16).contains(d))).collect();
    match extents[..] {
        [a, b, c, d] if tensor.dims.len() == 4 && b <= Window::MAX_EXTENT && c <= Window::MAX_EXTENT => {
            Ok([a, b, c, d])
        }
        _ => refuse(format!("a filter of shape {:?}", tensor.dims), ""),
    }
}
