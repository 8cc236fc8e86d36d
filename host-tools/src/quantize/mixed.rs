//! Networks of layers in several forms: int8, float16, and int8 weights with int16 activations (16x8); and conversions where they
//! meet.

use std::collections::HashMap;

use kinglet::{Activation, DType, QuantParams, Rounding};

use super::fold::{FoldedNode, FoldedOp, ValueId};
use super::wide::{self, Form, UNIT};
use super::{Prepared, QuantizeError, emit, float16, pieces};
use crate::network::{Network, Node, NodeOp, TensorId, TensorInfo};

/// The layers of an int8 network that are something else, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Those in float16.
    pub float16: Vec<String>,
    /// Those with int16 activations.
    pub wide: Vec<String>,
}

impl Kept {
    /// What the activations of layer `name` are.
    fn dtype(&self, name: &str) -> DType {
        let among = |names: &[String]| names.iter().any(|kept| kept == name);
        match () {
            () if among(&self.float16) => DType::F16,
            () if among(&self.wide) => DType::I16,
            () => DType::I8,
        }
    }
}

/// The int8 network but for the layers that are `kept`.
///
/// # Errors
/// When no layer has such a name, or one is named twice, and as [`float16::emit`].
pub fn emit(prepared: &Prepared, kept: &Kept) -> Result<Network, QuantizeError> {
    let nodes = &prepared.float.nodes;
    for name in kept.float16.iter().chain(&kept.wide) {
        if !nodes.iter().any(|node| node.name == *name) {
            let names = nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(QuantizeError::UnknownLayer { name: name.clone(), names });
        }
        if kept.float16.contains(name) && kept.wide.contains(name) {
            return Err(QuantizeError::NamedTwice(name.clone()));
        }
    }
    Mixed::new(prepared, DType::I8).emit(prepared, |name| kept.dtype(name))
}

/// The network with int8 weights and int16 activations, from its input on. Functions that the scheme has no operator for go by way of
/// float16.
///
/// # Errors
/// As [`emit()`], but for names.
pub fn wide(prepared: &Prepared) -> Result<Network, QuantizeError> {
    Mixed::new(prepared, DType::I16).emit(prepared, |_| DType::I16)
}

/// A mixed network in the making. A value's first form is the tensor of its number.
struct Mixed<'q> {
    quants: &'q [QuantParams],
    /// The tensor of each value in each type, as far as there is one.
    forms: HashMap<(ValueId, DType), TensorId>,
    network: Network,
}

impl<'q> Mixed<'q> {
    /// No node yet; the input has elements of type `dtype`.
    fn new(prepared: &'q Prepared, dtype: DType) -> Self {
        let Prepared { float: network, quants, .. } = prepared;
        let mut mixed = Self {
            quants,
            forms: HashMap::new(),
            network: Network {
                name: network.name.clone(),
                tensors: Vec::new(),
                nodes: Vec::new(),
                input: 0,
                output: network.nodes.len(),
                labels: network.labels.clone(),
                pixels: None,
            },
        };
        let tensor = |value: ValueId| TensorInfo {
            name: network.value_name(value).to_owned(),
            shape: network.shape(value),
            dtype: DType::I8,
            quant: quants[value],
        };
        mixed.network.tensors = (0..network.values()).map(tensor).collect();
        mixed.network.pixels = Some(emit::pixels(network, mixed.quant(0, dtype), dtype));
        mixed.is(0, dtype);
        mixed
    }

    /// Adds every node, with the type of activations that `form` says.
    fn emit(mut self, prepared: &Prepared, form: impl Fn(&str) -> DType) -> Result<Network, QuantizeError> {
        let Prepared { float, corrected, quants } = prepared;
        for ((node, corrected), output) in float.nodes.iter().zip(&corrected.nodes).zip(1..) {
            let dtype = form(&node.name);
            let inputs: Vec<TensorId> = node.inputs.iter().map(|&value| self.form(value, dtype)).collect();
            self.is(output, dtype);
            match dtype {
                DType::I8 => {
                    let op = emit::op(corrected, quants[node.inputs[0]], quants[output]);
                    self.push(&node.name, op, &inputs, output);
                }
                DType::I16 => self.wide(node, &inputs, output),
                _ => self.push(&node.name, float16::op(node)?, &inputs, output),
            }
        }
        Ok(self.network)
    }

