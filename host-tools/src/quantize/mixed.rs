//! Networks of layers in several forms: int8, float16, and int8 weights with int16 activations (16x8); and conversions where they
//! meet.

use std::collections::HashMap;

use kinglet::{Activation, DType, QuantParams, Rounding};

use super::int16::{self, Form, Int16, UNIT};
use super::{Prepared, QuantizeError, emit, float16};
use crate::graph::{Node, Op, Real, Stored};
use crate::network::{self, Network, TensorId, TensorInfo};

/// The layers of an int8 network that are something else, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Those in float16.
    pub float16: Vec<String>,
    /// Those with int16 activations.
    pub int16: Vec<String>,
}

impl Kept {
    /// What the activations of layer `name` are.
    fn dtype(&self, name: &str) -> DType {
        let among = |names: &[String]| names.iter().any(|kept| kept == name);
        if among(&self.float16) {
            DType::F16
        } else if among(&self.int16) {
            DType::I16
        } else {
            DType::I8
        }
    }
}

/// The int8 network but for the layers that are `kept`.
///
/// # Errors
/// When no layer has such a name, or one is named twice, and as [`float16::emit`].
pub fn emit(prepared: &Prepared, kept: &Kept) -> Result<Network, QuantizeError> {
    let nodes = &prepared.float.nodes[1..];
    for name in kept.float16.iter().chain(&kept.int16) {
        if !nodes.iter().any(|node| node.name == *name) {
            let names = nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(QuantizeError::UnknownLayer { name: name.clone(), names });
        }
        if kept.float16.contains(name) && kept.int16.contains(name) {
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
pub fn int16(prepared: &Prepared) -> Result<Network, QuantizeError> {
    Mixed::new(prepared, DType::I16).emit(prepared, |_| DType::I16)
}

/// A mixed network in the making. The first form of each of the folded network's values is the tensor of its number.
struct Mixed<'q> {
    quants: &'q [QuantParams],
    /// The tensor of each value in each type, as far as there is one.
    forms: HashMap<(usize, DType), TensorId>,
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
                output: network.output().0,
                labels: network.labels.clone(),
                pixels: None,
            },
        };
        let tensor = |(node, quant): (&Node<Real>, &QuantParams)| TensorInfo {
            name: node.name.clone(),
            shape: node.shape,
            dtype: DType::I8,
            quant: *quant,
        };
        mixed.network.tensors = network.nodes.iter().zip(quants).map(tensor).collect();
        mixed.network.pixels = Some(emit::pixels(network, mixed.quant(0, dtype), dtype));
        mixed.set_dtype(0, dtype);
        mixed
    }

    /// Adds every node, with the type of activations that `form` says.
    fn emit(mut self, prepared: &Prepared, form: impl Fn(&str) -> DType) -> Result<Network, QuantizeError> {
        let Prepared { float, corrected, quants } = prepared;
        for (output, (node, corrected)) in float.nodes.iter().zip(&corrected.nodes).enumerate().skip(1) {
            let dtype = form(&node.name);
            let inputs: Vec<TensorId> = node.inputs.iter().map(|input| self.form(input.0, dtype)).collect();
            self.set_dtype(output, dtype);
            match dtype {
                DType::I8 => {
                    let op = emit::op(corrected, quants[node.inputs[0].0], quants[output]);
                    self.push_node(node, op, &inputs, output);
                }
                DType::I16 => self.int16(node, &inputs, output),
                _ => self.push_node(node, float16::op(node)?, &inputs, output),
            }
        }
        Ok(self.network)
    }

    /// The quantization of a value in elements of type `dtype`.
    fn quant(&self, value: usize, dtype: DType) -> QuantParams {
        match dtype {
            DType::I8 => self.quants[value],
            DType::I16 => int16::quant(self.quants[value]),
            _ => QuantParams::REAL,
        }
    }

    /// Sets the element type of the tensor of a value's number.
    fn set_dtype(&mut self, value: usize, dtype: DType) {
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

    /// A node of the folded network over `op`.
    fn push_node(&mut self, node: &Node<Real>, op: Op<Stored>, inputs: &[TensorId], output: TensorId) {
        self.push(&node.name, op, node.activation, inputs, output);
    }

    fn push(&mut self, name: &str, op: Op<Stored>, activation: Activation, inputs: &[TensorId], output: TensorId) {
        let int16 = self.network.tensors[output].dtype == DType::I16;
        let rounding = if int16 && op.weights().is_some() { Rounding::Wide } else { Rounding::Double };
        let (name, inputs) = (name.to_owned(), inputs.to_vec());
        self.network.nodes.push(network::Node { name, op, activation, inputs, output, rounding });
    }

    /// The tensor of a value in elements of type `dtype`, converted where there is none yet.
    fn form(&mut self, value: usize, dtype: DType) -> TensorId {
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
        self.push(name, Op::Activate(Activation::None), Activation::None, &[input], output);
    }

    /// A node over int16 activations.
    fn int16(&mut self, node: &Node<Real>, inputs: &[TensorId], output: TensorId) {
        let [from, to] = [inputs[0], output].map(|tensor| self.network.tensors[tensor].quant);
        let op = emit::infallible(node.op.convert(&Int16 { node, input: from, output: to }));
        let form = if let Op::Function(function) = &node.op { Some(Form::of(function)) } else { None };
        let name = &node.name;
        match form {
            Some(Form::Curve(_)) => self.in_units(name, op, inputs, output),
            Some(Form::Gate(_)) => {
                let gate = self.tensor(format!("{name} gate"), output, DType::I16, UNIT);
                self.push(&format!("{name} gate"), op, Activation::None, inputs, gate);
                self.push(name, Op::Mul, Activation::None, &[inputs[0], gate], output);
            }
            Some(Form::Pieces) => {
                let [before, after] = ["before", "after"].map(|when| {
                    let name = format!("{name} {when}");
                    (self.tensor(name.clone(), output, DType::F16, QuantParams::REAL), name)
                });
                self.convert(&before.1, inputs[0], before.0);
                self.push(name, op, Activation::None, &[before.0], after.0);
                self.convert(&after.1, after.0, output);
            }
            None if matches!(op, Op::Softmax { .. }) => self.in_units(name, op, inputs, output),
            Some(Form::Slope(_)) | None => self.push_node(node, op, inputs, output),
        }
    }

    /// A node whose results are in [`UNIT`]s, whatever the scale of its output.
    fn in_units(&mut self, name: &str, op: Op<Stored>, inputs: &[TensorId], output: TensorId) {
        if self.network.tensors[output].quant.same(UNIT) {
            return self.push(name, op, Activation::None, inputs, output);
        }
        let units = self.tensor(format!("{name} in units"), output, DType::I16, UNIT);
        self.push(name, op, Activation::None, inputs, units);
        self.convert(&format!("{name} rescaled"), units, output);
    }
}
