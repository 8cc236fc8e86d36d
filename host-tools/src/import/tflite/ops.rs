//! The operators without weights, one function each.

use kinglet::ops::{Add, Curve, Mul, Softmax, SoftmaxInt16, Sub};
use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};

use super::lower::{FusedPad, Lowering};
use super::names as op;
use super::schema::{Model, Operator, Type};
use crate::import::problem::{Refusal, refuse};
use crate::import::{RoundingMode, lookup};
use crate::network::{NodeOp, TensorId, TensorInfo};

/// A fused activation by its code.
pub(super) fn activation(code: i8) -> Result<Activation, Refusal> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => refuse("fused TANH", "export the activation as an operator of its own"),
        code => refuse(format!("fused activation {code}"), ""),
    }
}

/// A padding scheme by its code.
pub(super) fn padding(code: i8) -> Result<Padding, Refusal> {
    match code {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        code => refuse(format!("padding scheme {code}"), ""),
    }
}

/// A positive extent.
pub(super) fn extent(value: i32, what: &str) -> Result<u32, Refusal> {
    match u32::try_from(value) {
        Ok(value) if (1..=Window::MAX_EXTENT).contains(&value) => Ok(value),
        _ => refuse(format!("{what} of {value}"), ""),
    }
}

impl Lowering<'_, '_> {
    /// Lowers one operator.
    pub(super) fn node(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if let Some(bad) = o.inputs().find(|&i| self.model.tensors[i].sparse || self.model.tensors[i].variable) {
            return refuse(
                format!("`{}` is sparse or a variable", self.model.tensors[bad].short_name()),
                "export a stateless model with dense weights",
            );
        }
        if is_shape_arithmetic(self.model, o) {
            return Ok(());
        }
        match o.code {
            op::CONV_2D => self.conv(o, false),
            op::DEPTHWISE_CONV_2D => self.conv(o, true),
            op::FULLY_CONNECTED => self.dense(o),
            op::MAX_POOL_2D | op::AVERAGE_POOL_2D => self.pool(o),
            op::MEAN => self.mean(o),
            op::REDUCE_MAX => self.global_max(o),
            op::SLICE | op::STRIDED_SLICE => self.slice(o),
            op::SPLIT | op::SPLIT_V => self.split(o),
            op::PRELU => self.prelu(o),
            op::ADD | op::SUB | op::MUL => self.arithmetic(o),
            op::CONCATENATION => self.concat(o),
            op::SOFTMAX => self.softmax(o),
            op::RESHAPE | op::SQUEEZE | op::EXPAND_DIMS => self.reshape(o),
            op::TRANSPOSE => self.transpose(o),
            op::PAD | op::PADV2 => self.pad(o),
            op::QUANTIZE => self.quantize(o),
            op::DEQUANTIZE => self.dequantize(o),
            op::RELU | op::RELU6 | op::RELU_N1_TO_1 | op::LEAKY_RELU | op::LOGISTIC | op::TANH | op::HARD_SWISH => {
                self.function(o)
            }
            _ => refuse("the operator is not supported", hint(o.code)),
        }
    }

    fn pool(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let fused = o.input(0).and_then(|input| self.pads.get(&input).copied());
        let input = match fused {
            Some(pad) => self.value(pad.input)?,
            None => self.operand(o, 0)?,
        };
        let Shape { h, w, .. } = self.info(input).shape;
        let (mut window, activation) = pool_window(o, [h, w])?;
        if let Some(pad) = fused {
            (window.before, window.after) = (pad.before, pad.after);
        }
        let output = self.result(o)?;
        self.demand_shape(output, window.output([h, w]), self.info(input).shape.c)?;
        let quants = [self.info(input).quant, self.info(output).quant];
        if !quants[0].same(quants[1]) {
            return refuse("input and output have different scales", "TensorFlow Lite's pools do not rescale either");
        }
        let node = match o.code {
            op::MAX_POOL_2D => NodeOp::MaxPool { window, activation },
            _ => NodeOp::AveragePool { window, activation },
        };
        self.push(node, vec![input], output);
        Ok(())
    }

