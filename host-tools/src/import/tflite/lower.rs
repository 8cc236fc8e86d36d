//! From TensorFlow Lite's int8 and 16x8 operators to the integer network.
//!
//! One pass in the file's order, which is a topological one. Whatever is not supported is noted and the pass goes on
//! with the output that the file declares, so that one run lists everything.

use std::collections::HashMap;

use kinglet::{Activation, ChannelOrder, DType, QuantParams, Rounding, Shape};

use super::names as op;
use super::options::is_folded;
use super::schema::{Model, Operator, Tensor, Type};
use crate::graph::{Function, Op, Stored, StoredFunction};
use crate::import::problem::{Problem, Problems, Refusal, refuse};
use crate::import::{ImportError, Imported, Options, Relu6, RoundingMode};
use crate::network::{Network, Node, Pixels, TensorId, TensorInfo};
use crate::quantize::lookup;

/// Zero padding that a PAD or SPACE_TO_BATCH_ND node adds and the window of the only consumer takes over.
#[derive(Clone, Copy, Debug)]
pub(super) struct FusedPad {
    /// The tensor before the padding.
    pub(super) input: usize,
    pub(super) before: [u32; 2],
    pub(super) after: [u32; 2],
    /// The blocks of pixels that are moved into the batch, between which a filter's taps lie.
    pub(super) dilation: [u32; 2],
}

/// The state of a pass.
#[derive(Debug)]
pub(super) struct Lowering<'m, 'b> {
    pub(super) model: &'m Model<'b>,
    pub(super) mode: RoundingMode,
    pub(super) relu6: Relu6,
    network: Network,
    /// The network's tensor for each tensor of the file, once it is known.
    values: Vec<Option<TensorId>>,
    /// Whether a tensor of the file is written by a node that has been passed, or is the input.
    ready: Vec<bool>,
    /// The operators that read a tensor; the first, and how many.
    readers: Vec<(usize, usize)>,
    pub(super) pads: HashMap<usize, FusedPad>,
    /// Maps whose channels are in groups, in a fifth dimension.
    pub(super) groups: HashMap<usize, TensorId>,
    /// Floats between DEQUANTIZE and QUANTIZE: functions of the elements of a tensor.
    pub(super) reals: HashMap<usize, (TensorId, Function)>,
    pub(super) problems: Problems,
    pub(super) notes: Vec<String>,
    /// Bytes of constants that may still be copied: files can name the same bytes many times.
    budget: usize,
    /// The operator that is being lowered.
    at: usize,
}

/// Lowers a quantized model.
pub(super) fn lower(model: &Model<'_>, options: &Options, file_len: usize) -> Result<Imported, ImportError> {
    let mut lowering = Lowering::new(model, options, file_len);
    lowering.ends();
    for index in 0..model.operators.len() {
        lowering.at = index;
        let operator = &model.operators[index];
        if is_folded(model, operator) {
            continue;
        }
        if let Err((reason, hint)) = lowering.node(operator) {
            lowering.problem(reason, hint);
        }
        for output in operator.outputs() {
            lowering.ready[output] = true;
        }
    }
    lowering.finish()
}

impl<'m, 'b> Lowering<'m, 'b> {
    fn new(model: &'m Model<'b>, options: &Options, file_len: usize) -> Self {
        let mut readers = vec![(0, 0); model.tensors.len()];
        for (index, operator) in model.operators.iter().enumerate() {
            for input in operator.inputs() {
                let (first, count) = &mut readers[input];
                if *count == 0 {
                    *first = index;
                }
                *count += 1;
            }
        }
        for &output in &model.outputs {
            readers[output].1 += 1;
        }
        Self {
            model,
            mode: options.rounding.unwrap_or_default(),
            relu6: options.relu6,
            network: Network {
                name: options.name.clone(),
                tensors: Vec::new(),
                nodes: Vec::new(),
                input: 0,
                output: 0,
                labels: Vec::new(),
                pixels: None,
            },
            values: vec![None; model.tensors.len()],
            ready: vec![false; model.tensors.len()],
            readers,
            pads: HashMap::new(),
            groups: HashMap::new(),
            reals: HashMap::new(),
            problems: Problems::default(),
            notes: Vec::new(),
            budget: 64 * file_len + (1 << 20),
            at: 0,
        }
    }

