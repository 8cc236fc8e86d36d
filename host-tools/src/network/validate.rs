//! Checks a network against the operators' rules, and says what would be right.
//!
//! The runtime checks the same rules again when it reads the file that comes of it; but it can only name a byte of
//! that file, while a wrong importer or quantizer needs the node.

use kinglet::kernels::float16::LARGEST;
use kinglet::ops::{
    Add, AveragePool2d, Concat, Constant, Conv2d, Dense, DepthwiseConv2d, Lookup, MaxPool2d, Mean, Mul, Pad, Piecewise,
    Softmax, SoftmaxFloat16, SoftmaxInt16, Sub,
};
use kinglet::{DType, PixelTables, QuantParams, Rounding, Shape, Window};
use thiserror::Error;

use super::{FloatLayer, Network, Node, NodeOp, TensorId};
use crate::quantize::pieces::Pieces;

/// A network that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {field}: {reason}")]
pub struct NetworkError {
    /// Which node or tensor, in words.
    pub place: String,
    /// Which of its fields.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

type Checked<T = ()> = Result<T, NetworkError>;

impl NodeOp {
    /// TensorFlow Lite's name of the operator, or the runtime's where it has none.
    pub fn name(&self) -> &'static str {
        use kinglet::ops::OpKind;
        match self {
            NodeOp::Conv2d { .. } => OpKind::Conv2d,
            NodeOp::DepthwiseConv2d { .. } => OpKind::DepthwiseConv2d,
            NodeOp::Dense { .. } => OpKind::Dense,
            NodeOp::MaxPool { .. } => OpKind::MaxPool2d,
            NodeOp::AveragePool { .. } => OpKind::AveragePool2d,
            NodeOp::Mean => OpKind::Mean,
            NodeOp::Add { .. } => OpKind::Add,
            NodeOp::Sub { .. } => OpKind::Sub,
            NodeOp::Mul { .. } => OpKind::Mul,
            NodeOp::Concat => OpKind::Concat,
            NodeOp::Softmax { .. } => OpKind::Softmax,
            NodeOp::Lookup { .. } => OpKind::Lookup,
            NodeOp::Reshape => OpKind::Reshape,
            NodeOp::Pad { .. } => OpKind::Pad,
            NodeOp::Constant { .. } => OpKind::Constant,
            NodeOp::Rescale { .. } => OpKind::Rescale,
            NodeOp::Sigmoid { .. } => OpKind::Sigmoid,
            NodeOp::Float { layer: FloatLayer::Conv2d(_), .. } => OpKind::Conv2d,
            NodeOp::Float { layer: FloatLayer::DepthwiseConv2d(_), .. } => OpKind::DepthwiseConv2d,
            NodeOp::Float { layer: FloatLayer::Dense, .. } => OpKind::Dense,
            NodeOp::FloatConstant { .. } => OpKind::Constant,
            NodeOp::Piecewise(_) => OpKind::Piecewise,
            NodeOp::Convert => OpKind::Convert,
        }
        .name()
    }
}

impl Network {
    /// Checks every tensor, node and the ends of the network.
    ///
    /// # Errors
    /// The first rule that is broken: which node, which field, and what would be right.
    pub fn validate(&self) -> Result<(), NetworkError> {
        for (id, tensor) in self.tensors.iter().enumerate() {
            let fail = |field, reason| Err(NetworkError { place: self.tensor_name(id), field, reason });
            if !tensor.shape.is_valid() {
                return fail("shape", format!("{} is empty or too large", show(tensor.shape)));
            }
            if !tensor.dtype.has_scale(tensor.quant.scale) {
                let right = if tensor.dtype == DType::F16 { "1" } else { "a positive number" };
                return fail("scale", format!("{}, expected {right}", tensor.quant.scale));
            }
            if !tensor.dtype.has_zero_point(tensor.quant.zero_point) {
                let range = if tensor.dtype == DType::I8 { "-128..=127" } else { "0" };
                return fail("zero point", format!("{}, expected {range}", tensor.quant.zero_point));
            }
        }
        self.check_order()?;
        for node in &self.nodes {
            Rules { network: self, node }.check()?;
        }
        self.check_ends()
    }