    /// Demands that the declared output shape be the one that follows from the operator.
    pub(super) fn demand_shape(&self, output: TensorId, size: Option<[u32; 2]>, c: u32) -> Result<(), Refusal> {
        let declared = self.info(output).shape;
        match size {
            Some([h, w]) if declared == Shape::new(h, w, c) => Ok(()),
            Some([h, w]) => refuse(
                format!(
                    "the output should be {h} x {w} x {c}, the file says {} x {} x {}",
                    declared.h, declared.w, declared.c
                ),
                "the file contradicts itself",
            ),
            None => refuse("the window does not fit its input", ""),
        }
    }

    fn mean(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        check_mean(self.model, o)?;
        let output = self.result(o)?;
        let c = self.info(input).shape.c;
        if self.info(output).shape != Shape::vector(c) {
            return refuse("the output is not one value per channel", "");
        }
        self.push(NodeOp::Mean, vec![input], output);
        Ok(())
    }

    /// A maximum over height and width.
    fn global_max(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        check_mean(self.model, o)?;
        let output = self.result(o)?;
        let (from, to) = (self.info(input).clone(), self.info(output).clone());
        if to.shape != Shape::vector(from.shape.c) || !from.quant.same(to.quant) {
            return refuse("the output is not one value per channel with the input's scale", "");
        }
        let window = Window::global([from.shape.h, from.shape.w]);
        if !window.is_valid() {
            return refuse("a maximum over too large a map", "");
        }
        self.push(NodeOp::MaxPool { window, activation: Activation::None }, vec![input], output);
        Ok(())
    }

    /// PRELU whose slope is the same for all channels.
    fn prelu(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let Some(slope) = o.input(1) else { return refuse("its slope is missing", "") };
        let data = self.constant(slope, "slope")?;
        let output = self.result(o)?;
        let (from, to, slope) = (self.info(input).clone(), self.info(output).clone(), &self.model.tensors[slope]);
        let (Some(&first), true) = (data.first(), data.iter().all(|byte| Some(byte) == data.first())) else {
            return refuse("a slope for each channel", "share the slope (shared_axes=[1, 2, 3]), or use LeakyReLU");
        };
        if from.dtype != DType::I8 || to.dtype != DType::I8 || slope.dtype != Type::Int8 || from.shape != to.shape {
            return refuse("its operands are not int8 of one shape", "");
        }
        let slope = (i32::from(first as i8), super::lower::quant(slope)?);
        let table = lookup::prelu(from.quant, to.quant, slope, self.rounding()).map_err(|e| (e, String::new()))?;
        self.push(NodeOp::Lookup { table }, vec![input], output);
        Ok(())
    }

    fn concat(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        if options.i8(1, 0).map_err(damaged)? != 0 {
            return refuse("a fused activation", "TensorFlow Lite Micro refuses it too");
        }
        let axis = options.i32(0, 0).map_err(damaged)?;
        let output = self.result(o)?;
        let rank = o.output(0).map_or(0, |t| self.model.tensors[t].dims.len()) as i32;
        if axis != rank - 1 && axis != -1 {
            return refuse(
                format!("concatenation along axis {axis} of {rank}"),
                "only the last axis, the channels, is supported",
            );
        }
        let target = self.info(output).clone();
        let mut inputs = Vec::new();
        let mut channels = 0u32;
        for index in 0..o.input_count() {
            let id = self.operand(o, index)?;
            let info = self.info(id).clone();
            if (info.shape.h, info.shape.w) != (target.shape.h, target.shape.w) {
                return refuse("parts of different height or width", "the file contradicts itself");
            }
            channels = channels.saturating_add(info.shape.c);
            inputs.push(if info.quant.same(target.quant) { id } else { self.requantized(id, &info, target.quant)? });
        }
        if channels != target.shape.c {
            return refuse("the output's channels are not those of the parts together", "the file contradicts itself");
        }
        self.push(NodeOp::Concat, inputs, output);
        Ok(())
    }