    /// The quantization of a value in elements of type `dtype`.
    fn quant(&self, value: ValueId, dtype: DType) -> QuantParams {
        match dtype {
            DType::I8 => self.quants[value],
            DType::I16 => wide::quant(self.quants[value]),
            _ => QuantParams::REAL,
        }
    }

    /// Says what the tensor of a value's number has for elements.
    fn is(&mut self, value: ValueId, dtype: DType) {
        let quant = self.quant(value, dtype);
        let tensor = &mut self.network.tensors[value];
        (tensor.dtype, tensor.quant) = (dtype, quant);
        self.forms.insert((value, dtype), value);
    }

    /// A new tensor of the shape of `like`.
    fn tensor(&mut self, name: String, like: TensorId, dtype: DType, quant: QuantParams) -> TensorId {
        let shape = self.network.tensors[like].shape;
        self.network.tensors.push(TensorInfo { name, shape, dtype, quant });
        self.network.tensors.len() - 1
    }

    fn push(&mut self, name: &str, op: NodeOp, inputs: &[TensorId], output: TensorId) {
        let wide = self.network.tensors[output].dtype == DType::I16;
        let weighted = matches!(op, NodeOp::Conv2d { .. } | NodeOp::DepthwiseConv2d { .. } | NodeOp::Dense { .. });
        let rounding = if wide && weighted { Rounding::Wide } else { Rounding::Double };
        self.network.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), output, rounding });
    }

    /// The tensor of a value in elements of type `dtype`, converted where there is none yet.
    fn form(&mut self, value: ValueId, dtype: DType) -> TensorId {
        if let Some(&tensor) = self.forms.get(&(value, dtype)) {
            return tensor;
        }
        let name = format!("{} as {}", self.network.tensors[value].name, dtype.name());
        let output = self.tensor(name.clone(), value, dtype, self.quant(value, dtype));
        self.convert(&name, value, output);
        self.forms.insert((value, dtype), output);
        output
    }

    /// The same numbers in elements of another type, or with another scale.
    fn convert(&mut self, name: &str, input: TensorId, output: TensorId) {
        let half = [input, output].iter().any(|&tensor| self.network.tensors[tensor].dtype == DType::F16);
        let rescale = NodeOp::Rescale { slope: None, activation: Activation::None };
        self.push(name, if half { NodeOp::Convert } else { rescale }, &[input], output);
    }

    /// A node over int16 activations.
    fn wide(&mut self, node: &FoldedNode, inputs: &[TensorId], output: TensorId) {
        let name = &node.name;
        let FoldedOp::Function(function) = &node.op else {
            if node.op == FoldedOp::Softmax {
                self.in_units(name, NodeOp::Softmax { beta: 1.0 }, inputs, output);
            } else {
                let [from, to] = [inputs[0], output].map(|tensor| self.network.tensors[tensor].quant);
                self.push(name, wide::op(node, from, to), inputs, output);
            }
            return;
        };
        match Form::of(function) {
            Form::Curve(curve) => self.in_units(name, NodeOp::Sigmoid { curve }, inputs, output),
            Form::Gate(curve) => {
                let gate = self.tensor(format!("{name} gate"), output, DType::I16, UNIT);
                self.push(&format!("{name} gate"), NodeOp::Sigmoid { curve }, inputs, gate);
                self.push(name, NodeOp::Mul { activation: Activation::None }, &[inputs[0], gate], output);
            }
            Form::Slope(slope) => {
                let rescale = NodeOp::Rescale { slope: Some(slope), activation: Activation::None };
                self.push(name, rescale, inputs, output);
            }
            Form::Halves => {
                let [before, after] = ["before", "after"].map(|when| {
                    let name = format!("{name} {when}");
                    (self.tensor(name.clone(), output, DType::F16, QuantParams::REAL), name)
                });
                self.convert(&before.1, inputs[0], before.0);
                self.push(name, NodeOp::Piecewise(pieces::fit(|x| function.at(x))), &[before.0], after.0);
                self.convert(&after.1, after.0, output);
            }
        }
    }

    /// A node whose results are in [`UNIT`]s, whatever the scale of its output.
    fn in_units(&mut self, name: &str, op: NodeOp, inputs: &[TensorId], output: TensorId) {
        if self.network.tensors[output].quant.same(UNIT) {
            return self.push(name, op, inputs, output);
        }
        let units = self.tensor(format!("{name} in units"), output, DType::I16, UNIT);
        self.push(name, op, inputs, units);
        self.convert(&format!("{name} rescaled"), units, output);
    }
}