    fn tensor_name(&self, id: TensorId) -> String {
        match self.tensors.get(id) {
            Some(tensor) => format!("tensor {id} `{}`", tensor.name),
            None => format!("tensor {id}"),
        }
    }

    /// Every tensor is written once, by the caller or by a node, before it is read.
    fn check_order(&self) -> Checked {
        let count = self.tensors.len();
        let network = |field, reason| Err(NetworkError { place: format!("network `{}`", self.name), field, reason });
        if self.nodes.is_empty() {
            return network("nodes", "there are none".into());
        }
        let mut written = vec![false; count];
        match written.get_mut(self.input) {
            Some(written) => *written = true,
            None => return network("input", format!("tensor {} of {count}", self.input)),
        }
        for node in &self.nodes {
            let fail = |field, reason| Err(NetworkError { place: place(node), field, reason });
            for &input in &node.inputs {
                match written.get(input) {
                    Some(true) => {}
                    Some(false) => {
                        return fail("inputs", format!("{} is read before it is written", self.tensor_name(input)));
                    }
                    None => return fail("inputs", format!("tensor {input} of {count}")),
                }
            }
            match written.get_mut(node.output) {
                Some(written) if !*written => *written = true,
                Some(_) => return fail("output", format!("{} is written twice", self.tensor_name(node.output))),
                None => return fail("output", format!("tensor {} of {count}", node.output)),
            }
        }
        if self.output == self.input || written.get(self.output) != Some(&true) {
            return network("output", format!("{} is written by no node", self.tensor_name(self.output)));
        }
        match written.iter().position(|&written| !written) {
            Some(id) => network("tensors", format!("{} is written by no node", self.tensor_name(id))),
            None => Ok(()),
        }
    }

    /// Labels and pixel tables fit output and input.
    fn check_ends(&self) -> Checked {
        let fail = |field, reason| Err(NetworkError { place: format!("network `{}`", self.name), field, reason });
        let classes = self.tensors[self.output].shape.len() as usize;
        if !self.labels.is_empty() && self.labels.len() != classes {
            return fail("labels", format!("{} for {classes} output elements", self.labels.len()));
        }
        if let Some(pixels) = &self.pixels {
            let channels = self.tensors[self.input].shape.c as usize;
            let len = pixels.tables.len();
            if len != PixelTables::LEN && len != channels * PixelTables::LEN {
                return fail("pixels", format!("{len} entries, expected 256 or {channels} x 256"));
            }
            let dtype = self.tensors[self.input].dtype;
            let range = dtype.min()..=dtype.max();
            if let Some(entry) = pixels.tables.iter().find(|entry| !range.contains(&i32::from(**entry))) {
                return fail("pixels", format!("an entry of {entry}, the input is {}", dtype.name()));
            }
            if pixels.order != kinglet::ChannelOrder::Grey && channels != 3 {
                return fail("pixels", format!("{:?} needs 3 channels, the input has {channels}", pixels.order));
            }
        }
        Ok(())
    }
}

/// How messages name a node.
fn place(node: &Node) -> String {
    format!("node `{}` ({})", node.name, node.op.name())
}

/// `8x8x16`.
fn show(shape: Shape) -> String {
    format!("{}x{}x{}", shape.h, shape.w, shape.c)
}

/// The rules of one node, whose tensors exist.
struct Rules<'n> {
    network: &'n Network,
    node: &'n Node,
}