    /// A rescaled copy of `id`.
    fn requantized(&mut self, id: TensorId, info: &TensorInfo, quant: QuantParams) -> Result<TensorId, Refusal> {
        let node = self.quantized_again(info, info.dtype, quant)?;
        let copy = self.intermediate(TensorInfo { quant, name: format!("{} (rescaled)", info.name), ..info.clone() });
        self.push(node, vec![id], copy);
        Ok(copy)
    }

    /// QUANTIZE from int8 or int16 to either.
    fn quantized_again(&self, from: &TensorInfo, dtype: DType, quant: QuantParams) -> Result<NodeOp, Refusal> {
        if from.dtype == DType::I16 || dtype == DType::I16 {
            return Ok(NodeOp::Rescale { slope: None, activation: Activation::None });
        }
        let table = lookup::requantized(from.quant, quant, self.rounding()).map_err(|e| (e, String::new()))?;
        Ok(NodeOp::Lookup { table })
    }

    fn softmax(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let output = self.result(o)?;
        let beta = match o.options {
            Some(options) => options.f32(0, 0.0).map_err(damaged)?,
            None => return refuse("its options are missing", ""),
        };
        let (from, to) = (self.info(input), self.info(output));
        if from.dtype != to.dtype {
            return refuse("input and output have different types", "convert the model with one type of activations");
        }
        let valid = if from.dtype == DType::I16 {
            if (to.quant.scale * 32768.0 - 1.0).abs() > 1e-3 {
                return refuse("the output's scale is not 2^-15", "TensorFlow Lite demands it too");
            }
            SoftmaxInt16::factor(from.quant, beta).is_some()
        } else {
            if !to.quant.same(Softmax::OUTPUT) {
                return refuse(
                    "the output's scale is not 1/256 with zero point -128",
                    "TensorFlow Lite demands it too",
                );
            }
            Softmax::new(from.quant, beta).is_some()
        };
        if !valid || self.info(input).shape != self.info(output).shape {
            return refuse(format!("beta {beta}, or shapes that differ"), "");
        }
        // Only of int16 elements the mode makes a difference: in a table.
        let desktop = self.mode != RoundingMode::Double && self.info(input).dtype == DType::I16;
        let rounding = if desktop { Rounding::Single } else { self.rounding() };
        self.push_rounded(NodeOp::Softmax { beta }, vec![input], output, rounding);
        Ok(())
    }

    fn reshape(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        self.relabel(o, input)
    }

    /// Passes the input's elements on in their order, under the output's shape and scale.
    fn relabel(&mut self, o: &Operator<'_>, input: TensorId) -> Result<(), Refusal> {
        let from = self.info(input).clone();
        let output = self.result(o)?;
        let to = self.info(output).clone();
        if from.shape.len() != to.shape.len() {
            return refuse(
                format!("{} elements become {}", from.shape.len(), to.shape.len()),
                "a shape computed at run time is not supported",
            );
        }
        let input = if from.quant.same(to.quant) && from.dtype == to.dtype {
            input
        } else if from.dtype == DType::I16 || to.dtype == DType::I16 {
            return refuse("input and output have different scales", "");
        } else {
            // Only the label changes, as in TensorFlow Lite: the bytes stay.
            let copy = self.intermediate(TensorInfo { quant: to.quant, ..from.clone() });
            self.push(NodeOp::Lookup { table: lookup::identity() }, vec![input], copy);
            copy
        };
        if from.shape == to.shape {
            self.alias(o, input);
        } else {
            self.push(NodeOp::Reshape, vec![input], output);
        }
        Ok(())
    }

