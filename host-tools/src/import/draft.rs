//! A network that is being read: nodes over the constants that the file gives.
//!
//! When all is read it becomes an integer network or a float graph (`finish`).

use std::collections::BTreeMap;

use kinglet::{Activation, Rounding, Shape, Window};

use super::problem::{Refusal, refuse};
use super::source::{Bias, Curve, Elements, Filter, List, Norm, Numbers, Output};
use super::{Options, Relu6, RoundingMode};
use crate::graph::{Channels, Constants, Function, GraphError, Node, NodeId, Op, StoredFunction};

/// Constants as a file has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Given;

impl Constants for Given {
    type Weights = Filter;
    type Constant = List;
    type Function = GivenFunction;
    type Epsilon = Norm;
}

impl Channels for Filter {
    fn channels(&self) -> usize {
        self.bias.len()
    }
}

/// A function of one element.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum GivenFunction {
    /// Of real numbers.
    Real(Function),
    /// Of integers.
    Stored(StoredFunction),
}

/// A node and the value that it makes.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) node: Node<Given>,
    /// The value's name in the file.
    pub(super) name: String,
    /// `None` where the file computes in floats.
    pub(super) elements: Option<Elements>,
    pub(super) rounding: Rounding,
}

/// A network that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) options: Options,
    pub(super) values: Vec<Value>,
    /// Quantization that the file gives for values that it computes in floats.
    pub(super) quants: BTreeMap<NodeId, kinglet::QuantParams>,
    /// Whether that is of int16 elements.
    pub(super) int16: bool,
    /// Whether the file computes in uint8: elements are 128 less here.
    pub(super) unsigned: bool,
    /// What the user should know.
    pub(super) notes: Vec<String>,
    /// The names of the nodes, and of the values, of the operator that is being lowered.
    names: [String; 2],
    /// Bytes of constants that may still be made: files can name the same bytes many times.
    budget: usize,
    /// Bounds of values, of as many as were asked for.
    bounds: Vec<(f64, f64)>,
}

impl Draft {
    /// A network of a file with `len` bytes of constants.
    pub(super) fn new(options: &Options, len: usize) -> Self {
        Self {
            options: options.clone(),
            values: Vec::new(),
            quants: BTreeMap::new(),
            int16: false,
            unsigned: false,
            notes: Vec::new(),
            names: Default::default(),
            budget: len.saturating_mul(64).saturating_add(options.constants.unwrap_or(1 << 31)),
            bounds: Vec::new(),
        }
    }

    /// Names what is lowered from now on: its nodes, and the values that they make.
    pub(super) fn begin(&mut self, node: String, value: String) {
        self.names = [node, value];
    }

