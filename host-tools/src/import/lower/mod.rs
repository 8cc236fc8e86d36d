//! One lowering for each operator, from the description that all readers give to nodes over [`Given`](super::draft::Given)
//! constants. The way back, to TensorFlow Lite files, is in `tflite/`, beside the reading.
//!
//! To add an operator:
//! 1. a variant of [`Operator`], with what it needs in Kinglet's terms; the compiler leads to [`Draft::lower`], which gets
//!    one line and one function in the family's file here;
//! 2. an arm in `tflite/operators.rs` and one in `onnx/ops.rs`, with functions in the families beside them that read the
//!    file's attributes into that variant: nothing is computed there but axes and constants in our order;
//! 3. if it became a new `graph::Op`: an arm in `tflite/write.rs`, and one of [`Draft::bounds`].
//!
//! A lowering asks [`Draft::elements`] whether the file computes in integers. Those must stay exactly what they are: either
//! the runtime's operator is exact, or the lowering refuses.

mod arithmetic;
mod choice;
mod dense;
mod function;
mod moves;
mod pools;
mod sums;
mod transposed;
mod windows;

use kinglet::ops::{L2Norm, Softmax, SoftmaxInt16};
use kinglet::{DType, Rounding};

use super::draft::Draft;
use super::problem::{Refusal, refuse};
use super::source::{Elements, FileNode, Operand, Operator, Output};
pub(super) use arithmetic::MAX_SIZE;

use crate::graph::{NodeId, Op};

impl Draft {
    /// Lowers one operator; the value that it makes.
    pub(super) fn lower(&mut self, node: FileNode) -> Result<NodeId, Refusal> {
        let output = node.output;
        match &node.operator {
            Operator::Arithmetic(binary) => return self.arithmetic(*binary, node.inputs, output),
            Operator::SquaredDifference => return self.squared_difference(node.inputs, output),
            Operator::Comparison(comparison) => return self.comparison(*comparison, node.inputs, output),
            Operator::Choice => return self.choice(node.inputs, output),
            Operator::Concat(axis) => return self.concat(&node.values()?, *axis, output),
            Operator::Sum => return self.sum(&node.values()?, output),
            _ => {}
        }
        let input = node.value(0)?;
        match node.operator {
            Operator::Arithmetic(_) | Operator::SquaredDifference | Operator::Comparison(_) => {
                refuse("it has no input", "")
            }
            Operator::Choice | Operator::Concat(_) | Operator::Sum => refuse("it has no input", ""),
            Operator::CumulativeSum { axis, exclusive, reverse } => {
                self.cumulative_sum(input, axis, exclusive, reverse, output)
            }
            Operator::Conv { window, dilation, groups, filter } => {
                self.conv(input, window, dilation, groups, filter, output)
            }
            Operator::TransposedConv { transposed, filter } => self.transposed(input, transposed, filter, output),
            Operator::Depthwise { window, dilation, filter } => self.depthwise(input, window, dilation, filter, output),
            Operator::Dense { inputs, filter } => self.dense(input, inputs, filter, output),
            Operator::Norm(norm) => self.norm(input, norm),
            Operator::Function(curve) => self.function(input, &curve, output),
            Operator::Prelu(slopes) => self.prelu(input, slopes, output),
            Operator::Pool(pool, window) => self.pool(input, pool, window, output),
            Operator::Reduce { reduction, axes } => self.reduce(input, reduction, axes, output),
            Operator::Softmax { beta } => self.softmax(input, beta, output),
            Operator::L2Norm => self.l2_norm(input, output),
            Operator::Reshape(shape) => self.reshape(input, shape, output),
            Operator::Part(part) => self.part(input, part, output),
            Operator::Pick(axis, picked) => self.pick(input, axis, &picked),
            Operator::Channels(picked) => self.channels(input, &picked),
            Operator::Rearrange(rearrange) => self.rearrange(input, rearrange, output),
            Operator::ResizeBilinear(resize) => {
                self.demand_alike(input, output)?;
                // There uint8 is interpolated in floats, which are the same numbers where ours are exact.
                let is_exact =
                    |axis: usize| resize.step[axis] % 1024 == 0 && resize.origin[axis].wrapping_sub(512) % 1024 == 0;
                match self.unsigned {
                    false => self.push(Op::ResizeBilinear(resize), &[input], output),
                    true if [0, 1].into_iter().all(is_exact) => {
                        self.mean_of_unsigned(input, Op::ResizeBilinear(resize), output)
                    }
                    true => refuse("steps between pixels that are no multiples of 1/1024", "resize by a power of two"),
                }
            }
            Operator::Mirror { mirror, before, after } => self.mirrored(input, mirror, before, after, output),
        }
    }

