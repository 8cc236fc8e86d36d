//! The state of an import: named values, some constant, some nodes of the float graph.

use std::collections::{HashMap, HashSet};

use kinglet::{QuantParams, Shape};

use super::apart::Apart;
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::tensor::{Constant, Values};
use crate::graph::NodeId;
use crate::import::draft::Draft;
use crate::import::finish::{Ends, ImportedFloat};
use crate::import::problem::{Problem, Problems, Refusal, UNKNOWN, refuse};
use crate::import::source::{FileNode, Numbers, Operator, Output};
use crate::import::{ImportError, Options};

/// Most nodes and most values of a model.
const MAX_COUNT: usize = 1 << 16;

/// The versions of ONNX's operators that are known.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// A value that is computed from the input.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    pub(super) node: NodeId,
    /// Its dimensions in the file.
    pub(super) dims: Vec<i64>,
    /// The map that a vector was flattened from, when its elements are in another order than the file's.
    pub(super) flattened: Option<Shape>,
    /// Whether a map's dimensions in the file are channels-last, because the file transposes its input itself.
    pub(super) channels_last: bool,
}

impl Activation {
    /// Whether an axis of its dimensions, counted from the end when negative, is the channels.
    pub(super) fn is_channels(&self, axis: i64) -> bool {
        let rank = self.dims.len();
        from_end(axis, rank) == if self.channels_last || rank == 1 { rank.wrapping_sub(1) } else { 1 }
    }

    /// Height (0), width (1) or channels (2), by an axis of its dimensions, counted from the end when negative.
    pub(super) fn axis(&self, axis: i64) -> Option<usize> {
        let (rank, at) = (self.dims.len(), from_end(axis, self.dims.len()));
        match rank {
            _ if self.is_channels(axis) => Some(2),
            3 | 4 if (1..rank).contains(&at) => Some(at + usize::from(self.channels_last) + 2 - rank),
            _ => None,
        }
    }

    /// Numbers for channels, or for elements in the file's order: in our order.
    pub(super) fn in_our_order(&self, numbers: &[f32]) -> Vec<f32> {
        let (channels, pixels) = match (self.flattened, &self.dims[..]) {
            (Some(Shape { h, w, c }), _) => (c as usize, (h * w) as usize),
            (None, [_, c, pixels @ ..]) if !self.channels_last => {
                (*c as usize, pixels.iter().fold(1, |n: usize, &d| n.saturating_mul(d as usize)))
            }
            _ => (numbers.len(), 1),
        };
        if numbers.len() != channels.saturating_mul(pixels) {
            return numbers.to_vec();
        }
        (0..numbers.len()).map(|at| numbers[at % channels * pixels + at / channels]).collect()
    }
}

/// A named value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(std::rc::Rc<Constant>),
    Activation(Activation),
    /// Quantized by QuantizeLinear, and read only by DequantizeLinear.
    Quantized(Activation, QuantParams),
    /// Repeated by Expand to dimensions that arithmetic would broadcast it to by itself.
    Expanded(Activation, Vec<i64>),
    /// A map in more dimensions than one has.
    Apart(Apart),
    /// What a node that is not supported would have computed.
    Unknown,
}

pub(super) struct Context<'m> {
    pub(super) draft: Draft,
    pub(super) values: HashMap<&'m str, Value>,
    /// The integers that constants were made real of, and their scales, by the names of the real ones.
    pub(super) integers: HashMap<&'m str, [std::rc::Rc<Constant>; 2]>,
    /// Of what the lengths are that are in nodes: of each pixel's channels.
    pub(super) lengths: HashMap<NodeId, NodeId>,
    inputs: Vec<NodeId>,
    /// How many nodes read a value, the caller included.
    pub(super) readers: HashMap<&'m str, usize>,
    /// The nodes that the output depends on, with their places in the file.
    pub(super) nodes: Vec<(usize, &'m NodeProto)>,
    /// The version of ONNX's operators.
    pub(super) opset: i64,
    /// Nodes that have been taken together with an earlier one.
    pub(super) taken: HashSet<usize>,
    pub(super) at: usize,
    /// Whether the input is channels-last in the file.
    channels_last: bool,
}

