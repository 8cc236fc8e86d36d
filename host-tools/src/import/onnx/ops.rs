//! ONNX's operators: which is imported by what, and those that belong nowhere else.

use kinglet::{Shape, Window};

use super::context::{Activation, Context, Value, float, from_end, int, ints, shape};
use super::proto::NodeProto;
use super::tensor::Values;
use crate::graph::{Binary, NodeId};
use crate::import::problem::{GREATEST, Refusal, beyond, refuse};
use crate::import::source::{Bias, Filter, Numbers, Operator};

impl<'m> Context<'m> {
    /// Imports one node.
    pub(super) fn node(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return refuse(
                format!("operators of `{}`", super::context::short(&node.domain)),
                "export the model with ONNX's own operators",
            );
        }
        if self.fold(node)? || self.activation_function(node)? {
            return Ok(());
        }
        if self.of_integers(node)? {
            return Ok(());
        }
        match node.op_type.as_str() {
            "Conv" => self.conv(node),
            "ConvTranspose" => self.conv_transpose(node),
            "BatchNormalization" => self.batch_norm(node),
            "PRelu" => self.prelu(node),
            "Add" | "Sum" => self.arithmetic(node, Binary::Add),
            "Sub" => self.arithmetic(node, Binary::Sub),
            "Mul" => self.arithmetic(node, Binary::Mul),
            "Div" => self.arithmetic(node, Binary::Div),
            "Min" => self.arithmetic(node, Binary::Min),
            "Max" => self.arithmetic(node, Binary::Max),
            // Of truth values, which are 0 and 1.
            "And" => self.arithmetic(node, Binary::Mul),
            "Or" => self.arithmetic(node, Binary::Max),
            "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => self.comparison(node),
            "Where" => self.chosen(node),
            "Concat" => self.concat(node),
            "Split" => self.split(node),
            "Slice" => self.slice(node),
            "Gather" => self.gather(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" | "ReduceSum" => self.global(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Softmax" | "LogSoftmax" => self.softmax(node),
            "Gemm" | "MatMul" => self.dense(node),
            "Pad" => self.pad(node),
            "Transpose" => self.transpose(node),
            "Identity" | "Dropout" => {
                let value = self.value(node, 0)?.clone();
                self.set(node, value);
                Ok(())
            }
            // Activations are floats, and so is what becomes like one.
            "CastLike" => match self.value(node, 0)?.clone() {
                Value::Constant(constant) if constant.floats().is_err() => {
                    refuse("integers that become floats", "let the exporter fold constants")
                }
                value => {
                    self.set(node, value);
                    Ok(())
                }
            },
            "Cast" if matches!(int(node, "to", 0), 1 | 10 | 11) => {
                let input = self.activation(node, 0)?;
                self.set_activation(node, input);
                Ok(())
            }
            "ArgMax" => self.arg_max(node),
            "LRN" => self.response_norm(node),
            "If" => self.branch(node),
            "Expand" => self.expand(node),
            "Resize" | "Upsample" => self.resize(node),
            "DepthToSpace" | "SpaceToDepth" => self.blocks(node),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            other => refuse("the operator is not supported", hint(other)),
        }
    }

    /// Names the node's output a map.
    pub(super) fn set_map(&mut self, node: &'m NodeProto, id: NodeId, like: &Activation) {
        if let Some(output) = node.output.first() {
            self.set_map_as(output, id, like);
        }
    }

    /// Names `output` a map of as many dimensions, in the same order, as `like`.
    pub(super) fn set_map_as(&mut self, output: &'m str, id: NodeId, like: &Activation) {
        let Shape { h, w, c } = self.draft.shape(id);
        let [h, w, c] = [h, w, c].map(i64::from);
        let dims = match (like.dims.len(), like.channels_last) {
            (2, _) => vec![1, c],
            (3, true) => vec![1, w, c],
            (3, false) => vec![1, c, w],
            (_, true) => vec![1, h, w, c],
            (_, false) => vec![1, c, h, w],
        };
        let map = Activation { node: id, dims, flattened: None, channels_last: like.channels_last };
        self.values.insert(output, Value::Activation(map));
    }

    /// The same activation as channels-first, where its elements are in the same order so: of one channel, or of one pixel.
    pub(super) fn channels_first(&mut self, input: Activation) -> Result<Activation, Refusal> {
        let Ok(to) = shape(&input.dims, false) else { return Ok(input) };
        if !input.channels_last || !(to.c == 1 || to.h * to.w == 1) {
            return Ok(input);
        }
        let id = self.lower(Operator::Reshape(to), &[input.node])?;
        Ok(Activation { node: id, channels_last: false, ..input })
    }

    /// The input of an operator on maps.
    pub(super) fn map(&mut self, node: &NodeProto, index: usize) -> Result<Activation, Refusal> {
        let input = self.activation(node, index)?;
        let input = self.channels_first(input)?;
        if !(3..=4).contains(&input.dims.len()) || input.channels_last || input.flattened.is_some() {
            return refuse(
                format!("an input of dimensions {:?}", input.dims),
                "kinglet reads channels-first maps (NCHW)",
            );
        }
        Ok(input)
    }