    /// Adds a note, once.
    pub(super) fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Notes a problem of the current node.
    pub(super) fn problem(&mut self, reason: String, hint: String) {
        let operator = &self.model.operators[self.at];
        let node = format!("node {} `{}`", self.at, self.short_name(operator));
        self.problems.add(Problem { node, operator: operator.kind.clone(), reason, hint });
    }

    fn model_problem(&mut self, reason: String, hint: &str) {
        let operator = "model".to_owned();
        self.problems.add(Problem { node: "the graph".into(), operator, reason, hint: hint.into() });
    }

    /// The name that the converter gave to the operator's output, shortened.
    fn short_name(&self, operator: &Operator<'_>) -> String {
        operator.output(0).map_or_else(String::new, |output| self.model.tensors[output].short_name())
    }

    /// Checks the graph's ends.
    fn ends(&mut self) {
        let model = self.model;
        if model.subgraphs != 1 {
            self.model_problem(
                format!("it has {} subgraphs", model.subgraphs),
                "control flow and several signatures are not supported: export one inference function",
            );
        }
        let inputs: Vec<usize> = model.inputs.iter().copied().filter(|&i| !model.is_constant(i)).collect();
        if inputs.len() != 1 {
            let hint = "kinglet runs networks with one input and one output";
            self.model_problem(format!("it has {} inputs", inputs.len()), hint);
        }
        if model.outputs.len() != 1 {
            let hint = "kinglet runs networks with one input and one output: export the one you need";
            self.model_problem(format!("it has {} outputs", model.outputs.len()), hint);
        }
        for input in inputs {
            self.ready[input] = true;
        }
    }

    /// A tensor of the network with the shape and quantization that the file declares for `index`.
    fn declare(&self, index: usize) -> Result<TensorInfo, Refusal> {
        let tensor = &self.model.tensors[index];
        let dtype = if tensor.dtype == Type::Int16 { DType::I16 } else { DType::I8 };
        Ok(TensorInfo { name: tensor.short_name(), shape: shape(tensor)?, dtype, quant: quant(tensor)? })
    }

    /// The network's tensor for an activation of the file that is already computed.
    pub(super) fn operand(&mut self, operator: &Operator<'_>, input: usize) -> Result<TensorId, Refusal> {
        let Some(index) = operator.input(input) else {
            return refuse(format!("input {input} is missing"), "");
        };
        self.value(index)
    }

    pub(super) fn value(&mut self, index: usize) -> Result<TensorId, Refusal> {
        if let Some(id) = self.values[index] {
            return Ok(id);
        }
        if self.model.is_constant(index) {
            return refuse("a constant where an activation is needed", "");
        }
        if !self.ready[index] {
            return refuse(
                format!("it reads `{}`, which no earlier node writes", self.model.tensors[index].short_name()),
                "the file's operators are not in order of execution",
            );
        }
        let info = self.declare(index)?;
        let id = self.intermediate(info);
        self.values[index] = Some(id);
        Ok(id)
    }

    /// The network's tensor that the current node writes.
    pub(super) fn result(&mut self, operator: &Operator<'_>) -> Result<TensorId, Refusal> {
        self.result_at(operator, 0)
    }

    /// The network's tensor that the current node writes as its output `output`.
    pub(super) fn result_at(&mut self, operator: &Operator<'_>, output: usize) -> Result<TensorId, Refusal> {
        let Some(index) = operator.output(output) else {
            return refuse("it has no output", "");
        };
        if self.ready[index] || self.model.is_constant(index) {
            return refuse("its output is written twice", "");
        }
        let info = self.declare(index)?;
        let id = self.intermediate(info);
        self.values[index] = Some(id);
        Ok(id)
    }

    /// Whether an operator's output has been computed together with an earlier one's.
    pub(super) fn is_computed(&self, operator: &Operator<'_>) -> bool {
        operator.output(0).is_some_and(|output| self.values[output].is_some())
    }

    /// Lets the current node's output be another name of `id`.
    pub(super) fn alias(&mut self, operator: &Operator<'_>, id: TensorId) {
        if let Some(output) = operator.output(0) {
            self.values[output] = Some(id);
        }
    }