/// An index of `len` places, of which negative ones count from the end; beyond all places when there is none such.
pub(super) fn from_end(index: i64, len: usize) -> usize {
    usize::try_from(if index < 0 { index + len as i64 } else { index }).unwrap_or(usize::MAX)
}

impl<'m> Context<'m> {
    /// Imports `model`.
    pub(super) fn import(model: &'m ModelProto, options: &'m Options) -> Result<ImportedFloat, ImportError> {
        let Some(graph) = &model.graph else { return Err(ImportError::Format) };
        let mut problems = Problems::default();
        let mut note = |node: &str, operator: &str, (reason, hint): Refusal| {
            problems.add(Problem { node: node.to_owned(), operator: operator.to_owned(), reason, hint });
        };
        if graph.node.len() > MAX_COUNT || graph.initializer.len() > MAX_COUNT {
            note("the graph", "model", ("more than 65,536 nodes or constants".into(), String::new()));
            return Err(ImportError::Unsupported(problems));
        }
        let set = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        let opset = set.map_or(*OPSETS.end(), |set| set.version);
        if !OPSETS.contains(&opset) {
            let hint = format!("export the model with an operator set between 11 and {}", OPSETS.end());
            note("the graph", "model", (format!("operator set {opset}"), hint));
        }
        if let Some(input) = options.inputs.first() {
            note(
                "the graph",
                "model",
                (format!("it is to begin at `{input}`"), "only TensorFlow Lite files can".into()),
            );
        }
        let outputs: Vec<&str> = match &options.outputs[..] {
            [] => graph.output.iter().map(|output| output.name.as_str()).collect(),
            names => names.iter().map(String::as_str).collect(),
        };
        let mut context = match Self::new(graph, &outputs, opset, options) {
            Ok(context) => context,
            Err(refusal) => {
                note("the graph", "model", refusal);
                return Err(ImportError::Unsupported(problems));
            }
        };
        for initializer in &graph.initializer {
            let value = match Constant::read(initializer) {
                Ok(constant) => Value::Constant(constant.into()),
                Err(refusal) => {
                    note(&format!("constant `{}`", short(&initializer.name)), "initializer", refusal);
                    Value::Unknown
                }
            };
            context.values.insert(&initializer.name, value);
        }
        for at in 0..context.nodes.len() {
            let (index, node) = context.nodes[at];
            context.at = at;
            if context.taken.contains(&at) {
                continue;
            }
            context.draft.begin(super::ops::name(node).to_owned(), String::new());
            if let Err(refusal) = context.node(node) {
                let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
                let name = name.map_or("", String::as_str);
                // What follows from an earlier problem is none of its own.
                if refusal.0 != UNKNOWN {
                    note(&format!("node {index} `{}`", short(name)), &node.op_type, refusal);
                }
                for output in &node.output {
                    context.values.entry(output).or_insert(Value::Unknown);
                }
            }
        }
        if !problems.is_empty() {
            return Err(ImportError::Unsupported(problems));
        }
        context.finish(&outputs).map_err(|(reason, hint)| {
            problems.add(Problem { node: "the outputs".into(), operator: "model".into(), reason, hint });
            ImportError::Unsupported(problems)
        })
    }