    fn transpose(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(from), Some(permutation)) = (o.input(0), o.input(1).and_then(|i| self.model.tensors[i].integers(8)))
        else {
            return refuse("its permutation is not constant", "");
        };
        let dims = &self.model.tensors[from].dims;
        let moved: Vec<i64> = permutation
            .iter()
            .copied()
            .filter(|&at| usize::try_from(at).ok().and_then(|at| dims.get(at)).is_some_and(|&d| d != 1 && d != -1))
            .collect();
        if moved.is_sorted() && permutation.len() == dims.len() {
            return self.reshape(o);
        }
        // A channels-first model that was converted as it is: we take its input channels-last.
        if permutation == [0, 2, 3, 1] && self.model.inputs.contains(&from) && self.only_reader(from).is_some() {
            if let Some(output) = o.output(0) {
                let id = self.result(o)?;
                self.become_input(from, id);
                self.notes
                    .push("the input is taken as height x width x channels: its transposition was dropped".into());
                debug_assert!(output < self.model.tensors.len());
            }
            return Ok(());
        }
        refuse(format!("a permutation {permutation:?} that moves elements"), "export the model channels-last (NHWC)")
    }

    fn pad(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(from), Some(amounts)) = (o.input(0), o.input(1).and_then(|i| self.model.tensors[i].integers(16)))
        else {
            return refuse("its amounts are not constant", "");
        };
        let input = self.operand(o, 0)?;
        let rank = self.model.tensors[from].dims.len();
        let amounts: Option<Vec<u32>> =
            amounts.iter().map(|&a| u32::try_from(a).ok().filter(|&a| a < Shape::MAX_DIM)).collect();
        let Some(amounts) = amounts.filter(|a| a.len() == 2 * rank && (2..=4).contains(&rank)) else {
            return refuse("negative, huge or malformed amounts", "");
        };
        if amounts[0] != 0 || amounts[1] != 0 {
            return refuse("padding of the batch", "");
        }
        // Height, width, channels from the back; missing ones are not padded.
        let of = |from_last: usize, side: usize| {
            if from_last + 1 < rank { amounts[2 * (rank - 1 - from_last) + side] } else { 0 }
        };
        let side = |side| [of(2, side), of(1, side), of(0, side)];
        let (before, after) = (side(0), side(1));
        let (quant, dtype) = (self.info(input).quant, self.info(input).dtype);
        let value = match o.input(2).filter(|_| o.code == op::PADV2) {
            None => quant.zero_point as i16,
            Some(value) => match (self.model.tensors[value].data, self.model.tensors[value].dtype, dtype) {
                (Some(&[byte]), Type::Int8, DType::I8) => i16::from(byte as i8),
                (Some(&[low, high]), Type::Int16, DType::I16) => i16::from_le_bytes([low, high]),
                _ => return refuse("its value is not one constant of its input's type", ""),
            },
        };
        if let Some(index) = o.output(0)
            && self.may_fuse(index, before, after, value, (quant, dtype))
            && super::lower::quant(&self.model.tensors[index])?.same(quant)
        {
            let pad = FusedPad { input: from, before: [before[0], before[1]], after: [after[0], after[1]] };
            self.pads.insert(index, pad);
            return Ok(());
        }
        let output = self.result(o)?;
        if !self.info(output).quant.same(quant) {
            return refuse("input and output have different scales", "");
        }
        if self.info(output).shape != kinglet::ops::Pad::output_shape(self.info(input).shape, before, after) {
            return refuse("the output's shape is not the padded input's", "the file contradicts itself");
        }
        self.push(NodeOp::Pad { before, after, value }, vec![input], output);
        Ok(())
    }

    /// Whether the only reader of padded tensor `index` is a window that can pad by itself, with the same result.
    fn may_fuse(
        &self,
        index: usize,
        before: [u32; 3],
        after: [u32; 3],
        value: i16,
        (quant, dtype): (QuantParams, DType),
    ) -> bool {
        let Some(reader) = self.only_reader(index).filter(|r| r.input(0) == Some(index)) else { return false };
        let Some(options) = reader.options else { return false };
        // A convolution skips taps outside the image, which is what a zero contributes; a maximum skips them too, which
        // is what the lowest value contributes.
        let neutral = match reader.code {
            op::CONV_2D | op::DEPTHWISE_CONV_2D => i32::from(value) == quant.zero_point,
            op::MAX_POOL_2D => i32::from(value) == dtype.min(),
            _ => false,
        };
        let valid = options.i8(0, 0) == Ok(1);
        let kernel = match reader.code {
            op::MAX_POOL_2D => [options.i32(4, 0), options.i32(3, 0)].map(|k| k.unwrap_or(0)),
            _ => {
                let Some(weights) = reader.input(1) else { return false };
                let (Some(&h), Some(&w)) =
                    (self.model.tensors[weights].dims.get(1), self.model.tensors[weights].dims.get(2))
                else {
                    return false;
                };
                [h, w]
            }
        };
        let smaller = |axis: usize| i64::from(before[axis].max(after[axis])) < i64::from(kernel[axis]);
        neutral && valid && before[2] == 0 && after[2] == 0 && smaller(0) && smaller(1)
    }

    fn quantize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(from) = o.input(0) else { return refuse("input 0 is missing", "") };
        let source = &self.model.tensors[from];
        match source.dtype {
            Type::Float32 | Type::UInt8 if self.model.inputs.contains(&from) && self.only_reader(from).is_some() => {
                let id = self.result(o)?;
                if source.dtype == Type::UInt8 {
                    self.take_pixels(from, id)?;
                } else {
                    let quant = self.info(id).quant;
                    self.notes.push(format!(
                        "the float input is taken quantized: q = round(x / {}) + {}",
                        quant.scale, quant.zero_point
                    ));
                }
                self.become_input(from, id);
                Ok(())
            }
            Type::Int8 | Type::Int16 => match o.output(0).map(|t| (t, self.model.tensors[t].dtype)) {
                Some((to, Type::UInt8)) if self.model.outputs == [to] && source.dtype == Type::Int8 => {
                    let id = self.operand(o, 0)?;
                    self.alias(o, id);
                    self.notes.push("the output is int8: add 128 for the model's uint8".into());
                    Ok(())
                }
                _ => self.function(o),
            },
            dtype => refuse(
                format!("it converts {} in the middle of the network", dtype.name()),
                "only networks of int8 or int16 activations are supported",
            ),
        }
    }

    fn dequantize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let id = self.operand(o, 0)?;
        if !o.output(0).is_some_and(|to| self.model.outputs == [to] && self.only_reader_is_caller(to)) {
            return refuse(
                "it computes in floats in the middle of the network",
                "only int8 networks are supported: quantize all of it",
            );
        }
        let quant = self.info(id).quant;
        let dtype = self.info(id).dtype.name();
        self.notes.push(format!("the output is {dtype}: real = (q - {}) * {}", quant.zero_point, quant.scale));
        self.alias(o, id);
        Ok(())
    }

    /// An activation function that stands alone, as a table.
    fn function(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let output = self.result(o)?;
        if self.info(input).shape != self.info(output).shape {
            return refuse("input and output have different shapes", "the file contradicts itself");
        }
        if self.info(input).dtype == DType::I16 || self.info(output).dtype == DType::I16 {
            let node = self.int16_function(o, input, output)?;
            self.push(node, vec![input], output);
            return Ok(());
        }
        let (from, to, rounding) = (self.info(input).quant, self.info(output).quant, self.rounding());
        let table = match o.code {
            op::QUANTIZE => lookup::requantized(from, to, rounding),
            op::RELU => lookup::clamped(from, to, Activation::Relu, rounding),
            op::RELU6 if self.mode == RoundingMode::Double => Ok(lookup::micro_relu6(from)),
            op::RELU6 => lookup::clamped(from, to, Activation::Relu6, rounding),
            op::RELU_N1_TO_1 => lookup::clamped(from, to, Activation::ReluN1To1, rounding),
            op::LOGISTIC if self.mode == RoundingMode::Reference => Ok(lookup::logistic_in_floats(from, to)),
            op::TANH if self.mode == RoundingMode::Reference => Ok(lookup::tanh_in_floats(from, to)),
            op::LOGISTIC => lookup::logistic(from, to, rounding),
            op::TANH => lookup::tanh(from, to, rounding),
            op::HARD_SWISH => lookup::hard_swish(from, to),
            _ => {
                let Some(options) = o.options else { return refuse("its options are missing", "") };
                lookup::leaky_relu(from, to, options.f32(0, 0.0).map_err(damaged)?, rounding)
            }
        };
        let table = table.map_err(|reason| (reason, String::new()))?;
        self.push(NodeOp::Lookup { table }, vec![input], output);
        Ok(())
    }

    /// The same of int16 elements, for which TensorFlow Lite Micro has fewer.
    fn int16_function(&self, o: &Operator<'_>, input: TensorId, output: TensorId) -> Result<NodeOp, Refusal> {
        let (from, to) = (self.info(input), self.info(output));
        if o.code == op::QUANTIZE {
            return self.quantized_again(from, to.dtype, to.quant);
        }
        if from.dtype != to.dtype {
            return refuse("input and output have different types", "the file contradicts itself");
        }
        let rescale = |activation| Ok(NodeOp::Rescale { slope: None, activation });
        match o.code {
            op::RELU => rescale(Activation::Relu),
            op::RELU_N1_TO_1 => rescale(Activation::ReluN1To1),
            op::RELU6 if from.quant.same(to.quant) => rescale(Activation::Relu6),
            op::RELU6 => {
                refuse("input and output have different scales", "TensorFlow Lite Micro does not rescale either")
            }
            op::LEAKY_RELU => {
                let Some(options) = o.options else { return refuse("its options are missing", "") };
                let slope = options.f32(0, 0.0).map_err(damaged)?;
                if !(slope >= 0.0 && slope.is_finite()) {
                    return refuse(format!("a slope of {slope}"), "only slopes that are not negative are supported");
                }
                Ok(NodeOp::Rescale { slope: Some(slope), activation: Activation::None })
            }
            op::LOGISTIC | op::TANH if (to.quant.scale * 32768.0 - 1.0).abs() > 1e-3 => {
                refuse("the output's scale is not 2^-15", "TensorFlow Lite Micro demands it too")
            }
            op::LOGISTIC => Ok(NodeOp::Sigmoid { curve: Curve::Logistic }),
            op::TANH => Ok(NodeOp::Sigmoid { curve: Curve::Tanh }),
            _ => refuse("it is not supported for int16", "TensorFlow Lite Micro has it for int8 only: convert to int8"),
        }
    }

    /// ADD, SUB and MUL: of two activations, or of an activation and a constant.
    fn arithmetic(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(0, 0).map_err(damaged)?)?;
        let (Some(a), Some(b)) = (o.input(0), o.input(1)) else { return refuse("an input is missing", "") };
        match (self.model.is_constant(a), self.model.is_constant(b)) {
            (false, false) => {}
            (false, true) => return self.with_constant(o, a, b, activation),
            (true, false) => return self.with_constant(o, b, a, activation),
            (true, true) => return refuse("both inputs are constants", "let the converter fold constants"),
        }
        let (mut a, mut b) = (self.operand(o, 0)?, self.operand(o, 1)?);
        let output = self.result(o)?;
        let mut shapes = [self.info(a).shape, self.info(b).shape];
        if shapes[0].len() < shapes[1].len() && o.code == op::MUL {
            std::mem::swap(&mut a, &mut b);
            shapes.reverse();
        }
        let shape = match o.code {
            op::ADD => Add::output_shape(shapes[0], shapes[1]),
            _ => Mul::output_shape(shapes[0], shapes[1]),
        };
        if shape != Some(self.info(output).shape) {
            return refuse(
                format!("shapes {:?} and {:?}", shapes[0], shapes[1]),
                "both inputs must have one shape; in MUL and SUB the second may be one pixel",
            );
        }
        let quants = [a, b, output].map(|id| self.info(id).quant);
        let dtype = self.info(output).dtype;
        if [a, b].iter().any(|&id| self.info(id).dtype != dtype) {
            return refuse("operands of different types", "convert the model with one type of activations");
        }
        let (rounding, clamp) = (self.rounding(), kinglet::Clamp::full(dtype));
        let (valid, node) = match o.code {
            op::ADD => (
                Add::new(quants[0], quants[1], quants[2], dtype, rounding, clamp).is_some(),
                NodeOp::Add { activation },
            ),
            op::SUB => (
                Sub::new(quants[0], quants[1], quants[2], dtype, rounding, clamp).is_some(),
                NodeOp::Sub { activation },
            ),
            _ => (Mul::new(quants[0], quants[1], quants[2], rounding, clamp).is_some(), NodeOp::Mul { activation }),
        };
        if !valid {
            return refuse("scales whose ratio is out of range", "");
        }
        self.push(node, vec![a, b], output);
        Ok(())
    }
}

