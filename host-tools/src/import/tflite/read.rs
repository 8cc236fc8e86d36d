//! One pass over a TensorFlow Lite file, in the file's order, which is a topological one.
//!
//! Whatever is not supported is noted, and the pass goes on with the output that the file declares, so that one run lists
//! everything.

use kinglet::{Activation, DType, QuantParams, Shape};

use super::dims::{is_map, shape};
use super::extras::Extras;
use super::names as op;
use super::operators::hint;
use super::schema::{Model, Operator, Tensor, Type};
use super::state::Variables;
use super::windows::Blocks;
use crate::graph::{Function, NodeId, Op};
use crate::import::draft::Draft;
use crate::import::finish::Ends;
use crate::import::problem::{Problem, Problems, Refusal, UNKNOWN, refuse};
use crate::import::source::{Elements, FileNode, Operator as Neutral, Output};
use crate::import::{self, ImportError, Imported, Options, RoundingMode};
use crate::network::Pixels;

/// What is known of a tensor of the file.
#[derive(Debug)]
pub(super) enum State {
    /// Not computed yet, or a constant.
    None,
    Value(NodeId),
    /// The caller's floats or uint8 elements, which QUANTIZE makes integers of.
    Raw,
    /// A function of the elements of a value, in floats between DEQUANTIZE and QUANTIZE.
    Real(NodeId, Function),
    /// In blocks in the batch, for a convolution.
    Blocks(NodeId, Blocks),
    /// Such a convolution, until the blocks are put together again.
    Convolved(Box<FileNode>, Blocks),
    /// A map whose channels are in groups, in a fifth dimension.
    Groups(NodeId),
    /// What a node that is not supported would have computed, where not even its shape is known.
    Unknown,
}

/// The state of a pass.
#[derive(Debug)]
pub(super) struct Reader<'m, 'b> {
    pub(super) model: &'m Model<'b>,
    pub(super) draft: Draft,
    /// Whether the model computes in floats: none of its activations is quantized.
    pub(super) is_float: bool,
    pub(super) states: Vec<State>,
    /// How many operators read a tensor, the caller included.
    pub(super) readers: Vec<usize>,
    /// How the caller's pixels become elements.
    pub(super) pixels: Option<Pixels>,
    /// What outlasts an inference.
    pub(super) variables: Variables,
    problems: Problems,
}

/// Whether an operator's result is a constant that has been computed.
fn is_folded(model: &Model<'_>, o: &Operator<'_>) -> bool {
    o.output(0).is_some_and(|output| model.is_constant(output))
}

fn is_float(model: &Model<'_>) -> bool {
    let float = |&t: &usize| model.tensors[t].dtype == Type::Float32;
    let integers = |t: usize| matches!(model.tensors[t].dtype, Type::Int8 | Type::Int16 | Type::UInt8);
    let quantized = |o: &Operator<'_>| !is_folded(model, o) && o.outputs().any(integers);
    model.inputs.iter().all(float) && !model.operators.iter().any(quantized)
}

/// Whether a model computes in uint8, which is more than to begin and end with it.
fn is_unsigned(model: &Model<'_>) -> bool {
    let made = |o: &Operator<'_>| o.outputs().any(|t| model.tensors[t].dtype == Type::UInt8);
    model.operators.iter().any(|o| o.code != op::QUANTIZE && !is_folded(model, o) && made(o))
}

