//! Operators' options: codes, extents and axes, the same for quantized and float models.

use kinglet::{Activation, Padding, Window};

use super::names as op;
use super::schema::{Model, Operator, Type};
use crate::import::problem::{Refusal, refuse};

/// A fused activation by its code.
pub(super) fn activation(code: i8) -> Result<Activation, Refusal> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => refuse("fused TANH", "export the activation as an operator of its own"),
        code => refuse(format!("fused activation {code}"), ""),
    }
}

/// A padding scheme by its code.
pub(super) fn padding(code: i8) -> Result<Padding, Refusal> {
    match code {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        code => refuse(format!("padding scheme {code}"), ""),
    }
}

/// A positive extent.
pub(super) fn extent(value: i32, what: &str) -> Result<u32, Refusal> {
    match u32::try_from(value) {
        Ok(value) if (1..=Window::MAX_EXTENT).contains(&value) => Ok(value),
        _ => refuse(format!("{what} of {value}"), ""),
    }
}

/// Whether an operator only computes shapes: the shapes that count are declared in the file.
pub(super) fn is_shape_arithmetic(model: &Model<'_>, o: &Operator<'_>) -> bool {
    let integers = |i: usize| matches!(model.tensors[i].dtype, Type::Int32 | Type::Int64);
    match o.code {
        op::SHAPE => true,
        op::STRIDED_SLICE
        | op::PACK
        | op::CONCATENATION
        | op::GATHER
        | op::MUL
        | op::ADD
        | op::SUB
        | op::CAST
        | op::REDUCE_PROD
        | op::SQUEEZE
        | op::EXPAND_DIMS
        | op::RESHAPE
        | op::MAXIMUM
        | op::MINIMUM => o.outputs().all(integers) && o.inputs().all(integers),
        _ => false,
    }
}

/// A pool's window over an input of `size`, and its fused activation.
pub(super) fn pool_window(o: &Operator<'_>, size: [u32; 2]) -> Result<(Window, Activation), Refusal> {
    let Some(options) = o.options else { return refuse("its options are missing", "") };
    let field = |at| options.i32(at, 0).map_err(damaged);
    let activation = activation(options.i8(5, 0).map_err(damaged)?)?;
    let padding = padding(options.i8(0, 0).map_err(damaged)?)?;
    let stride = [extent(field(2)?, "vertical stride")?, extent(field(1)?, "horizontal stride")?];
    let kernel = [extent(field(4)?, "filter height")?, extent(field(3)?, "filter width")?];
    Ok((Window::new(kernel, stride, padding, size), activation))
}

/// What SPACE_TO_BATCH_ND adds around a map before it takes it apart into blocks, or BATCH_TO_SPACE_ND cuts off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Height and width of a block.
    pub(super) size: [u32; 2],
    pub(super) before: [u32; 2],
    pub(super) after: [u32; 2],
}

/// The blocks of a SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND.
pub(super) fn blocks(model: &Model<'_>, o: &Operator<'_>) -> Result<Blocks, Refusal> {
    let list = |at: usize| -> Option<Vec<u32>> {
        let list = o.input(at).and_then(|i| model.tensors[i].integers(4))?;
        list.iter().map(|&value| u32::try_from(value).ok().filter(|&value| value <= Window::MAX_EXTENT)).collect()
    };
    let rank = o.input(0).map_or(0, |i| model.tensors[i].dims.len());
    let size = list(1).filter(|size| !size.contains(&0));
    match (size.as_deref(), list(2).as_deref(), rank) {
        (Some(&[h, w]), Some(&[top, bottom, left, right]), 4) => {
            Ok(Blocks { size: [h, w], before: [top, left], after: [bottom, right] })
        }
        (Some(&[h]), Some(&[top, bottom]), 4) => Ok(Blocks { size: [h, 1], before: [top, 0], after: [bottom, 0] }),
        (Some(&[w]), Some(&[left, right]), 3) => Ok(Blocks { size: [1, w], before: [0, left], after: [0, right] }),
        _ => refuse("blocks that are not constant, or not of height and width", ""),
    }
}

/// Whether an operator is one of recurrent networks or of attention.
pub(super) const fn is_recurrent(code: i32) -> bool {
    matches!(code, op::LSTM | op::RNN | op::SVDF | op::SEQUENCE_LSTM | op::BATCH_MATMUL)
}

