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
    refuse(format!("a mean over axes {axes:?} of {dims:?}"), "only the mean over height and width is supported")
}

/// A damaged table met while a node's options are read.
pub(super) fn damaged(error: crate::import::flat::Malformed) -> Refusal {
    (error.to_string(), String::new())
}

/// What a user can do about an operator that is not supported.
pub(super) fn hint(code: i32) -> &'static str {
    match code {
        56 | 79 | 48 => "take it out of the model and use kinglet's top-k on the output",
        67 | 5 | 23 | 97 => "kinglet runs classifiers: up-sampling is not supported",
        16 | 24 | 27 | 44 | 126 => "kinglet runs convolutional networks",
        37 | 38 => "build the model with dilated convolutions: moving space into the batch is not supported",
        op::LOG_SOFTMAX => "take it out of the model: the order of classes stays the same",
        op::SUM => "use a mean instead",
        _ => {
            "rebuild the model without it: kinglet supports the operators of residual, Inception and MobileNet-style classifiers (README.md)"
        }
    }
}
