//! From a folded network and the quantization of its values to the stored network: each layer in int8, in half precision, or
//! with int8 weights and int16 activations (16x8), and conversions where they meet.

use std::collections::HashMap;
use std::convert::Infallible;

use kinglet::format::RoundingSource;
use kinglet::{Activation, ChannelOrder, DType, QuantParams, Rounding};

use super::int16::{self, Form, Int16, UNIT};
use super::{Prepared, QuantizeError, float16, int8};
use crate::elements;
use crate::graph::{Graph, Node, Op, Real, Stored};
use crate::network::{self, Network, Pixels, TensorId, TensorInfo};

/// The layers of an int8 network that are something else, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Those in float16.
    pub float16: Vec<String>,
    /// Those with int16 activations.
    pub int16: Vec<String>,
    /// Those whose weights have 4 bits.
    pub nibbles: Vec<String>,
}

impl Kept {
    /// What the activations of layer `name` are, and how many bits its weights have.
    fn form(&self, name: &str) -> (DType, u32) {
        let among = |names: &[String]| names.iter().any(|kept| kept == name);
        let dtype = if among(&self.float16) {
            DType::F16
        } else if among(&self.int16) {
            DType::I16
        } else {
            DType::I8
        };
        (dtype, if among(&self.nibbles) { 4 } else { 8 })
    }
}

/// The int8 network; `quants` has the quantization of every value, `nibbles` the layers whose weights have 4 bits.
pub fn int8(network: &Graph<Real>, quants: &[QuantParams], nibbles: &[String]) -> Network {
    let kept = Kept { nibbles: nibbles.to_vec(), ..Kept::default() };
    let found = Emission::new(network, quants, DType::I8).finish(network, |name| kept.form(name));
    found.expect("integers saturate")
}

/// The network in half precision.
///
/// # Errors
/// When a number is beyond the largest f16.
pub fn float16(network: &Graph<Real>) -> Result<Network, QuantizeError> {
    let quants = vec![QuantParams::REAL; network.nodes.len()];
    Emission::new(network, &quants, DType::F16).finish(network, |_| (DType::F16, 8))
}

/// The network with int8 weights and int16 activations, from its input on. Functions that the scheme has no operator for
/// go by way of half precision.
///
/// # Errors
/// As [`float16()`].
pub fn int16(Prepared { float, quants, .. }: &Prepared) -> Result<Network, QuantizeError> {
    Emission::new(float, quants, DType::I16).finish(float, |_| (DType::I16, 8))
}

/// The int8 network but for the layers that are `kept`; those that were trained with weights of 4 bits have 8 unless they are among them.
///
/// # Errors
/// When no layer has such a name, or one is named twice, and as [`float16()`].
pub fn mixed(prepared: &Prepared, kept: &Kept) -> Result<Network, QuantizeError> {
    let Prepared { float, corrected, quants, .. } = prepared;
    for name in kept.float16.iter().chain(&kept.int16).chain(&kept.nibbles) {
        if !float.nodes[1..].iter().any(|node| node.name == *name) {
            let names = float.nodes.iter().skip(1).map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(QuantizeError::UnknownLayer { name: name.clone(), names });
        }
        if kept.float16.contains(name) && (kept.int16.contains(name) || kept.nibbles.contains(name)) {
            return Err(QuantizeError::NamedTwice(name.clone()));
        }
    }
    let weightless =
        |name: &&String| !float.nodes.iter().any(|node| node.name == **name && node.op.weights().is_some());
    if let Some(name) = kept.nibbles.iter().find(weightless) {
        return Err(QuantizeError::NoWeights(name.clone()));
    }
    Emission::new(float, quants, DType::I8).finish(corrected, |name| kept.form(name))
}

/// What cannot fail.
pub(super) fn infallible<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// A network in the making. The first form of each of the folded network's values is the tensor of its number.
struct Emission<'q> {
    float: &'q Graph<Real>,
    quants: &'q [QuantParams],
    /// The tensor of each value in each type, as far as there is one.
    forms: HashMap<(usize, DType), TensorId>,
    network: Network,
}

impl<'q> Emission<'q> {
    /// No node yet; the input has elements of type `dtype`.
    fn new(float: &'q Graph<Real>, quants: &'q [QuantParams], dtype: DType) -> Self {
        let tensor = |(node, quant): (&Node<Real>, &QuantParams)| TensorInfo {
            name: node.name.clone(),
            shape: node.shape,
            dtype: DType::I8,
            quant: *quant,
        };
        let network = Network {
            name: float.name.clone(),
            tensors: float.nodes.iter().zip(quants).map(tensor).collect(),
            nodes: Vec::new(),
            inputs: float.inputs().into_iter().map(|input| input.0).collect(),
            outputs: float.outputs.iter().map(|output| output.0).collect(),
            states: Vec::new(),
            labels: float.labels.clone(),
            pixels: None,
            rounding: if dtype == DType::F16 { RoundingSource::Unknown } else { RoundingSource::Tflm },
        };
        let mut emission = Self { float, quants, forms: HashMap::new(), network };
        for input in emission.network.inputs.clone() {
            emission.set_dtype(input, dtype);
        }
        emission
    }

    /// Adds the pixel tables and every node, with the type of activations and the bits of weights that `form` says. Layers in int8 have
    /// the biases of `corrected`.
    fn finish(
        mut self,
        corrected: &Graph<Real>,
        form: impl Fn(&str) -> (DType, u32),
    ) -> Result<Network, QuantizeError> {
        self.network.pixels = Some(self.pixels()?);
        for (output, (node, corrected)) in self.float.nodes.iter().zip(&corrected.nodes).enumerate() {
            if node.op == Op::Input {
                continue;
            }
            let (dtype, bits) = form(&node.name);
            let inputs: Vec<TensorId> = node.inputs.iter().map(|input| self.form(input.0, dtype)).collect();
            self.set_dtype(output, dtype);
            match dtype {
                DType::I8 => {
                    let op = int8::op(corrected, self.quants[node.inputs[0].0], self.quants[output], bits);
                    self.push_node(node, op, &inputs, output);
                }
                DType::I16 => self.int16(node, &inputs, output, bits),
                DType::F16 => self.push_node(node, float16::op(node)?, &inputs, output),
                other => return Err(QuantizeError::ElementType(other.name())),
            }
        }
        Ok(self.network)
    }

    /// What pixels become: one table for all channels when they are the same.
    fn pixels(&self) -> Result<Pixels, QuantizeError> {
        let TensorInfo { shape, dtype, quant, .. } = self.network.tensors[0];
        let reals: Vec<f32> = (0..shape.c as usize).flat_map(|c| self.float.preprocess.table(c)).collect();
        let mut tables = match dtype {
            DType::F16 => float16::ordinals(&reals, "the input")?,
            _ => reals.into_iter().map(|real| elements::of(real, quant, dtype)).collect(),
        };
        if tables.chunks(256).all(|table| table == &tables[..256]) {
            tables.truncate(256);
        }
        Ok(Pixels { order: if shape.c == 3 { ChannelOrder::Rgb } else { ChannelOrder::Grey }, tables })
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
    fn int16(&mut self, node: &Node<Real>, inputs: &[TensorId], output: TensorId, bits: u32) {
        let [from, to] = [inputs[0], output].map(|tensor| self.network.tensors[tensor].quant);
        let op = infallible(node.op.convert(&Int16 { node, input: from, output: to, bits }));
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
            None if matches!(op, Op::Softmax { .. } | Op::L2Norm) => self.in_units(name, op, inputs, output),
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