/// Whether an operator's result is a constant that has been computed.
pub(super) fn is_folded(model: &Model<'_>, o: &Operator<'_>) -> bool {
    o.output(0).is_some_and(|output| model.is_constant(output))
}

/// Whether an operator's output has the shape of its input.
pub(super) fn changes_nothing(model: &Model<'_>, o: &Operator<'_>) -> bool {
    o.input(0).zip(o.output(0)).is_some_and(|(from, to)| model.tensors[from].dims == model.tensors[to].dims)
}

/// Whether a convolution has no dilation, stride or padding of its own.
pub(super) fn is_plain(o: &Operator<'_>) -> bool {
    let first = match o.code {
        op::CONV_2D => 4,
        op::DEPTHWISE_CONV_2D => 5,
        _ => return false,
    };
    o.options.is_some_and(|options| {
        options.i8(0, 0) == Ok(1) && [1, 2, first, first + 1].iter().all(|&at| options.i32(at, 1) == Ok(1))
    })
}

/// The window of a plain convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND.
pub(super) fn dilated(kernel: [u32; 2], into: Blocks, back: Blocks) -> Result<Window, Refusal> {
    let less = |of: [u32; 2], by: [u32; 2]| Some([of[0].checked_sub(by[0])?, of[1].checked_sub(by[1])?]);
    match (less(into.before, back.before), less(into.after, back.after)) {
        (Some(before), Some(after)) if into.size == back.size => Ok(Window { kernel, stride: [1, 1], before, after }),
        _ => refuse("blocks that are not put together as they were taken apart", "the file contradicts itself"),
    }
}

/// Demands that a MEAN be over height and width.
pub(super) fn check_mean(model: &Model<'_>, o: &Operator<'_>) -> Result<(), Refusal> {
    let dims = o.input(0).map_or(&[][..], |i| &model.tensors[i].dims);
    let Some(axes) = o.input(1).and_then(|i| model.tensors[i].integers(8)) else {
        return refuse("its axes are not constant", "");
    };
    let rank = dims.len() as i64;
    let reduced = |at: i64| axes.iter().any(|&axis| axis == at || axis + rank == at);
    // All of height and width, and nothing else that has an extent.
    let fits = (1..rank - 1).all(|at| reduced(at) || dims[at as usize] == 1)
        && !(reduced(rank - 1) && dims.last().is_some_and(|&c| c != 1))
        && axes.iter().all(|&axis| (-rank..rank).contains(&axis));
    if fits && rank >= 3 {
        return Ok(());
    }
    refuse(format!("{} over axes {axes:?} of {dims:?}", o.kind), "only height and width can be reduced, both together")
}

/// A damaged table met while a node's options are read.
pub(super) fn damaged(error: crate::import::flat::Malformed) -> Refusal {
    (error.to_string(), String::new())
}

/// Why an operator is not supported that has no lowering.
pub(super) fn unsupported<T>(o: &Operator<'_>) -> Result<T, Refusal> {
    let compilers = [("edgetpu", "Edge TPU"), ("ethos-u", "Ethos-U"), ("XC_", "xcore")];
    match compilers.iter().find(|(part, _)| o.kind.contains(part)) {
        Some((_, name)) => refuse(
            format!("the file is compiled for the accelerator {name}"),
            "import the file that its compiler was given",
        ),
        None => refuse("the operator is not supported", hint(o.code)),
    }
}

/// What a user can do about an operator that is not supported.
pub(super) fn hint(code: i32) -> &'static str {
    match code {
        56 | 79 | 48 => "take it out of the model and use kinglet's top-k on the output",
        67 | 5 | 23 | 97 => "kinglet runs classifiers: up-sampling is not supported",
        code if is_recurrent(code) => "kinglet runs convolutional networks: neither recurrent ones nor attention",
        op::SPACE_TO_BATCH_ND | op::BATCH_TO_SPACE_ND => "only around a convolution, which they make a dilated one",
        op::LOG_SOFTMAX => "take it out of the model: the order of classes stays the same",
        op::SUM => "use a mean instead",
        _ => {
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)"
        }
    }
}