    /// Adds a note, once.
    pub(super) fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Counts bytes that are about to be made.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => refuse(
                "its constants are far larger than the file",
                "the file names the same bytes again and again, or computes them",
            ),
        }
    }

    pub(super) fn mode(&self) -> RoundingMode {
        self.options.rounding.unwrap_or_default()
    }

    pub(super) fn relu6(&self) -> Relu6 {
        self.options.relu6
    }

    /// How operators round; `dense` is whether it is a dense layer. TensorFlow Lite's desktop reference kernels were made
    /// over for single rounding one by one.
    pub(super) fn rounding(&self, dense: bool) -> Rounding {
        match self.mode() {
            RoundingMode::Tflm | RoundingMode::Tflm2025 => Rounding::Double,
            RoundingMode::Single => Rounding::Single,
            RoundingMode::Reference if dense => Rounding::Single,
            RoundingMode::Reference => Rounding::Double,
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node<Given> {
        &self.values[id.0].node
    }

    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.node(id).shape
    }

    pub(super) fn elements(&self, id: NodeId) -> Option<Elements> {
        self.values[id.0].elements
    }

    /// A value that the caller provides, or that stands for what could not be lowered.
    pub(super) fn input(&mut self, shape: Shape, elements: Option<Elements>) -> NodeId {
        let [name, value] = self.names.clone();
        let node = Node { name, op: Op::Input, activation: Activation::None, inputs: Vec::new(), shape };
        self.values.push(Value { node, name: value, elements, rounding: Rounding::Double });
        NodeId(self.values.len() - 1)
    }

    /// Adds a node.
    pub(super) fn push(
        &mut self,
        op: Op<Given>,
        inputs: &[NodeId],
        output: impl Into<Output>,
    ) -> Result<NodeId, Refusal> {
        self.push_rounded(op, inputs, output.into(), self.rounding(false))
    }

    /// As [`Draft::push`], rounding in another way than the mode says.
    pub(super) fn push_rounded(
        &mut self,
        op: Op<Given>,
        inputs: &[NodeId],
        Output { elements, activation }: Output,
        rounding: Rounding,
    ) -> Result<NodeId, Refusal> {
        let [name, value] = self.names.clone();
        let shapes: Vec<Shape> = inputs.iter().map(|&id| self.shape(id)).collect();
        let shape = op.output(&name, &shapes).map_err(refusal)?;
        let fused = if elements.is_some() { activation } else { Activation::None };
        let node = Node { name, op, activation: fused, inputs: inputs.to_vec(), shape };
        self.values.push(Value { node, name: value, elements, rounding });
        let id = NodeId(self.values.len() - 1);
        // Of floats an activation is a node of its own, which the quantizer takes in where it can.
        let curve = match activation {
            _ if elements.is_some() => return Ok(id),
            Activation::None => return Ok(id),
            Activation::Relu => Curve::Relu,
            Activation::Relu6 => Curve::Relu6,
            Activation::ReluN1To1 => Curve::ReluN1To1,
        };
        self.real(id, curve.real())
    }

    /// A function of every element of a value of floats.
    pub(super) fn real(&mut self, input: NodeId, function: Function) -> Result<NodeId, Refusal> {
        self.push(Op::Function(GivenFunction::Real(function)), &[input], None)
    }

    /// A table of every element of a value of int8.
    pub(super) fn table(&mut self, table: Vec<i8>, input: NodeId, output: Output) -> Result<NodeId, Refusal> {
        let function = GivenFunction::Stored(StoredFunction::Table(table));
        // What follows is in the table.
        self.push(Op::Function(function), &[input], output.elements)
    }

    /// Weights of which each is 0 or 1, at `ones`, without a bias.
    fn taps(&mut self, input: NodeId, len: usize, ones: &[usize], channels: usize) -> Result<Filter, Refusal> {
        self.spend(len.saturating_add(channels).saturating_mul(4))?;
        if self.elements(input).is_some() {
            let mut values = vec![0; len];
            ones.iter().for_each(|&at| values[at] = 1);
            let weights = Numbers::Integers { values, scales: vec![1.0] };
            return Ok(Filter { weights, bias: Bias::Integers(vec![0; channels], false) });
        }
        let mut reals = vec![0.0; len];
        ones.iter().for_each(|&at| reals[at] = 1.0);
        Ok(Filter { weights: Numbers::Reals(reals), bias: Bias::Reals(vec![0.0; channels]) })
    }

    /// Channels by their numbers, zeros where there is none: a convolution with weights 0 and 1, since no operator only
    /// selects, and a factor of exactly 1 changes no element.
    pub(super) fn channels(&mut self, input: NodeId, picked: &[Option<u32>]) -> Result<NodeId, Refusal> {
        let c = self.shape(input).c;
        let chosen = picked.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?)));
        let mut ones = Vec::new();
        for (to, from) in chosen {
            if from >= c {
                return refuse("a channel that there is none of", "the file contradicts itself");
            }
            ones.push(to * c as usize + from as usize);
        }
        let weights = self.taps(input, picked.len().saturating_mul(c as usize), &ones, picked.len())?;
        let output = self.elements(input).into();
        self.push_rounded(Op::Conv2d { window: Window::global([1, 1]), weights }, &[input], output, Rounding::Double)
    }

    /// The elements under the taps, by their numbers, of a window that are 1; all others are 0.
    pub(super) fn taken(&mut self, input: NodeId, window: Window, taps: &[u32]) -> Result<NodeId, Refusal> {
        let c = self.shape(input).c as usize;
        let [h, w] = window.kernel.map(|extent| extent as usize);
        if window.kernel.iter().any(|&extent| extent > Window::MAX_EXTENT) || h * w * c > Shape::MAX_LEN as usize {
            return refuse("a part, or a copy, of too large a map", "crop or pad the image before inference");
        }
        let ones: Vec<usize> =
            taps.iter().flat_map(|&tap| (0..c).map(move |channel| tap as usize * c + channel)).collect();
        let weights = self.taps(input, h * w * c, &ones, c)?;
        let output = self.elements(input).into();
        self.push_rounded(Op::DepthwiseConv2d { window, weights }, &[input], output, Rounding::Double)
    }

    /// The same elements under another shape.
    pub(super) fn read_as(&mut self, input: NodeId, shape: Shape) -> Result<NodeId, Refusal> {
        if self.shape(input) == shape {
            return Ok(input);
        }
        self.push(Op::Reshape(shape), &[input], self.elements(input))
    }

    /// Bounds of the numbers that `id` can give whatever the image, as far as its operator tells.
    pub(super) fn bounds(&mut self, id: NodeId) -> (f64, f64) {
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        for at in self.bounds.len()..=id.0 {
            let node = &self.values[at].node;
            let inputs: Vec<(f64, f64)> = node.inputs.iter().map(|input| self.bounds[input.0]).collect();
            let joint = inputs.iter().copied().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or(all);
            let bounds = match &node.op {
                Op::Input => self.quants.get(&NodeId(at)).map_or(all, |quant| quant_bounds(*quant)),
                Op::Activate(Activation::Relu) => Function::relu().bounds(joint),
                Op::Activate(Activation::Relu6) => Function::relu6().bounds(joint),
                Op::Activate(Activation::ReluN1To1) => Function::X.clip(-1.0, 1.0).bounds(joint),
                Op::Function(GivenFunction::Real(function)) => function.bounds(joint),
                Op::Function(GivenFunction::Stored(_)) => all,
                Op::Activate(Activation::None)
                | Op::MaxPool(_)
                | Op::AveragePool(_)
                | Op::ResizeBilinear(_)
                | Op::Mean
                | Op::Concat
                | Op::Reshape(_) => joint,
                Op::Rearrange(rearrange) => {
                    rearrange.constant().map_or(joint, |c| (joint.0.min(c.into()), joint.1.max(c.into())))
                }
                Op::Softmax { .. } => (0.0, 1.0),
                Op::L2Norm => (-1.0, 1.0),
                // What is not negative stays so.
                Op::Add | Op::Mul if joint.0 >= 0.0 => (0.0, f64::INFINITY),
                Op::Add | Op::Mul | Op::Sub | Op::Constant { .. } | Op::BatchNorm(_) => all,
                Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) => all,
            };
            self.bounds.push(bounds);
        }
        self.bounds[id.0]
    }
}

/// The least and the greatest number that an element of int8 can say.
pub(super) fn quant_bounds(quant: kinglet::QuantParams) -> (f64, f64) {
    (quant.dequantize(i8::MIN.into()).into(), quant.dequantize(i8::MAX.into()).into())
}

pub(super) fn refusal(error: GraphError) -> Refusal {
    (error.to_string(), String::new())
}