/// Imports a model of `count` images at once, if there are several, as a model of one.
pub(super) fn import(
    model: &Model<'_>,
    options: &Options,
    len: usize,
    count: Option<i32>,
) -> Result<import::Model, ImportError> {
    let mut readers = vec![0; model.tensors.len()];
    let read = model.operators.iter().flat_map(Operator::inputs).chain(model.outputs.iter().copied());
    read.for_each(|index| readers[index] += 1);
    let mut reader = Reader {
        model,
        draft: Draft::new(options, len),
        is_float: is_float(model),
        states: model.tensors.iter().map(|_| State::None).collect(),
        readers,
        pixels: None,
        variables: Variables::of(model)?,
        problems: Problems::default(),
    };
    reader.draft.unsigned = is_unsigned(model);
    if options.rounding.is_none() && reader.draft.unsigned {
        reader.draft.options.rounding = Some(RoundingMode::Reference);
        reader
            .draft
            .note("a uint8 model: it rounds as TensorFlow Lite's reference kernels, which TensorFlow Lite Micro lacks");
    }
    if let Some(count) = count {
        reader.draft.note(&format!("the model infers {count} images at once, here one"));
    }
    reader.ends();
    for (index, operator) in model.operators.iter().enumerate().filter(|(_, o)| !is_folded(model, o)) {
        let name = operator.output(0).map_or_else(String::new, |output| model.tensors[output].short_name());
        // A node's name starts with the key under which TensorFlow Lite's own tools list intermediate results: the place in
        // the order of execution and the operator. A float network's parameters are called after the file's names.
        let full = if reader.is_float { name.clone() } else { format!("{index:03}_{} {name}", operator.kind) };
        reader.draft.begin(full.trim_end().to_owned(), name.clone());
        if let Err((reason, hint)) = reader.operator(operator) {
            if reason != UNKNOWN {
                let node = format!("node {index} `{name}`");
                reader.problems.add(Problem { node, operator: operator.kind.clone(), reason, hint });
            }
            operator.outputs().for_each(|output| reader.give_up(output));
        }
    }
    reader.finish()
}

impl<'m, 'b> Reader<'m, 'b> {
    fn model_problem(&mut self, (reason, hint): Refusal) {
        self.problems.add(Problem { node: "the graph".into(), operator: "model".into(), reason, hint });
    }

    /// Checks the graph's ends, and takes its inputs.
    fn ends(&mut self) {
        let model = self.model;
        if model.subgraphs != 1 + usize::from(model.once.is_some()) {
            self.model_problem((
                format!("it has {} subgraphs", model.subgraphs),
                "control flow and several signatures are not supported: export one inference function".into(),
            ));
        }
        if model.activation_inputs().next().is_none() || model.outputs.is_empty() {
            let hint = "export the whole inference function".to_owned();
            self.model_problem(("it has no input or no output".to_owned(), hint));
        }
        for &input in model.inputs.iter().filter(|&&input| model.is_shape(input)) {
            let name = model.tensors[input].short_name();
            self.draft.note(&format!("the input `{name}` is left out: it is a shape, which the file declares"));
        }
        for input in model.activation_inputs() {
            let tensor = &model.tensors[input];
            self.states[input] = match (self.is_float, tensor.dtype) {
                (false, Type::Float32) => State::Raw,
                (false, Type::UInt8) if self.is_quantized_first(input) => State::Raw,
                _ => {
                    let name = tensor.short_name();
                    self.draft.begin(name.clone(), name);
                    match self.declared(input) {
                        Ok((shape, elements)) => {
                            let id = self.draft.input(shape, elements);
                            if tensor.dtype == Type::UInt8 {
                                self.take_unsigned(input, id);
                            }
                            State::Value(id)
                        }
                        Err(refusal) => {
                            self.model_problem(refusal);
                            State::Unknown
                        }
                    }
                }
            };
        }
    }

    /// Whether an input goes through QUANTIZE before anything else reads it.
    fn is_quantized_first(&self, input: usize) -> bool {
        let mut readers = self.model.operators.iter().filter(|o| o.inputs().any(|t| t == input));
        readers.all(|o| o.code == op::QUANTIZE)
    }

    /// The shape and the elements that the file declares for a tensor.
    pub(super) fn declared(&self, index: usize) -> Result<(Shape, Option<Elements>), Refusal> {
        Ok((shape(&self.model.tensors[index])?, self.elements(index)?))
    }

    /// The elements of an activation; `None` in a model that computes in floats.
    pub(super) fn elements(&self, index: usize) -> Result<Option<Elements>, Refusal> {
        let tensor = &self.model.tensors[index];
        match tensor.dtype {
            Type::Float32 if self.is_float => Ok(None),
            other if self.is_float => refuse(format!("a tensor of {} elements", other.name()), ""),
            _ => elements(tensor).map(Some),
        }
    }

    /// Lets what the file declares stand for what could not be lowered.
    fn give_up(&mut self, output: usize) {
        if matches!(self.states[output], State::None) {
            self.states[output] = match self.declared(output) {
                Ok((shape, elements)) => State::Value(self.draft.input(shape, elements)),
                Err(_) => State::Unknown,
            };
        }
    }