impl Rules<'_> {
    fn fail<T>(&self, field: &'static str, reason: String) -> Checked<T> {
        Err(NetworkError { place: place(self.node), field, reason })
    }

    fn shape(&self, operand: usize) -> Shape {
        self.network.tensors[self.node.inputs[operand]].shape
    }

    fn output(&self) -> Shape {
        self.network.tensors[self.node.output].shape
    }

    fn dtype(&self, operand: usize) -> DType {
        self.network.tensors[self.node.inputs[operand]].dtype
    }

    /// One element type for all operands, but where it is the operator's business to change it; rounding that goes with it.
    fn types(&self) -> Checked {
        let output = self.network.tensors[self.node.output].dtype;
        let weighted =
            matches!(self.node.op, NodeOp::Conv2d { .. } | NodeOp::DepthwiseConv2d { .. } | NodeOp::Dense { .. });
        if self.node.rounding == Rounding::Wide && (output != DType::I16 || !weighted) {
            return self.fail("rounding", "wide, which only int16 operators with weights have".into());
        }
        let halves = |operand| self.dtype(operand) == DType::F16;
        let any_half = output == DType::F16 || (0..self.node.inputs.len()).any(halves);
        let wanted = match self.node.op {
            NodeOp::Convert => {
                let other = (0..self.node.inputs.len()).all(|operand| halves(operand) != (output == DType::F16));
                return if other {
                    Ok(())
                } else {
                    self.fail("inputs", "not float16 on one side, and only on one".into())
                };
            }
            NodeOp::Float { .. } | NodeOp::FloatConstant { .. } | NodeOp::Piecewise(_) => DType::F16,
            NodeOp::Conv2d { .. }
            | NodeOp::DepthwiseConv2d { .. }
            | NodeOp::Dense { .. }
            | NodeOp::Constant { .. }
            | NodeOp::Rescale { .. }
                if any_half =>
            {
                return self.fail("inputs", "float16 elements, expected integers".into());
            }
            NodeOp::Rescale { .. } => {
                let to_int16 = (0..self.node.inputs.len()).all(|operand| self.dtype(operand) == DType::I16);
                return if output == DType::I16 || to_int16 {
                    Ok(())
                } else {
                    self.fail("inputs", "int8 to int8, which is a lookup".into())
                };
            }
            NodeOp::Lookup { .. } => DType::I8,
            NodeOp::Sigmoid { .. } => DType::I16,
            _ => output,
        };
        for operand in 0..self.node.inputs.len() {
            let found = self.dtype(operand);
            if found != wanted || output != wanted {
                return self.fail("inputs", format!("{} elements, expected {}", found.name(), wanted.name()));
            }
        }
        Ok(())
    }

    fn check(&self) -> Checked {
        self.types()?;
        match &self.node.op {
            NodeOp::Conv2d { window, weights, weight_scales, bias, .. } => {
                self.arity(1)?;
                let (a, c) = (self.shape(0), self.output().c);
                self.windowed(window, Conv2d::output_shape(a, window, c))?;
                self.weights(weights, u64::from(c) * u64::from(window.taps_len()) * u64::from(a.c))?;
                self.channels(weight_scales, bias)
            }
            NodeOp::DepthwiseConv2d { window, weights, weight_scales, bias, .. } => {
                self.arity(1)?;
                let (a, c) = (self.shape(0), self.output().c);
                if !c.is_multiple_of(a.c) {
                    return self.multiple_of(a.c);
                }
                self.windowed(window, DepthwiseConv2d::output_shape(a, window, c / a.c))?;
                self.weights(weights, u64::from(c) * u64::from(window.taps_len()))?;
                self.channels(weight_scales, bias)
            }
            NodeOp::Dense { weights, weight_scales, bias, .. } => {
                self.arity(1)?;
                let (a, c) = (self.shape(0), self.output().c);
                self.gives(Dense::output_shape(a, c))?;
                self.weights(weights, u64::from(c) * u64::from(a.len()))?;
                self.channels(weight_scales, bias)
            }
            NodeOp::MaxPool { window, .. } => {
                self.arity(1)?;
                self.windowed(window, MaxPool2d::output_shape(self.shape(0), window))?;
                self.same_quant()
            }
            NodeOp::AveragePool { window, .. } => {
                self.arity(1)?;
                self.windowed(window, AveragePool2d::output_shape(self.shape(0), window))?;
                self.same_quant()
            }
            NodeOp::Mean => {
                self.arity(1)?;
                self.gives(Mean::output_shape(self.shape(0)))
            }
            NodeOp::Add { .. } => self.pair(Add::output_shape),
            NodeOp::Sub { .. } => self.pair(Sub::output_shape),
            NodeOp::Mul { .. } => self.pair(Mul::output_shape),
            NodeOp::Concat => {
                if self.node.inputs.is_empty() {
                    return self.fail("inputs", "none, expected at least one".into());
                }
                let mut shape = self.shape(0);
                for operand in 1..self.node.inputs.len() {
                    let part = self.shape(operand);
                    match Concat::output_shape(shape, part) {
                        Some(joint) => shape = joint,
                        None => {
                            let reason =
                                format!("{} beside {}, expected the same height and width", show(part), show(shape));
                            return self.fail("inputs", reason);
                        }
                    }
                }
                self.gives(shape)?;
                self.same_quant()
            }
            NodeOp::Softmax { beta } => {
                self.arity(1)?;
                self.gives(Softmax::output_shape(self.shape(0)))?;
                let input = self.network.tensors[self.node.inputs[0]].quant;
                let valid = match self.dtype(0) {
                    DType::I16 => SoftmaxInt16::factor(input, *beta).is_some(),
                    DType::F16 => SoftmaxFloat16 { beta: *beta }.is_valid(),
                    _ => {
                        self.quant(self.node.output, Softmax::OUTPUT)?;
                        Softmax::new(input, *beta).is_some()
                    }
                };
                match valid {
                    true => Ok(()),
                    false => self.fail("beta", format!("{beta} with input scale {} is out of range", input.scale)),
                }
            }
            NodeOp::Lookup { table } => {
                self.arity(1)?;
                self.gives(Lookup::output_shape(self.shape(0)))?;
                match table.len() {
                    256 => Ok(()),
                    len => self.fail("table", format!("{len} entries, expected 256")),
                }
            }
            NodeOp::Reshape => {
                self.arity(1)?;
                let (a, output) = (self.shape(0), self.output());
                if a.len() != output.len() {
                    return self
                        .fail("output", format!("{}, expected {} elements as in {}", show(output), a.len(), show(a)));
                }
                self.same_quant()
            }
            NodeOp::Constant { data, quant, .. } => {
                self.arity(1)?;
                let a = self.shape(0);
                self.gives(Constant::output_shape(a))?;
                if data.len() != a.c as usize && data.len() != a.len() as usize {
                    return self.fail("data", format!("{} elements, expected {} or {}", data.len(), a.c, a.len()));
                }
                let dtype = self.dtype(0);
                if quant.scale > 0.0 && quant.scale.is_finite() && dtype.has_zero_point(quant.zero_point) {
                    return Ok(());
                }
                let name = dtype.name();
                self.fail("quant", format!("{quant:?}, expected a positive scale and a zero point of {name}"))
            }
            NodeOp::Float { layer, weights, bias, .. } => {
                self.arity(1)?;
                let (a, c) = (self.shape(0), self.output().c);
                let terms = match layer {
                    FloatLayer::Conv2d(window) => {
                        self.windowed(window, Conv2d::output_shape(a, window, c))?;
                        u64::from(window.taps_len()) * u64::from(a.c)
                    }
                    FloatLayer::DepthwiseConv2d(window) => {
                        if !c.is_multiple_of(a.c) {
                            return self.multiple_of(a.c);
                        }
                        self.windowed(window, DepthwiseConv2d::output_shape(a, window, c / a.c))?;
                        window.taps_len().into()
                    }
                    FloatLayer::Dense => {
                        self.gives(Dense::output_shape(a, c))?;
                        a.len().into()
                    }
                };
                self.count("weights", weights.len(), u64::from(c) * terms)?;
                self.count("bias", bias.len(), c.into())?;
                self.finite("weights", weights.iter().map(|w| w.to_f32()))?;
                self.finite("bias", bias.iter().copied())
            }
            NodeOp::FloatConstant { data, .. } => {
                self.arity(1)?;
                let a = self.shape(0);
                self.gives(Constant::output_shape(a))?;
                if data.len() != a.c as usize {
                    self.count("data", data.len(), a.len().into())?;
                }
                self.finite("data", data.iter().map(|x| x.to_f32()))
            }
            NodeOp::Piecewise(Pieces { starts, polynomials }) => {
                self.arity(1)?;
                self.gives(Piecewise::output_shape(self.shape(0)))?;
                self.count("polynomials", polynomials.len(), starts.len() as u64)?;
                if starts.first() != Some(&(-LARGEST as i16)) || !starts.is_sorted_by(|a, b| a < b) {
                    return self
                        .fail("starts", format!("{starts:?}, expected rising ones, the first of them {}", -LARGEST));
                }
                match polynomials.iter().flatten().find(|c| c.is_nan() || c.abs() >= Piecewise::LIMIT) {
                    Some(c) => self.fail("polynomials", format!("{c}, expected numbers below {:e}", Piecewise::LIMIT)),
                    None => Ok(()),
                }
            }
            NodeOp::Convert => {
                self.arity(1)?;
                self.gives(self.shape(0))
            }
            NodeOp::Rescale { slope, .. } => {
                self.arity(1)?;
                if slope.is_some_and(|slope| !(slope >= 0.0 && slope.is_finite())) {
                    return self.fail("slope", format!("{slope:?}, expected a number that is not negative"));
                }
                self.gives(self.shape(0))
            }
            NodeOp::Sigmoid { .. } => {
                self.arity(1)?;
                self.gives(self.shape(0))
            }
            NodeOp::Pad { before, after, .. } => {
                self.arity(1)?;
                self.gives(Pad::output_shape(self.shape(0), *before, *after))?;
                self.same_quant()
            }
        }
    }

    fn arity(&self, expected: usize) -> Checked {
        match self.node.inputs.len() {
            found if found == expected => Ok(()),
            found => self.fail("inputs", format!("{found}, expected {expected}")),
        }
    }

    fn gives(&self, expected: Shape) -> Checked {
        if self.output().same(expected) {
            return Ok(());
        }
        self.fail("output", format!("shape {}, expected {}", show(self.output()), show(expected)))
    }

    fn windowed(&self, window: &Window, expected: Option<Shape>) -> Checked {
        match expected {
            Some(shape) => self.gives(shape),
            None => self.fail("window", format!("{window:?} does not fit the input {}", show(self.shape(0)))),
        }
    }

    fn pair(&self, rule: impl Fn(Shape, Shape) -> Option<Shape>) -> Checked {
        self.arity(2)?;
        let (a, b) = (self.shape(0), self.shape(1));
        match rule(a, b) {
            Some(shape) => self.gives(shape),
            None => self.fail("inputs", format!("{} and {} do not go together", show(a), show(b))),
        }
    }

    fn weights(&self, weights: &[i8], expected: u64) -> Checked {
        self.count("weights", weights.len(), expected)
    }

    fn count(&self, field: &'static str, found: usize, expected: u64) -> Checked {
        if found as u64 == expected {
            return Ok(());
        }
        self.fail(field, format!("{found} elements, expected {expected}"))
    }

    fn finite(&self, field: &'static str, mut numbers: impl Iterator<Item = f32>) -> Checked {
        match numbers.find(|number| !number.is_finite()) {
            Some(number) => self.fail(field, format!("{number}, expected finite numbers")),
            None => Ok(()),
        }
    }

    fn multiple_of<T>(&self, channels: u32) -> Checked<T> {
        let found = self.output().c;
        self.fail("output", format!("{found} channels, expected a multiple of the input's {channels}"))
    }

    fn channels(&self, scales: &[f32], bias: &[i64]) -> Checked {
        let channels = self.output().c as usize;
        if scales.len() != 1 && scales.len() != channels {
            return self.fail("weight_scales", format!("{}, expected 1 or {channels}", scales.len()));
        }
        if let Some(scale) = scales.iter().find(|scale| !(scale.is_finite() && **scale >= 0.0)) {
            return self.fail("weight_scales", format!("{scale}, expected finite numbers that are not negative"));
        }
        self.count("bias", bias.len(), channels as u64)?;
        if self.node.rounding != Rounding::Wide
            && let Some(bias) = bias.iter().find(|&&bias| i32::try_from(bias).is_err())
        {
            return self.fail("bias", format!("{bias}, expected one of 32 bits"));
        }
        Ok(())
    }

    /// Inputs quantized as the output is.
    fn same_quant(&self) -> Checked {
        let expected = self.network.tensors[self.node.output].quant;
        self.node.inputs.iter().try_for_each(|&input| self.quant(input, expected))
    }

    fn quant(&self, tensor: TensorId, expected: QuantParams) -> Checked {
        let found = self.network.tensors[tensor].quant;
        if found.same(expected) {
            return Ok(());
        }
        let name = self.network.tensor_name(tensor);
        self.fail("quantization", format!("{name} has {found:?}, expected {expected:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Network, Node, NodeOp, TensorInfo};
    use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};

    fn network() -> Network {
        let quant = QuantParams { scale: 0.5, zero_point: 3 };
        let tensor = |name: &str, shape| TensorInfo { name: name.into(), shape, dtype: DType::I8, quant };
        let conv = NodeOp::Conv2d {
            window: Window::new([3, 3], [1, 1], Padding::Same, [4, 4]),
            weights: vec![1; 5 * 9 * 2],
            weight_scales: vec![0.1],
            bias: vec![0; 5],
            activation: Activation::Relu,
        };
        Network {
            name: "n".into(),
            tensors: vec![
                tensor("in", Shape::new(4, 4, 2)),
                tensor("map", Shape::new(4, 4, 5)),
                tensor("out", Shape::vector(5)),
            ],
            nodes: vec![
                Node { name: "conv".into(), op: conv, inputs: vec![0], output: 1, rounding: Rounding::Double },
                Node { name: "mean".into(), op: NodeOp::Mean, inputs: vec![1], output: 2, rounding: Rounding::Double },
            ],
            input: 0,
            output: 2,
            labels: Vec::new(),
            pixels: None,
        }
    }

    /// The message when `bend` has bent a valid network.
    fn message(bend: impl Fn(&mut Network)) -> String {
        let mut network = network();
        network.validate().expect("valid before");
        bend(&mut network);
        network.validate().expect_err("invalid after").to_string()
    }

    #[test]
    fn errors_name_the_node_the_field_and_what_would_be_right() {
        let found = message(|n| n.tensors[1].shape = Shape::new(4, 3, 5));
        assert!(found.contains("`conv`") && found.contains("output") && found.contains("expected 4x4x5"), "{found}");
        let found = message(|n| {
            if let NodeOp::Conv2d { weights, .. } = &mut n.nodes[0].op {
                weights.pop();
            }
        });
        assert!(found.contains("`conv`") && found.contains("weights: 89 elements, expected 90"), "{found}");
        let found = message(|n| n.nodes.swap(0, 1));
        assert!(found.contains("`mean`") && found.contains("tensor 1 `map` is read before it is written"), "{found}");
        let found = message(|n| n.nodes[1].inputs.push(0));
        assert!(found.contains("`mean`") && found.contains("inputs: 2, expected 1"), "{found}");
        let found = message(|n| n.tensors[2].quant.scale = f32::NAN);
        assert!(found.contains("tensor 2 `out`") && found.contains("scale"), "{found}");
        let found = message(|n| n.labels = vec!["one".into()]);
        assert!(found.contains("labels: 1 for 5"), "{found}");
        let found = message(|n| n.nodes[1].output = 9);
        assert!(found.contains("`mean`") && found.contains("output: tensor 9 of 3"), "{found}");
    }
}
