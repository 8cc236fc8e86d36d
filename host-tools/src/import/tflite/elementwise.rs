//! Arithmetic, functions of one element, and what sums up many: reductions, softmax, fully connected layers.

use kinglet::{Activation, DType, QuantParams, Shape};

use super::dims::place;
use super::names as op;
use super::operators::{activation, damaged, unsupported};
use super::read::{Reader, State};
use super::schema::Operator;
use super::write::{Options, Writer, dims, fused};
use crate::graph::{Binary, Channels, ConstantFunction, Function, StoredWeights, Unary};
use crate::import::flat_write::Value;
use crate::import::problem::{GREATEST, Refusal, refuse};
use crate::import::source::{Comparison, Curve, FileNode, Operand, Operator as Neutral, Output, Reduction};
use crate::network::{Node, TensorId, TensorInfo};
use crate::quantize::lookup;

impl Reader<'_, '_> {
    /// Arithmetic of two activations, or of an activation and a constant.
    pub(super) fn arithmetic(&mut self, o: &Operator<'_>, binary: Binary) -> Result<(), Refusal> {
        let fuses = matches!(binary, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div);
        let activation = match o.options {
            Some(options) if fuses => activation(options.i8(0, 0).map_err(damaged)?)?,
            None if fuses => return refuse("its options are missing", ""),
            _ => Activation::None,
        };
        let inputs = self.operands(o, matches!(binary, Binary::Max | Binary::Min))?;
        let (operator, output) = (Neutral::Arithmetic(binary), self.output(o, activation)?);
        self.lower_node(o, FileNode { operator, inputs, output })
    }

    /// Two operands, of which one may be a constant; `widened` to the output's shape, if so said.
    pub(super) fn operands(&mut self, o: &Operator<'_>, widened: bool) -> Result<Vec<Operand>, Refusal> {
        let mut inputs = Vec::new();
        let constant = [0, 1].map(|at| o.input(at).is_some_and(|index| self.model.is_constant(index)));
        for at in 0..2 {
            inputs.push(match constant[at] {
                true => Operand::Constant(self.list(o, at, o.output(0))?),
                // A constant may be the larger operand; and bounds are of maps of one size.
                false if constant[1 - at] || widened => {
                    let (id, to) = (self.operand(o, at)?, self.shape(o)?);
                    Operand::Value(self.widened(id, to)?)
                }
                false => Operand::Value(self.operand(o, at)?),
            });
        }
        Ok(inputs)
    }

    /// A comparison, whose answers are 1 and 0.
    pub(super) fn comparison(&mut self, o: &Operator<'_>, comparison: Comparison) -> Result<(), Refusal> {
        let (operator, inputs) = (Neutral::Comparison(comparison), self.operands(o, false)?);
        self.lower_node(o, FileNode { operator, inputs, output: Output::default() })
    }

    /// SELECT and SELECT_V2.
    pub(super) fn choice(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let mut inputs = Vec::new();
        for at in 0..3 {
            inputs.push(match o.input(at).is_some_and(|index| self.model.is_constant(index)) {
                true => Operand::Constant(self.list(o, at, o.output(0))?),
                false => Operand::Value(self.operand(o, at)?),
            });
        }
        let output = self.output(o, Activation::None)?;
        self.lower_node(o, FileNode { operator: Neutral::Choice, inputs, output })
    }

    /// CUMSUM.
    pub(super) fn cumulative_sum(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let option = |at| o.options.map_or(Ok(0), |options| options.i8(at, 0)).map_err(damaged);
        let (exclusive, reverse) = (option(0)? != 0, option(1)? != 0);
        let axis = o.input(1).and_then(|i| self.model.tensors[i].integers(1));
        let Some(axis) = axis.as_deref().and_then(|axis| place(dims, *axis.first()?)) else {
            return refuse(format!("sums along axis {axis:?} of {dims:?}"), "the first dimension is the batch");
        };
        self.lower(o, Neutral::CumulativeSum { axis, exclusive, reverse }, &[input])
    }