    /// The value that is input `input` of an operator.
    pub(super) fn operand(&self, o: &Operator<'_>, input: usize) -> Result<NodeId, Refusal> {
        match o.input(input) {
            Some(index) => self.value(index),
            None => refuse(format!("input {input} is missing"), ""),
        }
    }

    /// The same where it has to be a map, not rows of a batch.
    pub(super) fn map(&self, o: &Operator<'_>, input: usize) -> Result<NodeId, Refusal> {
        match o.input(input).map(|index| &self.model.tensors[index].dims) {
            Some(dims) if !is_map(dims) => refuse(
                format!("shape {dims:?}: the first dimension is not 1"),
                "the first dimension is the batch: export the model with a batch size of 1",
            ),
            _ => self.operand(o, input),
        }
    }

    pub(super) fn value(&self, index: usize) -> Result<NodeId, Refusal> {
        let tensor = &self.model.tensors[index];
        match &self.states[index] {
            State::Value(id) => Ok(*id),
            State::Unknown => refuse(UNKNOWN, ""),
            State::Raw => {
                refuse(format!("a tensor of {} elements, neither int8 nor int16", tensor.dtype.name()), QUANTIZE)
            }
            State::Real(..) => refuse(
                "it computes in floats in the middle of the network",
                "only functions of one element may, or the whole of the network",
            ),
            State::Blocks(..) | State::Convolved(..) => {
                refuse("blocks of SPACE_TO_BATCH_ND that are not put together behind it", hint(op::SPACE_TO_BATCH_ND))
            }
            State::Groups(_) => refuse(
                "groups of channels that become something else",
                "groups and their channels may change places, nothing else",
            ),
            State::None if self.model.is_constant(index) => refuse("a constant where an activation is needed", ""),
            State::None => refuse(
                format!("it reads `{}`, which no earlier node writes", tensor.short_name()),
                "the file's operators are not in order of execution",
            ),
        }
    }

    /// The shape that the file declares for an operator's output.
    pub(super) fn shape(&self, o: &Operator<'_>) -> Result<Shape, Refusal> {
        match o.output(0) {
            Some(output) => shape(&self.model.tensors[output]),
            None => refuse("it has no output", ""),
        }
    }

    /// What the file says of an operator's output.
    pub(super) fn output(&self, o: &Operator<'_>, activation: Activation) -> Result<Output, Refusal> {
        match o.output(0) {
            Some(output) => Ok(Output { elements: self.elements(output)?, activation }),
            None => refuse("it has no output", ""),
        }
    }

    /// Lowers an operator of activations to what its output is.
    pub(super) fn lower(&mut self, o: &Operator<'_>, operator: Neutral, inputs: &[NodeId]) -> Result<(), Refusal> {
        let output = self.output(o, Activation::None)?;
        self.lower_node(o, FileNode::new(operator, inputs, output))
    }

    pub(super) fn lower_node(&mut self, o: &Operator<'_>, node: FileNode) -> Result<(), Refusal> {
        let id = self.draft.lower(node)?;
        self.set(o, 0, id)
    }

    /// Lets a value be output `index` of an operator.
    pub(super) fn set(&mut self, o: &Operator<'_>, index: usize, id: NodeId) -> Result<(), Refusal> {
        let Some(output) = o.output(index) else { return refuse("it has no output", "") };
        if !matches!(self.states[output], State::None) || self.model.is_constant(output) {
            return refuse("its output is written twice", "");
        }
        let (Shape { h, w, c }, declared) = (self.draft.shape(id), shape(&self.model.tensors[output])?);
        if declared != Shape::new(h, w, c) {
            let Shape { h: y, w: x, c: z } = declared;
            return refuse(
                format!("the output should be {h} x {w} x {c}, the file says {y} x {x} x {z}"),
                "the file contradicts itself",
            );
        }
        self.states[output] = State::Value(id);
        Ok(())
    }

