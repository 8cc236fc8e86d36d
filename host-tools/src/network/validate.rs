//! Checks how a network's nodes and tensors hang together, and says what would be right.
//!
//! What an operator demands of its operands beyond their shapes is the runtime's business: the exporter asks it node by
//! node, since only the network knows names.

use kinglet::{DType, PixelTables, Shape};
use thiserror::Error;

use super::{Network, Node, TensorId};
use crate::graph::Channels as _;

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

impl Network {
    /// Checks every tensor, the order and the shapes of all nodes, and the ends of the network.
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
        self.nodes.iter().try_for_each(|node| self.check_shapes(node))?;
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
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return network("inputs and outputs", "there are none".into());
        }
        for given in self.given() {
            match written.get_mut(given) {
                Some(written) if !*written => *written = true,
                Some(_) => return network("inputs", format!("{} is one twice", self.tensor_name(given))),
                None => return network("inputs", format!("tensor {given} of {count}")),
            }
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
        let by_node = |id: TensorId| written.get(id) == Some(&true) && self.given().all(|given| given != id);
        let ends = self.outputs.iter().copied().chain(self.states.iter().map(|state| state.next));
        if let Some(end) = ends.into_iter().find(|&end| !by_node(end)) {
            return network("outputs", format!("{} is written by no node", self.tensor_name(end)));
        }
        match written.iter().position(|&written| !written) {
            Some(id) => network("tensors", format!("{} is written by no node", self.tensor_name(id))),
            None => Ok(()),
        }
    }

    /// The output has the shape, and the weights have the number, that follow from the inputs.
    fn check_shapes(&self, node: &Node) -> Checked {
        let fail = |field, reason| Err(NetworkError { place: place(node), field, reason });
        let inputs: Vec<Shape> = node.inputs.iter().map(|&id| self.tensors[id].shape).collect();
        let (found, expected) = match node.op.output(&node.name, &inputs) {
            Ok(expected) => (self.tensors[node.output].shape, expected),
            Err(error) => return fail("inputs", error.to_string()),
        };
        if !found.same(expected) {
            return fail("output", format!("shape {}, expected {}", show(found), show(expected)));
        }
        if let Some(weights) = node.op.weights() {
            // One multiplication each for an output of one pixel.
            let expected = node.op.macs(&inputs, Shape::vector(weights.channels() as u32));
            if weights.len() as u64 != expected {
                return fail("weights", format!("{} elements, expected {expected}", weights.len()));
            }
        }
        Ok(())
    }

    /// States are like what they become; labels and pixel tables fit output and input.
    fn check_ends(&self) -> Checked {
        let fail = |field, reason| Err(NetworkError { place: format!("network `{}`", self.name), field, reason });
        for state in &self.states {
            let (tensor, next) = (&self.tensors[state.tensor], &self.tensors[state.next]);
            let alike = tensor.shape == next.shape && tensor.dtype == next.dtype && tensor.quant.same(next.quant);
            if !alike || (!state.initial.is_empty() && state.initial.len() != tensor.shape.len() as usize) {
                return fail("states", format!("{tensor} becomes {next}, from {} elements", state.initial.len()));
            }
        }
        let classes = self.output().shape.len() as usize;
        if !self.labels.is_empty() && self.labels.len() != classes {
            return fail("labels", format!("{} for {classes} output elements", self.labels.len()));
        }
        if let Some(pixels) = &self.pixels {
            let channels = self.input().shape.c as usize;
            let len = pixels.tables.len();
            if len != PixelTables::LEN && len != channels * PixelTables::LEN {
                return fail("pixels", format!("{len} entries, expected 256 or {channels} x 256"));
            }
            let dtype = self.input().dtype;
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
pub(crate) fn place(node: &Node) -> String {
    format!("node `{}` ({})", node.name, node.op.kind())
}

/// `8x8x16`.
fn show(shape: Shape) -> String {
    format!("{}x{}x{}", shape.h, shape.w, shape.c)
}

#[cfg(test)]
mod tests {
    use super::super::{Network, Node, TensorInfo};
    use crate::graph::{Op, StoredWeights};
    use kinglet::format::RoundingSource;
    use kinglet::{Activation, DType, Padding, QuantParams, Rounding, Shape, Window};

    fn network() -> Network {
        let quant = QuantParams { scale: 0.5, zero_point: 3 };
        let tensor = |name: &str, shape| TensorInfo { name: name.into(), shape, dtype: DType::I8, quant };
        let conv = Op::Conv2d {
            window: Window::new([3, 3], [1, 1], Padding::Same, [4, 4]),
            weights: StoredWeights::Int8 { weights: vec![1; 5 * 9 * 2], scales: vec![0.1], bias: vec![0; 5] },
        };
        let node = |name: &str, op, activation, input, output| Node {
            name: name.into(),
            op,
            activation,
            inputs: vec![input],
            output,
            rounding: Rounding::Double,
        };
        Network {
            name: "n".into(),
            tensors: vec![
                tensor("in", Shape::new(4, 4, 2)),
                tensor("map", Shape::new(4, 4, 5)),
                tensor("out", Shape::vector(5)),
            ],
            nodes: vec![node("conv", conv, Activation::Relu, 0, 1), node("mean", Op::Mean, Activation::None, 1, 2)],
            inputs: vec![0],
            outputs: vec![2],
            states: Vec::new(),
            labels: Vec::new(),
            pixels: None,
            rounding: RoundingSource::Tflm,
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
            if let Op::Conv2d { weights: StoredWeights::Int8 { weights, .. }, .. } = &mut n.nodes[0].op {
                weights.pop();
            }
        });
        assert!(found.contains("`conv`") && found.contains("weights: 89 elements, expected 90"), "{found}");
        let found = message(|n| n.nodes.swap(0, 1));
        assert!(found.contains("`mean`") && found.contains("tensor 1 `map` is read before it is written"), "{found}");
        let found = message(|n| n.nodes[1].inputs.push(0));
        assert!(found.contains("`mean`") && found.contains("inputs: node `mean`: 2 inputs, expected one"), "{found}");
        let found = message(|n| n.tensors[2].quant.scale = f32::NAN);
        assert!(found.contains("tensor 2 `out`") && found.contains("scale"), "{found}");
        let found = message(|n| n.labels = vec!["one".into()]);
        assert!(found.contains("labels: 1 for 5"), "{found}");
        let found = message(|n| n.nodes[1].output = 9);
        assert!(found.contains("`mean`") && found.contains("output: tensor 9 of 3"), "{found}");
    }
}
