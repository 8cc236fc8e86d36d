//! From TensorFlow Lite's float operators to the trainer's float graph.

use kinglet::{Activation, Shape, Window};

use super::float_ops;
use super::fold::reals;
use super::lower::shape;
use super::names as op;
use super::options::{
    Blocks, activation, blocks, changes_nothing, damaged, dilated, extent, is_folded, is_plain, is_shape_arithmetic,
    padding, unsupported,
};
use super::schema::{Model, Operator, Type};
use super::weights::{Layout, Taps};
use crate::graph::{Function, NodeId, Op};
use crate::import::float::{Finished, FloatBuilder, ImportedFloat};
use crate::import::problem::{Problem, Problems, Refusal, refuse};
use crate::import::{ImportError, Options};

/// Whether a model computes in floats: none of its activations is quantized.
pub(super) fn is_float(model: &Model<'_>) -> bool {
    let float = |&t: &usize| model.tensors[t].dtype == Type::Float32;
    let integers = |t: usize| matches!(model.tensors[t].dtype, Type::Int8 | Type::Int16 | Type::UInt8);
    let quantized = |o: &Operator<'_>| !is_folded(model, o) && o.outputs().any(integers);
    model.inputs.iter().all(float) && !model.operators.iter().any(quantized)
}

/// Imports a float model.
pub(super) fn import(model: &Model<'_>, options: &Options, file_len: usize) -> Result<ImportedFloat, ImportError> {
    let mut problems = Problems::default();
    let mut note = |node: String, operator: &str, (reason, hint): Refusal| {
        problems.add(Problem { node, operator: operator.to_owned(), reason, hint });
    };
    let graph = || "the graph".to_owned();
    if model.subgraphs != 1 || model.outputs.len() != 1 || model.inputs.len() != 1 {
        let counts =
            format!("{} subgraphs, {} inputs, {} outputs", model.subgraphs, model.inputs.len(), model.outputs.len());
        note(graph(), "model", (counts, "kinglet runs networks with one input and one output".into()));
    }
    let (Some(&first), Some(&last)) = (model.inputs.first(), model.outputs.first()) else {
        return Err(ImportError::Unsupported(problems));
    };
    let build = shape(&model.tensors[first]).and_then(|input| FloatBuilder::new(&options.name, input));
    let build = match build {
        Ok(build) => build,
        Err(refusal) => {
            note(graph(), "model", refusal);
            return Err(ImportError::Unsupported(problems));
        }
    };
    let mut values = vec![Value::None; model.tensors.len()];
    // Of several inputs the others are missing, which has been said.
    model.inputs.iter().for_each(|&input| values[input] = Value::Unknown);
    values[first] = Value::Node(build.input());
    let mut importer = Importer { model, build, notes: Vec::new(), values, budget: 64 * file_len + (1 << 20) };
    for (index, operator) in model.operators.iter().enumerate() {
        if is_folded(model, operator) {
            continue;
        }
        if let Err(refusal) = importer.node(operator) {
            let name = operator.output(0).map_or_else(String::new, |t| model.tensors[t].short_name());
            if refusal.0 != UNKNOWN {
                note(format!("node {index} `{name}`"), &operator.kind, refusal);
            }
            for output in operator.outputs() {
                importer.values[output] = Value::Unknown;
            }
        }
    }
    let output = importer.node_of(last);
    let Importer { build, notes, .. } = importer;
    match output.and_then(|output| build.finish(output)) {
        Ok(Finished { mut graph, params, quants, weight_scales }) if problems.is_empty() => {
            graph.labels.clone_from(&options.labels);
            Ok(ImportedFloat { graph, params, quants, weight_scales, channels_first: false, notes })
        }
        Ok(_) => Err(ImportError::Unsupported(problems)),
        Err((reason, hint)) => {
            if problems.is_empty() {
                problems.add(Problem { node: "the output".into(), operator: "model".into(), reason, hint });
            }
            Err(ImportError::Unsupported(problems))
        }
    }
}

/// The reason of problems that follow from earlier ones.
const UNKNOWN: &str = "it depends on a node that is not supported";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// Not computed yet, or a constant.
    None,
    Node(NodeId),
    /// Taken apart into blocks for a convolution.
    Blocks(NodeId, Blocks),
    Unknown,
}

pub(super) struct Importer<'m, 'b> {
    pub(super) model: &'m Model<'b>,
    pub(super) build: FloatBuilder,
    pub(super) notes: Vec<String>,
    values: Vec<Value>,
    /// Bytes of numbers that may still be made of constants.
    budget: usize,
}

impl<'m, 'b> Importer<'m, 'b> {
    pub(super) fn node_of(&self, index: usize) -> Result<NodeId, Refusal> {
        match self.values[index] {
            Value::Node(id) => Ok(id),
            Value::Unknown => refuse(UNKNOWN, ""),
            _ if self.model.is_constant(index) => refuse("a constant where an activation is needed", ""),
            _ => refuse(format!("`{}` is not computed by an earlier node", self.model.tensors[index].short_name()), ""),
        }
    }