    /// BATCH_MATMUL with a constant on the right: a dense layer over each pixel's channels.
    pub(super) fn product(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(left), Some(right)) = (o.input(0), o.input(1)) else { return refuse("an input is missing", "") };
        let is_turned = |at| o.options.map_or(Ok(0), |options| options.i8(at, 0)).map_err(damaged);
        let (left_turned, right_turned) = (is_turned(0)? != 0, is_turned(1)? != 0);
        let dims = &self.model.tensors[right].dims;
        if !self.model.is_constant(right) {
            return unsupported(o);
        }
        let [batch @ .., rows, columns] = &dims[..] else { return refuse(format!("weights of shape {dims:?}"), "") };
        if left_turned || batch.iter().any(|&extent| extent != 1) {
            return refuse(
                format!("{:?} (transposed: {left_turned}) times {dims:?}", self.model.tensors[left].dims),
                "only one matrix on the right, and nothing transposed on the left",
            );
        }
        let (Ok(rows), Ok(columns)) = (u32::try_from(*rows), u32::try_from(*columns)) else {
            return refuse("weights of a negative extent", "");
        };
        let (inputs, outputs) = if right_turned { (columns, rows) } else { (rows, columns) };
        let (input, output) = (self.operand(o, 0)?, self.output(o, Activation::None)?);
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == DType::I16);
        let mut filter = self.filter(o, 2, outputs, 0, wide)?;
        if !right_turned {
            let (inputs, outputs) = (inputs as usize, outputs as usize);
            if filter.weights.len() != inputs.saturating_mul(outputs) {
                return refuse("its filter is shorter or longer than its shape", "the file contradicts itself");
            }
            // From `[in][out]`.
            let places = (0..outputs).flat_map(|to| (0..inputs).map(move |from| Some(from * outputs + to)));
            filter.weights = filter.weights.at(&places.collect::<Vec<_>>(), 1);
        }
        self.lower_node(o, FileNode::new(Neutral::Dense { inputs, filter }, &[input], output))
    }

    pub(super) fn softmax(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let mut beta = 1.0;
        if o.code == op::SOFTMAX {
            let Some(options) = o.options else { return refuse("its options are missing", "") };
            beta = options.f32(0, 0.0).map_err(damaged)?;
        } else {
            if !self.is_float {
                return unsupported(o);
            }
            if o.output(0).is_none_or(|output| self.model.outputs != [output]) {
                return refuse("LOG_SOFTMAX that is not the output", "take it out of the model");
            }
            self.draft.note("the output is probabilities: the model's are their logarithms (LOG_SOFTMAX)");
        }
        self.lower(o, Neutral::Softmax { beta }, &[input])
    }

    /// The place of the greatest channel, as an output: there its scores are, which say more.
    pub(super) fn arg_max(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, Some(output)) = (self.operand(o, 0)?, o.output(0)) else {
            return refuse("it has no output", "");
        };
        let rank = o.input(0).map_or(0, |i| self.model.tensors[i].dims.len()) as i64;
        let axis = o.input(1).and_then(|i| self.model.tensors[i].integers(1));
        if !self.model.outputs.contains(&output)
            || self.readers[output] != 1
            || !axis.is_some_and(|axis| axis == [-1] || axis == [rank - 1])
        {
            return refuse(
                "the greatest in the middle of the network",
                "only an output can be the greatest of the channels",
            );
        }
        self.draft.note(GREATEST);
        self.states[output] = State::Value(input);
        Ok(())
    }

    pub(super) fn dense(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(0, 0).map_err(damaged)?)?;
        if options.i8(1, 0).map_err(damaged)? != 0 {
            return refuse("shuffled weights", "convert the model without weight shuffling");
        }
        let (input, output) = (self.operand(o, 0)?, self.output(o, activation)?);
        let Some(weights) = o.input(1) else { return refuse("its weights are missing", "") };
        let dims = &self.model.tensors[weights].dims;
        let [Ok(outputs), Ok(inputs)] = (match dims[..] {
            [outputs, inputs] => [u32::try_from(outputs), u32::try_from(inputs)],
            _ => return refuse(format!("weights of shape {dims:?}"), ""),
        }) else {
            return refuse("weights of a negative extent", "");
        };
        let wide = self.draft.elements(input).is_some_and(|elements| elements.dtype == kinglet::DType::I16);
        let filter = self.filter(o, 2, outputs, 0, wide)?;
        self.lower_node(o, FileNode::new(Neutral::Dense { inputs, filter }, &[input], output))
    }

    /// MEAN, SUM, REDUCE_MAX and REDUCE_MIN.
    pub(super) fn reduce(&mut self, o: &Operator<'_>, reduction: Reduction) -> Result<(), Refusal> {
        let (input, output) = (self.operand(o, 0)?, self.output(o, Activation::None)?);
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let Some(axes) = o.input(1).and_then(|i| self.model.tensors[i].integers(8)) else {
            return refuse("its axes are not constant", "");
        };
        let mut reduced = [false; 3];
        for &axis in &axes {
            match place(dims, axis) {
                Some(own) => reduced[own] = true,
                // A batch of one is reduced anyway.
                None if axis == 0 && matches!(dims.first(), Some(1 | -1)) => {}
                None => {
                    return refuse(
                        format!("{} over axes {axes:?} of {dims:?}", o.kind),
                        "only one image's can be reduced",
                    );
                }
            }
        }
        let Shape { h, w, c } = self.draft.shape(input);
        // What has one element is reduced anyway; channels are never for nothing.
        let axes = [reduced[0] || h == 1, reduced[1] || w == 1, reduced[2] && c != 1];
        let id = self.draft.lower(FileNode::new(Neutral::Reduce { reduction, axes }, &[input], output))?;
        let to = self.shape(o)?;
        let id = if self.draft.shape(id).len() == to.len() { self.draft.read_as(id, to)? } else { id };
        self.set(o, 0, id)
    }
}

