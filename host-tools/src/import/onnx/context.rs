//! The state of an import: named values, some constant, some nodes of the float graph.

use std::collections::{HashMap, HashSet};

use kinglet::{QuantParams, Shape};

use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::Constant;
use crate::graph::NodeId;
use crate::import::float::{FloatBuilder, ImportedFloat};
use crate::import::problem::{Problem, Problems, Refusal, refuse};
use crate::import::{ImportError, Options};

/// Most nodes and most values of a model.
const MAX_COUNT: usize = 1 << 16;

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
        from_end(axis, rank) == if self.channels_last { rank.wrapping_sub(1) } else { 1 }
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
    /// A map whose channels are in groups, in a fifth dimension, and the dimensions in the file.
    Groups(Activation, Vec<i64>),
    /// What a node that is not supported would have computed.
    Unknown,
}

pub(super) struct Context<'m> {
    pub(super) build: FloatBuilder,
    pub(super) values: HashMap<&'m str, Value>,
    /// How many nodes read a value, the caller included.
    pub(super) readers: HashMap<&'m str, usize>,
    pub(super) nodes: &'m [NodeProto],
    /// Nodes that have been taken together with an earlier one.
    pub(super) taken: HashSet<usize>,
    pub(super) at: usize,
    pub(super) notes: Vec<String>,
    /// Whether the input is channels-last in the file.
    channels_last: bool,
    /// Bytes of numbers that may still be made of constants.
    budget: usize,
}

/// An index of `len` places, of which negative ones count from the end; beyond all places when there is none such.
pub(super) fn from_end(index: i64, len: usize) -> usize {
    usize::try_from(if index < 0 { index + len as i64 } else { index }).unwrap_or(usize::MAX)
}

impl<'m> Context<'m> {
    /// Imports `model`.
    pub(super) fn import(model: &'m ModelProto, options: &Options) -> Result<ImportedFloat, ImportError> {
        let Some(graph) = &model.graph else { return Err(ImportError::Format) };
        let mut problems = Problems::default();
        let mut note = |node: &str, operator: &str, (reason, hint): Refusal| {
            problems.add(Problem { node: node.to_owned(), operator: operator.to_owned(), reason, hint });
        };
        if graph.node.len() > MAX_COUNT || graph.initializer.len() > MAX_COUNT {
            note("the graph", "model", ("more than 65,536 nodes or constants".into(), String::new()));
            return Err(ImportError::Unsupported(problems));
        }
        for set in &model.opset_import {
            if (set.domain.is_empty() || set.domain == "ai.onnx") && !(7..=25).contains(&set.version) {
                let hint = "export the model with an operator set between 11 and 21".to_owned();
                note("the graph", "model", (format!("operator set {}", set.version), hint));
            }
        }
        let mut context = match Self::new(graph, options) {
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
        for (index, node) in graph.node.iter().enumerate() {
            context.at = index;
            if context.taken.contains(&index) {
                continue;
            }
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
        let output = context.output(graph);
        if !problems.is_empty() {
            return Err(ImportError::Unsupported(problems));
        }
        match output.and_then(|(node, quant)| context.finish(node, quant, options)) {
            Ok(imported) => Ok(imported),
            Err((reason, hint)) => {
                problems.add(Problem { node: "the output".into(), operator: "model".into(), reason, hint });
                Err(ImportError::Unsupported(problems))
            }
        }
    }

    fn new(graph: &'m GraphProto, options: &Options) -> Result<Self, Refusal> {
        let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        let mut inputs = graph.input.iter().filter(|input| !constants.contains(input.name.as_str()));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return refuse("not exactly one input", "kinglet runs networks with one input and one output");
        };
        let mut readers: HashMap<&str, usize> = HashMap::new();
        for name in graph.node.iter().flat_map(|n| &n.input).chain(graph.output.iter().map(|o| &o.name)) {
            *readers.entry(name).or_default() += 1;
        }
        let mut readers_of_input = graph.node.iter().filter(|n| n.input.contains(&input.name));
        let to_first =
            |n: &NodeProto| n.op_type == "Transpose" && matches!(ints(n, "perm"), Some([0, 3, 1, 2] | [0, 2, 1]));
        let channels_last = graph.node.iter().any(|n| n.input.contains(&input.name)) && readers_of_input.all(to_first);
        let dims = dimensions(input);
        let shape = shape(&dims, channels_last)?;
        let build = FloatBuilder::new(&options.name, shape)?;
        let first = Activation { node: build.input(), dims, flattened: None, channels_last };
        let size: usize =
            graph.initializer.iter().map(|t| t.raw_data.len() + 8 * t.float_data.len() + t.int32_data.len()).sum();
        Ok(Self {
            build,
            values: HashMap::from([(input.name.as_str(), Value::Activation(first))]),
            readers,
            nodes: &graph.node,
            taken: HashSet::new(),
            at: 0,
            notes: Vec::new(),
            channels_last,
            budget: 64 * size + (1 << 20),
        })
    }

    fn output(&self, graph: &GraphProto) -> Result<(NodeId, Option<QuantParams>), Refusal> {
        let [output] = &graph.output[..] else {
            return refuse(format!("{} outputs", graph.output.len()), "export the model with the one output you need");
        };
        match self.values.get(output.name.as_str()) {
            Some(Value::Activation(a)) if a.flattened.is_none() => Ok((a.node, None)),
            Some(Value::Quantized(a, quant)) => Ok((a.node, Some(*quant))),
            Some(Value::Activation(_)) => {
                refuse("a flattened map is the output", "end the network in a dense layer or a pool")
            }
            _ => refuse("no node computes the output", ""),
        }
    }

    fn finish(
        mut self,
        output: NodeId,
        quant: Option<QuantParams>,
        options: &Options,
    ) -> Result<ImportedFloat, Refusal> {
        if let Some(quant) = quant {
            self.build.quantized(output, quant);
        }
        let (mut graph, params, quants) = self.build.finish(output)?;
        graph.labels.clone_from(&options.labels);
        Ok(ImportedFloat { graph, params, quants, channels_first: !self.channels_last, notes: self.notes })
    }

    /// Counts numbers that are about to be made.
    pub(super) fn spend(&mut self, numbers: usize) -> Result<(), Refusal> {
        match self.budget.checked_sub(numbers.saturating_mul(4)) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => {
                refuse("its constants are far larger than the file", "the file names the same numbers again and again")
            }
        }
    }

    /// The activation that is input `index` of a node.
    pub(super) fn activation(&self, node: &NodeProto, index: usize) -> Result<Activation, Refusal> {
        match self.value(node, index)? {
            Value::Activation(activation) => Ok(activation.clone()),
            Value::Quantized(..) => {
                refuse("it computes on quantized elements", "only QuantizeLinear/DequantizeLinear pairs are supported")
            }
            Value::Constant(_) => refuse("a constant where an activation is needed", ""),
            Value::Groups(_, dims) => refuse(
                format!("an input of dimensions {dims:?}"),
                "groups of channels can be shuffled and become channels again, nothing else",
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
        let after = self.nodes.iter().enumerate().skip(self.at + 1);
        after.take(64).find(|(_, node)| node.input.iter().any(|input| input == name))
    }
}

/// The reason of problems that follow from earlier ones.
pub(super) const UNKNOWN: &str = "it depends on a node that is not supported";

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
        [1, c] => Shape::vector(extent(c)),
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