/// Whether an operator only computes shapes: the shapes that count are declared in the file.
pub(super) fn is_shape_arithmetic(model: &Model<'_>, o: &Operator<'_>) -> bool {
    let integers = |i: usize| matches!(model.tensors[i].dtype, Type::Int32 | Type::Int64);
    match o.code {
        op::SHAPE => true,
        op::STRIDED_SLICE
        | op::PACK
        | op::CONCATENATION
        | op::GATHER
        | op::MUL
        | op::ADD
        | op::SUB
        | op::CAST
        | op::REDUCE_PROD
        | op::SQUEEZE
        | op::EXPAND_DIMS
        | op::RESHAPE
        | op::MAXIMUM
        | op::MINIMUM => o.outputs().all(integers) && o.inputs().all(integers),
        _ => false,
    }
}

/// A pool's window over an input of `size`, and its fused activation.
pub(super) fn pool_window(o: &Operator<'_>, size: [u32; 2]) -> Result<(Window, Activation), Refusal> {
    let Some(options) = o.options else { return refuse("its options are missing", "") };
    let field = |at| options.i32(at, 0).map_err(damaged);
    let activation = activation(options.i8(5, 0).map_err(damaged)?)?;
    let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
    let stride = [extent(field(2)?, "vertical stride")?, extent(field(1)?, "horizontal stride")?];
    let kernel = [extent(field(4)?, "filter height")?, extent(field(3)?, "filter width")?];
    Ok((Window::new(kernel, stride, padding, size), activation))
}