    /// Lets `id` stand for tensor `index` of the file.
    pub(super) fn set_value(&mut self, index: usize, id: TensorId) {
        self.values[index] = Some(id);
    }

    /// How many operators read `index`, the caller included.
    pub(super) fn reader_count(&self, index: usize) -> usize {
        self.readers[index].1
    }

    /// Keeps the table that the caller's pixels go through.
    pub(super) fn set_pixels(&mut self, tables: Vec<i16>, channels: u32) {
        let order = if channels == 3 { ChannelOrder::Rgb } else { ChannelOrder::Grey };
        self.network.pixels = Some(Pixels { order, tables });
    }

    pub(super) fn info(&self, id: TensorId) -> &TensorInfo {
        &self.network.tensors[id]
    }

    /// Adds an intermediate tensor that the file does not have.
    pub(super) fn intermediate(&mut self, info: TensorInfo) -> TensorId {
        self.network.tensors.push(info);
        self.network.tensors.len() - 1
    }

    /// Adds a node for the current operator. Its name starts with the key under which TensorFlow Lite's own tools list
    /// intermediate results: the place in the order of execution and the operator.
    pub(super) fn push(&mut self, op: Op<Stored>, inputs: Vec<TensorId>, output: TensorId) {
        self.push_fused(op, Activation::None, inputs, output);
    }

    /// As [`Lowering::push`], with an activation.
    pub(super) fn push_fused(&mut self, op: Op<Stored>, fused: Activation, inputs: Vec<TensorId>, output: TensorId) {
        self.push_rounded(op, fused, inputs, output, self.rounding());
    }

    /// As [`Lowering::push`], for a function of one int8 element.
    pub(super) fn push_table(&mut self, table: lookup::Table, input: TensorId, output: TensorId) {
        self.push(Op::Function(StoredFunction::Table(table)), vec![input], output);
    }

    /// As [`Lowering::push_fused`], rounding in another way than the mode says.
    pub(super) fn push_rounded(
        &mut self,
        op: Op<Stored>,
        activation: Activation,
        inputs: Vec<TensorId>,
        output: TensorId,
        rounding: Rounding,
    ) {
        let operator = &self.model.operators[self.at];
        let name = format!("{:03}_{} {}", self.at, operator.kind, self.short_name(operator));
        self.network.nodes.push(Node { name: name.trim_end().to_owned(), op, activation, inputs, output, rounding });
    }

    /// How the current operator rounds.
    pub(super) fn rounding(&self) -> Rounding {
        match self.mode {
            RoundingMode::Double => Rounding::Double,
            RoundingMode::Single => Rounding::Single,
            // TensorFlow Lite's desktop reference kernels were made over for single rounding one by one.
            RoundingMode::Reference => match self.model.operators[self.at].code {
                op::FULLY_CONNECTED => Rounding::Single,
                _ => Rounding::Double,
            },
        }
    }

    /// Whether `index` is read by exactly one operator: which.
    pub(super) fn only_reader(&self, index: usize) -> Option<&'m Operator<'b>> {
        match self.readers[index] {
            (first, 1) => self.model.operators.get(first).filter(|o| o.inputs().any(|i| i == index)),
            _ => None,
        }
    }

    /// A constant's bytes, after they have been counted.
    pub(super) fn constant(&mut self, index: usize, what: &str) -> Result<&'b [u8], Refusal> {
        let Some(data) = self.model.tensors[index].data else {
            return refuse(format!("its {what} is computed at run time"), "only constant weights are supported");
        };
        self.spend(data.len())?;
        Ok(data)
    }

    /// Counts bytes that are about to be copied.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => {
                refuse("its constants are far larger than the file", "the file names the same bytes again and again")
            }
        }
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        let model = self.model;
        let ends = [
            ("input", model.inputs.iter().copied().find(|&i| !model.is_constant(i))),
            ("output", model.outputs.first().copied()),
        ];
        let mut found = Vec::new();
        for (end, index) in ends {
            match index.map(|index| self.value(index)) {
                Some(Ok(id)) => found.push(id),
                Some(Err((reason, hint))) if self.problems.is_empty() => {
                    self.model_problem(format!("{end}: {reason}"), &hint)
                }
                _ => {}
            }
        }
        if !self.problems.is_empty() {
            return Err(ImportError::Unsupported(self.problems));
        }
        if let [input, output] = found[..] {
            self.network.input = input;
            self.network.output = output;
        }
        prune(&mut self.network);
        Ok(Imported { network: self.network, notes: self.notes })
    }
}