/// The function of one element that an operator computes, if it is one.
pub(super) fn function(o: &Operator<'_>) -> Result<Option<Curve>, Refusal> {
    let x = || Function::X;
    let other = |function| Curve::Other(function);
    let number = |default: f32| o.options.map_or(Ok(default), |options| options.f32(0, 0.0)).map_err(damaged);
    Ok(Some(match o.code {
        op::ABS => Curve::Abs,
        op::ELU => Curve::Elu,
        op::EXP => other(x().then(Unary::Exp)),
        op::GELU => {
            Curve::Gelu { approximate: o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)? != 0 }
        }
        op::HARD_SWISH => Curve::HardSwish,
        op::LEAKY_RELU => Curve::LeakyRelu(number(0.0)?),
        op::LOG => other(x().then(Unary::Log)),
        op::LOGISTIC => Curve::Logistic,
        op::NEG => other(Function::negated()),
        op::RELU => Curve::Relu,
        op::RELU_0_TO_1 => other(x().clip(0.0, 1.0)),
        op::RELU6 => Curve::Relu6,
        op::RELU_N1_TO_1 => Curve::ReluN1To1,
        op::RSQRT => Curve::Rsqrt,
        op::SQRT => other(x().then(Unary::Sqrt)),
        op::SQUARE => other(x() * x()),
        op::TANH => Curve::Tanh,
        _ => return Ok(None),
    }))
}