    pub(super) fn operand(&self, o: &Operator<'_>, index: usize) -> Result<NodeId, Refusal> {
        match o.input(index) {
            Some(tensor) => self.node_of(tensor),
            None => refuse(format!("input {index} is missing"), ""),
        }
    }

    /// The tensor that holds the numbers of constant input `index`, if it is one.
    pub(super) fn constant(&self, o: &Operator<'_>, index: usize) -> Option<usize> {
        o.input(index).filter(|&tensor| self.model.is_constant(tensor))
    }

    /// The numbers of constant input `index`: floats, halves, or weights quantized by themselves.
    pub(super) fn numbers(&mut self, o: &Operator<'_>, index: usize) -> Result<Vec<f32>, Refusal> {
        let Some(source) = self.constant(o, index) else {
            return refuse(format!("input {index} is computed at run time"), "only constant weights are supported");
        };
        let tensor = &self.model.tensors[source];
        let data = tensor.data.unwrap_or_default();
        self.spend(data.len())?;
        reals(tensor, data)
    }

    fn bias(&mut self, o: &Operator<'_>, index: usize, len: u32) -> Result<Vec<f32>, Refusal> {
        if o.input(index).is_none() {
            return Ok(vec![0.0; len as usize]);
        }
        let bias = self.numbers(o, index)?;
        if bias.len() == len as usize {
            Ok(bias)
        } else {
            refuse(format!("{} biases for {len} channels", bias.len()), "")
        }
    }

    /// Names the node's output, after its fused activation.
    pub(super) fn set(&mut self, o: &Operator<'_>, id: NodeId, fused: Activation) -> Result<(), Refusal> {
        self.set_at(o, 0, id, fused)
    }

    /// The same of output `index`.
    pub(super) fn set_at(
        &mut self,
        o: &Operator<'_>,
        index: usize,
        id: NodeId,
        fused: Activation,
    ) -> Result<(), Refusal> {
        let Some(output) = o.output(index) else { return refuse("it has no output", "") };
        let id = match fused {
            Activation::None => id,
            Activation::Relu => self.build.function(&name(self.model, o, "_relu"), id, Function::relu())?,
            Activation::Relu6 => self.build.function(&name(self.model, o, "_relu6"), id, Function::relu6())?,
            Activation::ReluN1To1 => {
                self.build.function(&name(self.model, o, "_relu1"), id, Function::X.clip(-1.0, 1.0))?
            }
        };
        self.values[output] = Value::Node(id);
        let declared = &self.model.tensors[output];
        if shape(declared)? != self.build.shape(id) {
            return refuse(
                format!("the output should be {:?}, the file says {:?}", self.build.shape(id), declared.dims),
                "the file contradicts itself",
            );
        }
        Ok(())
    }

    fn node(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if is_shape_arithmetic(self.model, o) {
            return Ok(());
        }
        let name = name(self.model, o, "");
        if let Some(function) = float_ops::function(o)? {
            let input = self.operand(o, 0)?;
            let id = self.build.function(&name, input, function)?;
            return self.set(o, id, Activation::None);
        }
        match o.code {
            op::CONV_2D | op::DEPTHWISE_CONV_2D => self.conv(o, &name),
            op::FULLY_CONNECTED => self.dense(o, &name),
            op::MAX_POOL_2D | op::AVERAGE_POOL_2D => self.pool(o, &name),
            op::MEAN | op::REDUCE_MAX | op::SUM => self.global(o, &name),
            op::ADD | op::SUB | op::MUL | op::DIV | op::MAXIMUM | op::MINIMUM => self.arithmetic(o, &name),
            op::PRELU => self.prelu(o, &name),
            op::CONCATENATION => self.concat(o, &name),
            op::SOFTMAX | op::LOG_SOFTMAX => self.softmax(o, &name),
            op::RESHAPE | op::SQUEEZE | op::EXPAND_DIMS => self.reshape(o, &name),
            op::TRANSPOSE => self.transpose(o, &name),
            op::SLICE | op::STRIDED_SLICE | op::SPLIT | op::SPLIT_V => self.parts(o, &name),
            op::PAD | op::PADV2 | op::MIRROR_PAD => self.pad(o, &name),
            op::BROADCAST_TO | op::RESIZE_BILINEAR | op::RESIZE_NEAREST_NEIGHBOR if changes_nothing(self.model, o) => {
                self.reshape(o, &name)
            }
            op::SPACE_TO_BATCH_ND => {
                let (blocks, input) = (blocks(self.model, o)?, self.operand(o, 0)?);
                if let Some(output) = o.output(0) {
                    self.values[output] = Value::Blocks(input, blocks);
                }
                Ok(())
            }
            // Computed with the convolution before it.
            op::BATCH_TO_SPACE_ND if o.output(0).is_some_and(|to| matches!(self.values[to], Value::Node(_))) => Ok(()),
            _ => unsupported(o),
        }
    }

