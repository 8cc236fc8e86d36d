//! Shape, type and quantization rules that several operators share.

use super::{Encoding, Operands, Weights};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::float16;
use crate::quant::{Channels, Clamp, Rounding};
use crate::tensor::{DType, Shape, Tensor};
use crate::window::Window;

/// Demands elements of type `dtype`.
pub(super) const fn of_type(tensor: &Tensor, dtype: DType) -> Result<(), Fault> {
    demand(tensor.dtype.same(dtype), Fault::QuantRule)
}

/// Demands one type of elements on both sides.
pub(super) const fn same_type(input: &Tensor, output: &Tensor) -> Result<(), Fault> {
    of_type(input, output.dtype)
}

/// Demands one type of elements with one quantization on both sides.
pub(super) const fn same_quant(input: &Tensor, output: &Tensor) -> Result<(), Fault> {
    attempt!(same_type(input, output));
    if input.quant.same(output.quant) { Ok(()) } else { Err(Fault::QuantRule) }
}

/// Demands that `rule` hold.
pub(super) const fn demand(rule: bool, fault: Fault) -> Result<(), Fault> {
    if rule { Ok(()) } else { Err(fault) }
}

/// Demands an output of shape `expected`; `None` when the operands do not go together.
pub(super) const fn shape(expected: Option<Shape>, output: &Tensor) -> Result<(), Fault> {
    match expected {
        Some(shape) if shape.same(output.shape) => Ok(()),
        _ => Err(Fault::ShapeRule),
    }
}

/// The rules of operators with weights: one element type; a table, a rounding mode and an algorithm that go with it; of halves
/// weights and biases that are finite.
pub(super) const fn weighted(
    tensors: &Operands,
    rounding: Rounding,
    weights: Weights<'_>,
    channels: &Channels<'_>,
    direct: bool,
) -> Result<(), Fault> {
    attempt!(same_type(&tensors.a, &tensors.output));
    match tensors.a.dtype {
        DType::I8 => {
            attempt!(demand(direct || !weights.is_halfwords(), Fault::Algorithm));
            attempt!(demand(!matches!(rounding, Rounding::Wide), Fault::Rounding));
        }
        DType::I16 => attempt!(demand(direct && !weights.is_halfwords(), Fault::Algorithm)),
        DType::F16 => {
            attempt!(demand(direct && matches!(weights.encoding, Encoding::Plain), Fault::Algorithm));
            attempt!(demand(float16::are_finite(weights.bytes), Fault::Weights));
            return demand(float16::are_biases(channels.bytes(), tensors.output.shape.c), Fault::Weights);
        }
    }
    demand(channels.is_valid(rounding), Fault::Multiplier)
}

/// Output channels of an operator with weights whose output is `output`: those of the table, or, of halves, whose table
/// [`weighted`] holds against them, the output's.
pub(super) const fn outputs(channels: &Channels<'_>, output: &Tensor) -> u32 {
    if output.dtype.same(DType::F16) { output.shape.c } else { channels.len() as u32 }
}

/// The shape rule of pools, `None` when the window does not fit.
pub(super) const fn pooled(input: Shape, window: &Window) -> Option<Shape> {
    match window.output([input.h, input.w]) {
        Some([h, w]) => Some(Shape::new(h, w, input.c)),
        None => None,
    }
}

/// The rules of pools.
pub(super) const fn check_pool(tensors: &Operands, window: &Window, clamp: Clamp) -> Result<(), Fault> {
    let (input, output) = (&tensors.a, &tensors.output);
    attempt!(same_quant(input, output));
    attempt!(demand(clamp.is_valid(output.dtype), Fault::Clamp));
    shape(pooled(input.shape, window), output)
}