/// A tensor's shape as height, width and channels, its batch of 1 dropped.
pub(super) fn shape(tensor: &Tensor<'_>) -> Result<Shape, Refusal> {
    let dims = &tensor.dims[..];
    // A batch size that is left open is that of one inference.
    let (batch, rest) = match dims {
        [] => (1, &[1][..]),
        [c] => (1, std::slice::from_ref(c)),
        [batch, rest @ ..] => (if *batch == -1 { 1 } else { *batch }, rest),
    };
    if batch != 1 {
        return refuse(
            format!("shape {dims:?}: the first dimension is not 1"),
            "the first dimension is the batch: export the model with a batch size of 1",
        );
    }
    let unsigned = |d: i32| u32::try_from(d).unwrap_or(0);
    let shape = match *rest {
        [c] => Shape::vector(unsigned(c)),
        [w, c] => Shape::new(1, unsigned(w), unsigned(c)),
        [h, w, c] => Shape::new(unsigned(h), unsigned(w), unsigned(c)),
        _ => {
            return refuse(
                format!("shape {dims:?}: more than four dimensions"),
                "only 2-D images and vectors are supported",
            );
        }
    };
    if !shape.is_valid() {
        return refuse(
            format!("shape {dims:?}: a dimension is unknown, zero or too large"),
            "export the model with a fixed input size",
        );
    }
    Ok(shape)
}

/// A quantized activation's scale and zero point.
pub(super) fn quant(tensor: &Tensor<'_>) -> Result<QuantParams, Refusal> {
    let hint =
        "convert the model with full integer quantization (int8, or int16 activations), inputs and outputs included";
    let (dtype, range) = match tensor.dtype {
        Type::Int8 => (DType::I8, "int8 zero points are in -128..=127"),
        Type::Int16 => (DType::I16, "the zero point of int16 activations is 0"),
        other => {
            let reason = format!("a tensor of {} elements, neither int8 nor int16", other.name());
            return refuse(reason, hint);
        }
    };
    match (tensor.scale_count(), tensor.scale()) {
        (1, Some(scale)) if scale.is_finite() && scale > 0.0 => {
            match i32::try_from(tensor.zero_point()).ok().filter(|&z| dtype.has_zero_point(z)) {
                Some(zero_point) => Ok(QuantParams { scale, zero_point }),
                None => refuse(format!("`{}` has zero point {}", tensor.short_name(), tensor.zero_point()), range),
            }
        }
        (1, Some(scale)) => {
            refuse(format!("`{}` has scale {scale}", tensor.short_name()), "scales are positive and finite")
        }
        (0, _) => refuse(format!("`{}` has no scale", tensor.short_name()), hint),
        (n, _) => refuse(format!("`{}` has {n} scales", tensor.short_name()), "activations have one scale"),
    }
}

/// Drops nodes whose results nobody reads, and tensors that no node is left to write or read.
fn prune(network: &mut Network) {
    let mut wanted = vec![false; network.tensors.len()];
    wanted[network.output] = true;
    let mut kept: Vec<Node> = Vec::with_capacity(network.nodes.len());
    for node in network.nodes.drain(..).rev() {
        if wanted[node.output] {
            node.inputs.iter().for_each(|&input| wanted[input] = true);
            kept.push(node);
        }
    }
    kept.reverse();
    wanted[network.input] = true;
    let mut renamed = vec![0; wanted.len()];
    let mut tensors = Vec::new();
    for (id, tensor) in network.tensors.drain(..).enumerate() {
        if wanted[id] {
            renamed[id] = tensors.len();
            tensors.push(tensor);
        }
    }
    for node in &mut kept {
        node.inputs.iter_mut().for_each(|id| *id = renamed[*id]);
        node.output = renamed[node.output];
    }
    (network.nodes, network.tensors) = (kept, tensors);
    (network.input, network.output) = (renamed[network.input], renamed[network.output]);
}