    fn finish(mut self) -> Result<import::Model, ImportError> {
        let model = self.model;
        let mut ends = Ends::default();
        match self.lasting() {
            Ok(states) => ends.states = states,
            Err(refusal) if self.problems.is_empty() => self.model_problem(refusal),
            Err(_) => {}
        }
        let inputs = model.activation_inputs().map(|index| ("input", index));
        for (end, index) in inputs.chain(model.outputs.iter().map(|&index| ("output", index))) {
            let name = model.tensors[index].short_name();
            let found = match &self.states[index] {
                // The caller makes floats of it; others read them too.
                State::Real(id, function) if end == "output" && *function == Function::X => Ok(*id),
                _ => self.value(index),
            };
            match found {
                Ok(mut id) => {
                    if end == "output" && model.tensors[index].dtype == Type::UInt8 {
                        let output = self.end("output", index);
                        self.draft.note(&format!("{output} is int8: add 128 for the model's uint8"));
                    }
                    if end == "output" && self.draft.node(id).op == Op::Input {
                        // What is an input too is written by a node of its own.
                        match self.draft.push(Op::Reshape(self.draft.shape(id)), &[id], self.draft.elements(id)) {
                            Ok(copy) => id = copy,
                            Err(refusal) => self.model_problem(refusal),
                        }
                    }
                    if end == "input" { &mut ends.inputs } else { &mut ends.outputs }.push(id);
                    // The caller knows it by the name that the file's end has.
                    self.draft.values[id.0].name = name;
                }
                Err((reason, hint)) if self.problems.is_empty() => {
                    self.model_problem((format!("{end} `{name}`: {reason}"), hint));
                }
                Err(_) => {}
            }
        }
        if !self.problems.is_empty() {
            return Err(ImportError::Unsupported(self.problems));
        }
        let Self { draft, mut problems, pixels, is_float, .. } = self;
        let (notes, options) = (draft.notes.clone(), draft.options.clone());
        let finished = if is_float {
            draft.into_floats(&ends, false).map(import::Model::Float)
        } else {
            draft.into_network(ends).map(|mut network| {
                network.pixels = pixels;
                if let Some(extras) = model.extras.and_then(Extras::read) {
                    extras.apply(&mut network, options.rounding.is_some());
                }
                if !options.labels.is_empty() {
                    network.labels = options.labels;
                }
                import::Model::Int8(Imported { network, notes })
            })
        };
        finished.map_err(|(reason, hint)| {
            problems.add(Problem { node: "the output".into(), operator: "model".into(), reason, hint });
            ImportError::Unsupported(problems)
        })
    }
}

/// What to do about activations of other types.
const QUANTIZE: &str =
    "convert the model with full integer quantization (int8, or int16 activations), inputs and outputs included";

/// A quantized activation's elements, or a constant's of the same types.
pub(super) fn elements(tensor: &Tensor<'_>) -> Result<Elements, Refusal> {
    let (dtype, range) = match tensor.dtype {
        Type::Int8 => (DType::I8, "int8 zero points are in -128..=127"),
        Type::UInt8 => (DType::I8, "uint8 zero points are in 0..=255"),
        Type::Int16 => (DType::I16, "the zero point of int16 activations is 0"),
        other => {
            let reason = format!("a tensor of {} elements, neither int8 nor int16", other.name());
            return refuse(reason, QUANTIZE);
        }
    };
    let quant = match (tensor.scale_count(), tensor.scale()) {
        (1, Some(scale)) if scale.is_finite() && scale > 0.0 => {
            // Elements of uint8 are 128 less here, and so is what stands for zero.
            let less = if tensor.dtype == Type::UInt8 { 128 } else { 0 };
            match i32::try_from(tensor.zero_point().saturating_sub(less)).ok().filter(|&z| dtype.has_zero_point(z)) {
                Some(zero_point) => QuantParams { scale, zero_point },
                None => {
                    return refuse(format!("`{}` has zero point {}", tensor.short_name(), tensor.zero_point()), range);
                }
            }
        }
        (1, Some(scale)) => {
            return refuse(format!("`{}` has scale {scale}", tensor.short_name()), "scales are positive and finite");
        }
        (0, _) => return refuse(format!("`{}` has no scale", tensor.short_name()), QUANTIZE),
        (n, _) => return refuse(format!("`{}` has {n} scales", tensor.short_name()), "activations have one scale"),
    };
    Ok(Elements { dtype, quant })
}