    /// Counts numbers that are about to be made.
    pub(super) fn spend(&mut self, numbers: usize) -> Result<(), Refusal> {
        match self.budget.checked_sub(numbers.saturating_mul(4)) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => {
                refuse("its constants are far larger than the file", "the file names the same bytes again and again")
            }
        }
    }

    /// The BATCH_TO_SPACE_ND that alone reads an operator's output.
    fn back(&self, o: &Operator<'_>) -> Result<&'m Operator<'b>, Refusal> {
        let mut readers = self.model.operators.iter().filter(|reader| reader.inputs().any(|i| Some(i) == o.output(0)));
        match (readers.next(), readers.next()) {
            (Some(back), None) if back.code == op::BATCH_TO_SPACE_ND => Ok(back),
            _ => refuse("blocks that are not put together behind it", super::options::hint(op::SPACE_TO_BATCH_ND)),
        }
    }

    fn conv(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let depthwise = o.code == op::DEPTHWISE_CONV_2D;
        let field = |at, default| options.i32(at, default).map_err(damaged);
        let fused = activation(options.i8(if depthwise { 4 } else { 3 }, 0).map_err(damaged)?)?;
        let first = if depthwise { 5 } else { 4 };
        let dilation =
            [extent(field(first + 1, 1)?, "vertical dilation")?, extent(field(first, 1)?, "horizontal dilation")?];
        let stride = [extent(field(2, 0)?, "vertical stride")?, extent(field(1, 0)?, "horizontal stride")?];
        let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
        let into = match o.input(0).map(|input| self.values[input]) {
            Some(Value::Blocks(input, into)) if is_plain(o) => Some((input, into, self.back(o)?)),
            _ => None,
        };
        let dilation = into.map_or(dilation, |(_, into, _)| into.size);
        let input = match into {
            Some((input, ..)) => input,
            None => self.operand(o, 0)?,
        };
        let from = self.build.shape(input);
        let weights = self.numbers(o, 1)?;
        let source = self.constant(o, 1).unwrap_or(0);
        let [first_dim, kh, kw, last_dim] = super::weights::four(&self.model.tensors[source])?;
        let outputs = if depthwise { last_dim } else { first_dim };
        let taps = Taps { kernel: [kh, kw], dilation, inputs: from.c, outputs };
        let window = match into {
            Some((_, into, back)) => dilated(taps.window(), into, blocks(self.model, back)?)?,
            None => Window::new(taps.window(), stride, padding, [from.h, from.w]),
        };
        let groups = if depthwise { 1 } else { from.c / last_dim.max(1) };
        if !depthwise && (last_dim * groups != from.c || groups == 0 || !first_dim.is_multiple_of(groups)) {
            return refuse(format!("a filter of {last_dim} channels for {}", from.c), "the file contradicts itself");
        }
        let layout = if depthwise { Layout::Depthwise } else { Layout::Conv { groups, group_inputs: last_dim } };
        let weights = if dilation == [1, 1] && groups == 1 {
            weights
        } else {
            self.spend(taps.spread_len(layout)?)?;
            taps.spread(&weights, layout)?
        };
        let id = if depthwise {
            let bias = self.bias(o, 2, last_dim)?;
            self.build.depthwise(name, input, window, weights, bias)?
        } else {
            let bias = self.bias(o, 2, first_dim)?;
            self.build.conv(name, input, window, weights, bias, first_dim)?
        };
        self.set(into.map_or(o, |(.., back)| back), id, fused)
    }

    fn dense(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let fused = activation(options.i8(0, 0).map_err(damaged)?)?;
        let input = self.operand(o, 0)?;
        let weights = self.numbers(o, 1)?;
        let inputs = self.build.shape(input).len() as usize;
        let Some(outputs) = weights.len().checked_div(inputs).filter(|&n| n > 0 && n * inputs == weights.len()) else {
            return refuse(format!("{} weights for {inputs} inputs", weights.len()), "");
        };
        let bias = self.bias(o, 2, outputs as u32)?;
        let id = self.build.dense(name, input, weights, bias)?;
        self.set(o, id, fused)
    }

    fn pool(&mut self, o: &Operator<'_>, name: &str) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let Shape { h, w, .. } = self.build.shape(input);
        let (window, fused) = super::options::pool_window(o, [h, w])?;
        let op = if o.code == op::MAX_POOL_2D { Op::MaxPool(window) } else { Op::AveragePool(window) };
        let id = self.build.add(name, op, &[input])?;
        self.set(o, id, fused)
    }
}

/// A name for the node of an operator.
fn name(model: &Model<'_>, o: &Operator<'_>, suffix: &str) -> String {
    let output = o.output(0).map_or_else(String::new, |t| model.tensors[t].short_name());
    format!("{output}{suffix}")
}