    /// Demands that an output have the elements of the input that it consists of.
    fn demand_alike(&self, input: NodeId, output: Output) -> Result<(), Refusal> {
        match (self.elements(input), output.elements) {
            (None, None) => Ok(()),
            (Some(from), Some(to)) if from.same(to) => Ok(()),
            _ => refuse("input and output have different scales", "TensorFlow Lite does not rescale here either"),
        }
    }

    fn l2_norm(&mut self, input: NodeId, output: Output) -> Result<NodeId, Refusal> {
        if let Some([from, to]) = both(self.elements(input), output.elements)? {
            if self.unsigned {
                return refuse("it is not supported for uint8", "convert the model anew, to int8");
            }
            if [from.dtype, to.dtype] != [DType::I8; 2] {
                return refuse("it is not supported for int16", "TensorFlow Lite Micro has it for int8 only");
            }
            if !to.quant.same(L2Norm::OUTPUT) {
                return refuse("the output's scale is not 1/128 with zero point 0", "TensorFlow Lite demands it too");
            }
        }
        self.push(Op::L2Norm, &[input], output)
    }

    fn softmax(&mut self, input: NodeId, beta: f32, output: Output) -> Result<NodeId, Refusal> {
        let op = Op::Softmax { beta };
        let (Some(from), Some(to)) = (self.elements(input), output.elements) else {
            return match beta {
                1.0 => self.push(op, &[input], output),
                _ => {
                    let scaled = self.scaled(input, beta)?;
                    self.push(Op::Softmax { beta: 1.0 }, &[scaled], output)
                }
            };
        };
        if from.dtype != to.dtype {
            return refuse("input and output have different types", "convert the model with one type of activations");
        }
        let valid = if from.dtype == DType::I16 {
            if (to.quant.scale * 32768.0 - 1.0).abs() > 1e-3 {
                return refuse("the output's scale is not 2^-15", "TensorFlow Lite demands it too");
            }
            SoftmaxInt16::factor(from.quant, beta).is_some()
        } else {
            if !to.quant.same(Softmax::OUTPUT) {
                return refuse(
                    "the output's scale is not 1/256 with zero point -128",
                    "TensorFlow Lite demands it too",
                );
            }
            Softmax::new(from.quant, beta).is_some()
        };
        if !valid {
            return refuse(format!("beta {beta}"), "");
        }
        // Only of int16 elements the mode makes a difference: in a table.
        let desktop = !self.mode().is_micro() && from.dtype == DType::I16;
        let rounding = if desktop { Rounding::Single } else { self.rounding(false) };
        self.push_rounded(op, &[input], output, rounding)
    }
}

/// The constant that is one of two operands, the other, and whether the constant comes first.
fn constant_of(inputs: Vec<Operand>) -> Result<Operands, Refusal> {
    let [a, b]: [Operand; 2] = match inputs.try_into() {
        Ok(pair) => pair,
        Err(_) => return refuse("it has not two inputs", "the file contradicts itself"),
    };
    match (a, b) {
        (Operand::Value(a), Operand::Value(b)) => Ok(Operands::Values(a, b)),
        (Operand::Value(id), Operand::Constant(list)) => Ok(Operands::Constant(id, list, false)),
        (Operand::Constant(list), Operand::Value(id)) => Ok(Operands::Constant(id, list, true)),
        (Operand::Constant(_), Operand::Constant(_)) => {
            refuse("both inputs are constants", "let the converter fold constants")
        }
    }
}

/// The operands of arithmetic.
enum Operands {
    Values(NodeId, NodeId),
    /// An activation and a constant, which is the first operand if so said.
    Constant(NodeId, super::source::List, bool),
}

/// Elements of integers of both, or a refusal of what is partly in floats.
fn both(from: Option<Elements>, to: Option<Elements>) -> Result<Option<[Elements; 2]>, Refusal> {
    match (from, to) {
        (Some(from), Some(to)) => Ok(Some([from, to])),
        (None, None) => Ok(None),
        _ => refuse("it computes in floats in the middle of the network", "quantize all of the network, or nothing"),
    }
}
