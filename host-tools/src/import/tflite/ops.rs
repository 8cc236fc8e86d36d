//! Which operator is lowered by what, and those without weights that have no file of their own.

use kinglet::ops::{Add, Mul, Softmax, SoftmaxInt16, Sub};
use kinglet::{Activation, DType, Rounding, Shape, Window};

use super::lower::Lowering;
use super::names as op;
use super::options::{
    activation, changes_nothing, check_mean, damaged, is_recurrent, is_shape_arithmetic, pool_window, unsupported,
};
use super::schema::Operator;
use crate::graph::Op;
use crate::import::RoundingMode;
use crate::import::problem::{Refusal, refuse};
use crate::network::{TensorId, TensorInfo};
use crate::quantize::lookup;

impl Lowering<'_, '_> {
    /// Lowers one operator.
    pub(super) fn node(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if is_recurrent(o.code) {
            return unsupported(o);
        }
        if let Some(bad) = o.inputs().find(|&i| self.model.tensors[i].sparse || self.model.tensors[i].variable) {
            return refuse(
                format!("`{}` is sparse or a variable", self.model.tensors[bad].short_name()),
                "export a stateless model with dense weights",
            );
        }
        if is_shape_arithmetic(self.model, o) {
            return Ok(());
        }
        if self.function_of_reals(o)? {
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
            op::MIRROR_PAD => self.mirror_pad(o),
            op::SPACE_TO_BATCH_ND => self.space_to_batch(o),
            op::BATCH_TO_SPACE_ND => self.batch_to_space(o),
            op::BROADCAST_TO | op::RESIZE_BILINEAR | op::RESIZE_NEAREST_NEIGHBOR if changes_nothing(self.model, o) => {
                self.reshape(o)
            }
            op::QUANTIZE => self.quantize(o),
            op::DEQUANTIZE => self.dequantize(o),
            op::MAXIMUM | op::MINIMUM => self.extremum(o),
            op::RELU | op::RELU6 | op::RELU_N1_TO_1 | op::LEAKY_RELU | op::ELU => self.function(o),
            op::LOGISTIC | op::TANH | op::HARD_SWISH | op::GELU => self.function(o),
            _ => unsupported(o),
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
            op::MAX_POOL_2D => Op::MaxPool(window),
            _ => Op::AveragePool(window),
        };
        self.push_fused(node, activation, vec![input], output);
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
        self.push(Op::Mean, vec![input], output);
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
        self.push(Op::MaxPool(window), vec![input], output);
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
        self.push(Op::Concat, inputs, output);
        Ok(())
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
        self.push_rounded(Op::Softmax { beta }, Activation::None, vec![input], output, rounding);
        Ok(())
    }

    fn reshape(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if self.regroup(o)? {
            return Ok(());
        }
        let input = self.operand(o, 0)?;
        self.relabel(o, input)
    }

    /// Passes the input's elements on in their order, under the output's shape and scale.
    pub(super) fn relabel(&mut self, o: &Operator<'_>, input: TensorId) -> Result<(), Refusal> {
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
            self.push_table(lookup::identity(), input, copy);
            copy
        };
        if from.shape == to.shape {
            self.alias(o, input);
        } else {
            self.push(Op::Reshape(to.shape), vec![input], output);
        }
        Ok(())
    }

    fn transpose(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(from), Some(permutation)) = (o.input(0), o.input(1).and_then(|i| self.model.tensors[i].integers(8)))
        else {
            return refuse("its permutation is not constant", "");
        };
        if let Some(&grouped) = self.groups.get(&from) {
            return self.shuffle(o, grouped, &permutation);
        }
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
        let (a, b) = (self.operand(o, 0)?, self.operand(o, 1)?);
        let output = self.result(o)?;
        let dtype = self.info(output).dtype;
        if [a, b].iter().any(|&id| self.info(id).dtype != dtype) {
            return refuse("operands of different types", "convert the model with one type of activations");
        }
        let [a, b] = self.spread(o.code, a, b, self.info(output).shape)?;
        let quants = [a, b, output].map(|id| self.info(id).quant);
        let (rounding, clamp) = (self.rounding(), kinglet::Clamp::full(dtype));
        let (valid, node) = match o.code {
            op::ADD => (Add::new(quants[0], quants[1], quants[2], dtype, rounding, clamp).is_some(), Op::Add),
            op::SUB => (Sub::new(quants[0], quants[1], quants[2], dtype, rounding, clamp).is_some(), Op::Sub),
            _ => (Mul::new(quants[0], quants[1], quants[2], rounding, clamp).is_some(), Op::Mul),
        };
        if !valid {
            return refuse("scales whose ratio is out of range", "");
        }
        self.push_fused(node, activation, vec![a, b], output);
        Ok(())
    }
}