    fn new(graph: &'m GraphProto, outputs: &[&'m str], opset: i64, options: &Options) -> Result<Self, Refusal> {
        let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let mut inputs: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).collect();
        let nodes = needed(graph, outputs);
        let mut readers: HashMap<&str, usize> = HashMap::new();
        let reads = nodes.iter().flat_map(|(_, node)| reads(node));
        for name in reads.chain(outputs.iter().copied()) {
            *readers.entry(name).or_default() += 1;
        }
        let mut context = Self {
            draft: Draft::new(options, numbers(graph)),
            values: HashMap::new(),
            integers: HashMap::new(),
            lengths: HashMap::new(),
            inputs: Vec::new(),
            readers,
            nodes,
            opset,
            taken: HashSet::new(),
            at: 0,
            channels_last: false,
        };
        let is_only = inputs.len() == 1;
        inputs.retain(|input| is_only || context.readers.contains_key(input.name.as_str()));
        for input in inputs {
            let reads_it = |node: &&NodeProto| node.input.contains(&input.name);
            let mut readers = context.nodes.iter().map(|&(_, node)| node).filter(reads_it).peekable();
            let channels_last = readers.peek().is_some() && readers.all(|node| takes_channels_last(graph, node));
            let dims = dimensions(input);
            let shape = shape(&dims, channels_last)?;
            context.draft.begin(short(&input.name), short(&input.name));
            let node = context.draft.input(shape, None);
            let first = Activation { node, dims, flattened: None, channels_last };
            context.values.insert(&input.name, Value::Activation(first));
            context.channels_last |= channels_last && context.inputs.is_empty();
            context.inputs.push(node);
        }
        if context.inputs.is_empty() {
            return refuse("no input", "");
        }
        Ok(context)
    }

    fn finish(mut self, names: &[&str]) -> Result<ImportedFloat, Refusal> {
        let mut outputs = Vec::new();
        for &name in names {
            match self.values.get(name).cloned() {
                Some(Value::Activation(a)) => {
                    self.draft.begin(name.to_owned(), String::new());
                    outputs.push(self.in_order(a)?.node);
                }
                Some(Value::Quantized(a, quant)) => {
                    self.draft.quants.insert(a.node, quant);
                    outputs.push(a.node);
                }
                Some(Value::Apart(apart)) => {
                    self.draft.begin(name.to_owned(), String::new());
                    outputs.push(self.as_output(&apart)?);
                }
                _ => return refuse(format!("no node computes the output `{}`", short(name)), ""),
            }
        }
        if outputs.is_empty() {
            return refuse("no output", "");
        }
        for (output, name) in outputs.iter().zip(names) {
            self.draft.values[output.0].name = short(name);
        }
        let ends = Ends { inputs: self.inputs.clone(), outputs, states: Vec::new() };
        self.draft.into_floats(&ends, !self.channels_last)
    }

    /// Counts numbers that are about to be made.
    pub(super) fn spend(&mut self, numbers: usize) -> Result<(), Refusal> {
        self.draft.spend(numbers.saturating_mul(4))
    }

    /// Lowers an operator of activations.
    pub(super) fn lower(&mut self, operator: Operator, inputs: &[NodeId]) -> Result<NodeId, Refusal> {
        self.draft.lower(FileNode::new(operator, inputs, Output::default()))
    }

    pub(super) fn shape(&self, input: &Activation) -> Shape {
        self.draft.shape(input.node)
    }

    /// Input 1 of a node in our order, which `arrange` brings it in: integers if the file has some.
    pub(super) fn weights(
        &mut self,
        node: &NodeProto,
        channels: usize,
        arrange: impl Fn(&Constant) -> Result<Constant, Refusal>,
    ) -> Result<Numbers, Refusal> {
        let real = self.constant(node, 1)?;
        self.spend(real.len())?;
        let integers = node.input.get(1).and_then(|name| self.integers.get(name.as_str()));
        if let Some([integers, scale]) = integers
            && let Ok(scales) = scale.floats()
            && (scales.len() == 1 || scales.len() == channels)
            && let Values::Bytes { values, .. } = arrange(integers)?.values
        {
            return Ok(Numbers::Integers { values, scales: scales.to_vec() });
        }
        Ok(Numbers::Reals(arrange(&real)?.floats()?.to_vec()))
    }

    /// The activation that is input `index` of a node.
    pub(super) fn activation(&self, node: &NodeProto, index: usize) -> Result<Activation, Refusal> {
        match self.value(node, index)? {
            Value::Activation(activation) => Ok(activation.clone()),
            Value::Quantized(..) => {
                refuse("it computes on quantized elements", "only QuantizeLinear/DequantizeLinear pairs are supported")
            }
            Value::Constant(_) => refuse("a constant where an activation is needed", ""),
            Value::Expanded(_, dims) => refuse(
                format!("an input that Expand repeats to {dims:?}"),
                "only arithmetic can take it, which broadcasts by itself",
            ),
            Value::Apart(apart) => refuse(
                format!("an input of dimensions {:?}", apart.dims()),
                "what has more dimensions than a map can be reshaped, transposed, and any function's argument, nothing else",
            ),
            Value::Unknown => refuse(UNKNOWN, ""),
        }
    }

    /// A list of integers: constant input `index`, or, in files of before it was one, attribute `name`.
    pub(super) fn list(&self, node: &NodeProto, index: usize, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        match self.optional(node, index)? {
            Some(list) => Ok(Some(list.integers()?.to_vec())),
            None => Ok(ints(node, name).map(<[i64]>::to_vec)),
        }
    }

    /// The constant that is input `index` of a node, or `None` when the input is left out.
    pub(super) fn optional(&self, node: &NodeProto, index: usize) -> Result<Option<std::rc::Rc<Constant>>, Refusal> {
        if node.input.get(index).is_none_or(String::is_empty) {
            return Ok(None);
        }
        match self.value(node, index)? {
            Value::Constant(constant) => Ok(Some(constant.clone())),
            Value::Unknown => refuse(UNKNOWN, ""),
            _ => refuse(format!("input {index} is computed at run time"), "only constant weights are supported"),
        }
    }

    /// The constant that is input `index` of a node.
    pub(super) fn constant(&self, node: &NodeProto, index: usize) -> Result<std::rc::Rc<Constant>, Refusal> {
        match self.optional(node, index)? {
            Some(constant) => Ok(constant),
            None => refuse(format!("input {index} is missing"), ""),
        }
    }

    pub(super) fn value(&self, node: &NodeProto, index: usize) -> Result<&Value, Refusal> {
        match node.input.get(index).map(|name| (name, self.values.get(name.as_str()))) {
            Some((_, Some(value))) => Ok(value),
            Some((name, None)) => refuse(format!("it reads `{}`, which no earlier node writes", short(name)), ""),
            None => refuse(format!("input {index} is missing"), ""),
        }
    }

    /// Names the first output of a node.
    pub(super) fn set(&mut self, node: &'m NodeProto, value: Value) {
        if let Some(output) = node.output.first() {
            self.values.insert(output, value);
        }
    }

    /// Names the first output of a node an activation.
    pub(super) fn set_activation(&mut self, node: &'m NodeProto, activation: Activation) {
        self.set(node, Value::Activation(activation));
    }

    /// The only node after this one that reads `name`.
    pub(super) fn only_reader(&self, name: &str) -> Option<(usize, &'m NodeProto)> {
        if self.readers.get(name) != Some(&1) {
            return None;
        }
        let after = self.nodes.iter().map(|&(_, node)| node).enumerate().skip(self.at + 1);
        after.take(64).find(|(_, node)| node.input.iter().any(|input| input == name))
    }
}