impl Writer<'_> {
    pub(super) fn write_dense(&mut self, node: &Node, first: TensorId, weights: &StoredWeights) -> Result<(), String> {
        let (outputs, inputs) = (weights.channels() as i32, self.network.tensors[first].shape.len() as i32);
        let filter = self.filter(node, vec![outputs, inputs], weights, 0)?;
        let bias = self.bias(node, first, weights)?;
        let (input, _) = self.operand(first);
        let output = self.result(node, false);
        self.operator(
            op::FULLY_CONNECTED,
            self.version(filter, 4, 10),
            vec![input, filter, bias],
            output,
            (8, vec![(0, fused(node.activation))]),
        );
        Ok(())
    }

    pub(super) fn write_mean(&mut self, node: &Node, first: TensorId) {
        let input = self.image(first);
        let axes = self.integers(format!("{}/axes", node.name), vec![2], &[1, 2]);
        let output = self.result(node, false);
        self.operator(op::MEAN, 2, vec![input, axes], output, (27, vec![(0, Value::bool(false))]));
    }

    pub(super) fn write_prelu(
        &mut self,
        node: &Node,
        first: TensorId,
        data: &[i16],
        quant: QuantParams,
    ) -> Result<(), String> {
        let (input, image) = self.operand(first);
        let TensorInfo { shape, dtype, .. } = self.network.tensors[first];
        if dtype != DType::I8 || node.activation != Activation::None {
            return Err("slopes of int16, or with an activation".into());
        }
        let of = match dims(shape, image)[..] {
            [_, _, _, c] if data.len() == c as usize => vec![1, 1, c],
            [_, ref rest @ ..] => rest.to_vec(),
            [] => vec![],
        };
        let slopes = self.quantized(format!("{}/slopes", node.name), of, data, (dtype, quant));
        let output = self.result(node, image);
        self.operator(op::PRELU, 1, vec![input, slopes], output, (0, vec![]));
        Ok(())
    }

    pub(super) fn write_constant(
        &mut self,
        node: &Node,
        first: TensorId,
        function: ConstantFunction,
        data: &[i16],
        quant: QuantParams,
    ) -> Result<(), String> {
        let (input, image) = self.operand(first);
        let shape = self.network.tensors[first].shape;
        let of = if data.len() == shape.c as usize { vec![data.len() as i32] } else { dims(shape, image) };
        let quant = (self.network.tensors[first].dtype, quant);
        let constant = self.quantized(format!("{}/constant", node.name), of, data, quant);
        let output = self.result(node, image);
        let (code, options) = match function {
            ConstantFunction::Mul => (op::MUL, 21),
            ConstantFunction::Add => (op::ADD, 11),
            ConstantFunction::Sub | ConstantFunction::SubFrom => (op::SUB, 28),
            ConstantFunction::Prelu => return Err("slopes are written above".into()),
        };
        let mut inputs = vec![input, constant];
        if function == ConstantFunction::SubFrom {
            inputs.reverse();
        }
        self.operator(code, 2, inputs, output, (options, vec![(0, fused(node.activation))]));
        Ok(())
    }

    pub(super) fn write_activation(
        &mut self,
        node: &Node,
        first: TensorId,
        activation: Activation,
    ) -> Result<(), String> {
        let same = self.network.tensors[first].quant.same(self.network.tensors[node.output].quant);
        match activation {
            Activation::None => self.function(node, first, (op::QUANTIZE, 2), (89, vec![])),
            Activation::Relu => self.function(node, first, (op::RELU, 2), (0, vec![])),
            Activation::Relu6 if same => self.function(node, first, (op::RELU6, 2), (0, vec![])),
            _ => return Err("its activation is that of no operator there".into()),
        }
        Ok(())
    }

    pub(super) fn pair(&mut self, node: &Node, code: i32, options: u8) {
        let (inputs, image) = self.together(node);
        let output = self.result(node, image);
        self.operator(code, 2, inputs, output, (options, vec![(0, fused(node.activation))]));
    }

    /// The function of theirs that a table is the table of.
    pub(super) fn lookup(&mut self, node: &Node, input: TensorId, table: &[i8]) -> Result<(), String> {
        let (from, to) = (self.network.tensors[input].quant, self.network.tensors[node.output].quant);
        let rounding = node.rounding;
        let functions = [
            (op::QUANTIZE, 2, 89, lookup::requantized(from, to, rounding)),
            (op::RELU, 2, 0, lookup::clamped(from, to, Activation::Relu, rounding)),
            (op::RELU6, 2, 0, Ok(lookup::micro_relu6(from))),
            (op::RELU_N1_TO_1, 1, 0, lookup::clamped(from, to, Activation::ReluN1To1, rounding)),
            (op::LOGISTIC, 2, 0, lookup::logistic(from, to, rounding)),
            (op::TANH, 2, 0, lookup::tanh(from, to, rounding)),
            (op::HARD_SWISH, 1, 91, lookup::hard_swish(from, to)),
        ];
        let found = functions.into_iter().find(|(_, _, _, theirs)| theirs.as_ref().is_ok_and(|theirs| theirs == table));
        let Some((code, version, options, _)) = found else {
            return Err("its table is that of no operator there".into());
        };
        self.function(node, input, (code, version), (options, vec![]));
        Ok(())
    }

    pub(super) fn function(&mut self, node: &Node, input: TensorId, (code, version): (i32, i32), options: Options) {
        let (input, image) = self.operand(input);
        let output = self.result(node, image);
        self.operator(code, version, vec![input], output, options);
    }
}