/// Demands that a MEAN be over height and width.
pub(super) fn check_mean(model: &Model<'_>, o: &Operator<'_>) -> Result<(), Refusal> {
    let dims = o.input(0).map_or(&[][..], |i| &model.tensors[i].dims);
    let Some(axes) = o.input(1).and_then(|i| model.tensors[i].integers(8)) else {
        return refuse("its axes are not constant", "");
    };
    let rank = dims.len() as i64;
    let reduced = |at: i64| axes.iter().any(|&axis| axis == at || axis + rank == at);
    // All of height and width, and nothing else that has an extent.
    let fits = (1..rank - 1).all(|at| reduced(at) || dims[at as usize] == 1)
        && !(reduced(rank - 1) && dims.last().is_some_and(|&c| c != 1))
        && axes.iter().all(|&axis| (-rank..rank).contains(&axis));
    if fits && rank >= 3 {
        return Ok(());
    }
    refuse(format!("a mean over axes {axes:?} of {dims:?}"), "only the mean over height and width is supported")
}

/// A damaged table met while a node's options are read.
pub(super) fn damaged(error: crate::import::flat::Malformed) -> Refusal {
    (error.to_string(), String::new())
}

/// What a user can do about an operator that is not supported.
pub(super) fn hint(code: i32) -> &'static str {
    match code {
        56 | 79 | 48 => "take it out of the model and use kinglet's top-k on the output",
        67 | 5 | 23 | 97 => "kinglet runs classifiers: up-sampling is not supported",
        _ => {
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)"
        }
    }
}