/// The values that a node reads, those within its branches included.
fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).collect();
    for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
        names.extend(graph.node.iter().flat_map(reads));
        names.extend(graph.output.iter().map(|output| output.name.as_str()));
    }
    names
}

/// The nodes that the graph's outputs depend on, in its order.
fn needed<'m>(graph: &'m GraphProto, outputs: &[&'m str]) -> Vec<(usize, &'m NodeProto)> {
    let mut wanted: HashSet<&str> = outputs.iter().copied().collect();
    let mut nodes = Vec::new();
    for (index, node) in graph.node.iter().enumerate().rev() {
        if node.output.iter().any(|output| wanted.contains(output.as_str())) {
            wanted.extend(reads(node));
            nodes.push((index, node));
        }
    }
    nodes.reverse();
    nodes
}

/// Bytes of numbers that a graph holds.
fn numbers(graph: &GraphProto) -> usize {
    let of = |t: &TensorProto| {
        t.raw_data.len() + 8 * (t.float_data.len() + t.int64_data.len() + t.double_data.len()) + t.int32_data.len()
    };
    let within =
        |attribute: &AttributeProto| attribute.t.as_ref().map_or(0, of) + attribute.g.as_ref().map_or(0, numbers);
    let nodes = graph.node.iter().flat_map(|node| &node.attribute);
    graph.initializer.iter().map(of).sum::<usize>() + nodes.map(within).sum::<usize>()
}