    fn softmax(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let rank = input.dims.len();
        // Before operator set 13 all dimensions from the axis on were one.
        let (flattens, default) = if self.opset < 13 { (true, 1) } else { (false, -1) };
        let axis = from_end(int(node, "axis", default), rank);
        let channels = (0..rank).find(|&axis| input.is_channels(axis as i64)).unwrap_or(rank);
        let around = |axes: std::ops::Range<usize>| axes.filter(|&at| at != channels).all(|at| input.dims[at] == 1);
        let fits = if flattens { axis <= channels && around(axis..rank) } else { axis == channels };
        if !fits || channels == rank || input.flattened.is_some() {
            return refuse(
                format!("softmax along axis {axis} of {:?}", input.dims),
                "only the softmax over the channels is supported",
            );
        }
        if node.op_type == "LogSoftmax" {
            if !self.is_output(node) {
                return refuse("LogSoftmax that is not the output", "take it out of the model");
            }
            self.draft.note("the output is probabilities: the model's are their logarithms (LogSoftmax)");
        }
        let id = self.lower(Operator::Softmax { beta: 1.0 }, &[input.node])?;
        self.set_activation(node, Activation { node: id, ..input });
        Ok(())
    }

    /// The place of the greatest channel, as an output: there its scores are, which say more.
    fn arg_max(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let axis = int(node, "axis", 0);
        if !self.is_output(node) || !input.is_channels(axis) || input.flattened.is_some() {
            return refuse(
                format!("the greatest along axis {axis} of {:?}", input.dims),
                "only an output can be the greatest of the channels",
            );
        }
        self.draft.note(GREATEST);
        self.set_activation(node, input);
        Ok(())
    }

    /// Gemm, and MatMul with the addition of a constant that may follow.
    fn dense(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let weights = self.constant(node, 1)?;
        let [rows, columns] = weights.dims[..] else {
            return refuse(format!("weights of dimensions {:?}", weights.dims), "");
        };
        let maps = input.channels_last && input.dims.len() > 2 && node.op_type == "MatMul";
        if int(node, "transA", 0) != 0 || (input.dims.len() != 2 && !maps) {
            return refuse(
                format!("an input of dimensions {:?}", input.dims),
                "only a dense layer over a vector, or over the channels of a map that is channels-last, is supported",
            );
        }
        let transposed = node.op_type == "Gemm" && int(node, "transB", 0) != 0;
        let (out, inner) = if transposed { (rows, columns) } else { (columns, rows) };
        let from = self.shape(&input);
        if inner != (if maps { from.c } else { from.len() }) as usize || out == 0 {
            return refuse(format!("{inner} weights per output for {:?}", input.dims), "the file contradicts itself");
        }
        let (alpha, beta) =
            if node.op_type == "Gemm" { (float(node, "alpha", 1.0), float(node, "beta", 1.0)) } else { (1.0, 1.0) };
        // The input's elements in the file's order, by their places in ours.
        let place = |at: usize| match input.flattened {
            Some(Shape { h, w, c }) => at % c as usize * (h * w) as usize + at / c as usize,
            None => at,
        };
        let from = |o: usize, i: usize| if transposed { o * inner + i } else { i * out + o };
        self.spend(rows * columns)?;
        let places: Vec<usize> =
            (0..out).flat_map(|o| (0..inner).map(move |i| (o, i))).map(|(o, i)| from(o, place(i))).collect();
        let mut weights = self.weights(node, out, |weights| Ok(weights.picked(&places)))?;
        if alpha != 1.0 {
            let values = self.constant(node, 1)?;
            let picked = values.picked(&places);
            weights = Numbers::Reals(picked.floats()?.iter().map(|weight| alpha * weight).collect());
        }
        let mut result = node;
        let mut bias = match self.optional(node, 2)? {
            Some(bias) if bias.len() == 1 => vec![bias.scalar()?; out],
            _ => self.bias(node, 2, out)?,
        };
        bias.iter_mut().for_each(|b| *b *= beta);
        if let Some((at, add)) = node
            .output
            .first()
            .and_then(|o| self.only_reader(o))
            .filter(|(_, n)| n.op_type == "Add" && node.op_type == "MatMul")
        {
            let other = add.input.iter().find(|i| Some(*i) != node.output.first());
            if let Some(Value::Constant(constant)) = other.and_then(|other| self.values.get(other.as_str()))
                && constant.len() == out
                && let Values::Floats(values) = &constant.values
            {
                bias.clone_from(values);
                self.taken.insert(at);
                result = add;
            }
        }
        let filter = Filter { weights, bias: Bias::Reals(bias) };
        self.draft.begin(name(result).to_owned(), String::new());
        if maps {
            // Also of a map of one pixel its channels.
            let operator = Operator::Conv { window: Window::global([1, 1]), dilation: [1, 1], groups: 1, filter };
            let id = self.lower(operator, &[input.node])?;
            self.set_map(result, id, &input);
            return Ok(());
        }
        let id = self.lower(Operator::Dense { inputs: inner as u32, filter }, &[input.node])?;
        let dims = vec![1, out as i64];
        self.set_activation(result, Activation { node: id, dims, flattened: None, channels_last: false });
        Ok(())
    }
}

/// A node's name, or that of its output.
pub(super) fn name(node: &NodeProto) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}

/// A pair of positive integers, 1 by default.
pub(super) fn pair(node: &NodeProto, attribute: &str) -> Result<[u32; 2], Refusal> {
    match ints(node, attribute) {
        None | Some([]) => Ok([1, 1]),
        Some([one]) if (1..=4096).contains(one) => Ok([1, *one as u32]),
        Some([a, b]) if (1..=4096).contains(a) && (1..=4096).contains(b) => Ok([*a as u32, *b as u32]),
        Some(other) => refuse(
            format!("{attribute} of {:?}", &other[..other.len().min(8)]),
            "only 1-D and 2-D windows are supported",
        ),
    }
}

/// What a user can do about an operator that is not supported.
fn hint(operator: &str) -> &'static str {
    match operator {
        "TopK" => "take it out of the model and use kinglet's top-k on the output",
        "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => "quantize the model in QDQ format",
        _ => beyond(operator).unwrap_or(
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)",
        ),
    }
}
