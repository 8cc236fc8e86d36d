//! ONNX's operators: which is imported by what, and those that belong nowhere else.

use kinglet::Shape;

use super::context::{Activation, Context, Value, from_end, int, ints, shape};
use super::proto::NodeProto;
use crate::graph::{Binary, NodeId};
use crate::import::problem::{GREATEST, Refusal, beyond, refuse};
use crate::import::source::Operator;

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
            "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" => self.comparison(node),
            "Where" => self.chosen(node),
            "Concat" => self.concat(node),
            "Split" => self.split(node),
            "Slice" => self.slice(node),
            "Gather" => self.gather(node),
            "MaxPool" | "AveragePool" | "LpPool" => self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSum"
            | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => self.global(node),
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
            "InstanceNormalization" | "GroupNormalization" => self.group_norm(node),
            "LayerNormalization" | "RMSNormalization" => self.layer_norm(node),
            "LRN" => self.response_norm(node),
            "LpNormalization" => self.lp_norm(node),
            "CumSum" => self.cumulative_sum(node),
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