/// Whether a node that reads the input takes its last dimension for the channels: one that makes it channels-first, or one
/// that makes a picture of one channel of a sequence, whose order of elements is the same.
fn takes_channels_last(graph: &GraphProto, node: &NodeProto) -> bool {
    let stored = |name: &String| {
        let constant = |node: &&NodeProto| node.op_type == "Constant" && node.output.contains(name);
        let given = graph.node.iter().find(constant).and_then(|node| attribute(node, "value")?.t.as_ref());
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == *name).or(given);
        let tensor = tensor.filter(|tensor| tensor.raw_data.len() <= 64 && tensor.int64_data.len() <= 8)?;
        Some(Constant::read(tensor).ok()?.integers().ok()?.to_vec())
    };
    let axes = || ints(node, "axes").map(<[i64]>::to_vec).or_else(|| stored(node.input.get(1)?));
    match node.op_type.as_str() {
        "Transpose" => matches!(ints(node, "perm"), Some([0, 3, 1, 2] | [0, 2, 1])),
        "Unsqueeze" => axes().is_some_and(|axes| axes == [1]),
        _ => false,
    }
}

/// A name that fits on a line.
pub(super) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

fn dimensions(info: &ValueInfoProto) -> Vec<i64> {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dims = tensor.and_then(|t| t.shape.as_ref()).map_or(&[][..], |s| &s.dim);
    let mut dims: Vec<i64> = dims.iter().take(8).map(|d| d.dim_value).collect();
    // A batch size that is left open is that of one inference.
    if let Some(batch @ 0) = dims.first_mut() {
        *batch = 1;
    }
    dims
}

/// The shape of a value of dimensions `dims`.
pub(super) fn shape(dims: &[i64], channels_last: bool) -> Result<Shape, Refusal> {
    let extent = |d: i64| u32::try_from(d).unwrap_or(0);
    let shape = match *dims {
        [c] | [1, c] => Shape::vector(extent(c)),
        [1, w, c] if channels_last => Shape::new(1, extent(w), extent(c)),
        [1, c, w] => Shape::new(1, extent(w), extent(c)),
        [1, h, w, c] if channels_last => Shape::new(extent(h), extent(w), extent(c)),
        [1, c, h, w] => Shape::new(extent(h), extent(w), extent(c)),
        [batch, ..] if batch != 1 => {
            return refuse(
                format!("dimensions {dims:?}: the first is not 1"),
                "export the model with a batch size of 1",
            );
        }
        _ => return refuse(format!("dimensions {dims:?}"), "only 1-D and 2-D images and vectors are supported"),
    };
    if shape.is_valid() {
        Ok(shape)
    } else {
        refuse(
            format!("dimensions {dims:?}: one is unknown, zero or too large"),
            "export the model with a fixed input size",
        )
    }
}

pub(super) fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// An integer attribute.
pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |attribute| attribute.i)
}

/// A float attribute.
pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, |attribute| attribute.f)
}

/// A list of integers.
pub(super) fn ints<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    attribute(node, name).map(|attribute| &attribute.ints[..])
}
