//! The encodings of what several operators' parameters share.

use super::Operands;
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::float16;
use crate::quant::{Channels, Clamp, Multiplier, Rounding};
use crate::tensor::{DType, Shape, Tensor};
use crate::window::Window;

/// The members of an operator whose output pixel depends on the input's pixel at the same place only, and which needs nothing
/// beside it: no scratch, in place over its first operand, no multiply-accumulates. For an `impl` block.
macro_rules! pointwise {
    () => {
        pub(super) const fn scratch_len(&self, _tensors: &$crate::ops::Operands) -> u32 {
            0
        }

        pub(super) const fn in_place(&self, operand: u32) -> bool {
            operand == 0
        }

        pub(super) const fn reach(&self, _operand: u32) -> $crate::window::Reach {
            $crate::window::Reach::POINT
        }

        pub(super) const fn macs(&self, _tensors: &$crate::ops::Operands) -> u64 {
            0
        }
    };
}
pub(super) use pointwise;

/// Words of a window: kernel, stride, padding before, padding after, each vertical then horizontal.
pub(super) const WINDOW_WORDS: u32 = 8;

/// The window in words `at..at + 8`.
pub(super) const fn window(block: &Block<'_>, at: u32) -> Result<Window, ModelError> {
    let window = Window {
        kernel: [attempt!(block.word(at)), attempt!(block.word(at + 1))],
        stride: [attempt!(block.word(at + 2)), attempt!(block.word(at + 3))],
        before: [attempt!(block.word(at + 4)), attempt!(block.word(at + 5))],
        after: [attempt!(block.word(at + 6)), attempt!(block.word(at + 7))],
    };
    if window.is_valid() { Ok(window) } else { Err(block.error(at, Fault::Window)) }
}

/// The inverse of [`window`].
#[cfg(feature = "std")]
pub(super) const fn window_words(window: &Window) -> [u32; 8] {
    let Window { kernel, stride, before, after } = *window;
    [kernel[0], kernel[1], stride[0], stride[1], before[0], before[1], after[0], after[1]]
}

/// The rounding mode in word `at`.
pub(super) const fn rounding(block: &Block<'_>, at: u32) -> Result<Rounding, ModelError> {
    match attempt!(weighted_rounding(block, at)) {
        Rounding::Wide => Err(block.error(at, Fault::Rounding)),
        rounding => Ok(rounding),
    }
}

/// The rounding mode in word `at`, of an operator with weights.
pub(super) const fn weighted_rounding(block: &Block<'_>, at: u32) -> Result<Rounding, ModelError> {
    match Rounding::from_code(attempt!(block.word(at))) {
        Some(rounding) => Ok(rounding),
        None => Err(block.error(at, Fault::Rounding)),
    }
}

/// The activation range in words `at` and `at + 1`.
pub(super) const fn clamp(block: &Block<'_>, at: u32) -> Result<Clamp, ModelError> {
    let clamp = Clamp { min: attempt!(block.word(at)) as i32, max: attempt!(block.word(at + 1)) as i32 };
    if clamp.min <= clamp.max { Ok(clamp) } else { Err(block.error(at, Fault::Clamp)) }
}

/// The multiplier in word `at` with the shift in word `at + 1`.
pub(super) const fn multiplier(block: &Block<'_>, at: u32) -> Result<Multiplier, ModelError> {
    let factor = Multiplier { multiplier: attempt!(block.word(at)) as i32, shift: attempt!(block.word(at + 1)) as i32 };
    if factor.is_valid() { Ok(factor) } else { Err(block.error(at, Fault::Multiplier)) }
}

/// The per-channel table that words `at` (offset) and `at + 1` (bytes) name. Its entries are the business of `check`, which
/// runs once: steps are decoded before every run.
pub(super) const fn channels<'m>(block: &Block<'m>, at: u32) -> Result<Channels<'m>, ModelError> {
    match Channels::new(attempt!(block.data(at, 4))) {
        Some(channels) => Ok(channels),
        None => Err(block.error(at, Fault::Weights)),
    }
}

/// Demands that words `at` and `at + 1`, the dilation, be 1.
pub(super) const fn no_dilation(block: &Block<'_>, at: u32) -> Result<(), ModelError> {
    match (attempt!(block.word(at)), attempt!(block.word(at + 1))) {
        (1, 1) => Ok(()),
        _ => Err(block.error(at, Fault::Dilation)),
    }
}

/// Demands elements of type `dtype`.
pub(super) const fn of_type(tensor: &Tensor, dtype: DType) -> Result<(), Fault> {
    demand(tensor.dtype.same(dtype), Fault::QuantRule)
}

/// Demands signed 8-bit elements.
pub(super) const fn int8(tensor: &Tensor) -> Result<(), Fault> {
    of_type(tensor, DType::I8)
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

/// Demands that word `at`, the algorithm of an operator that has only one, be 0.
pub(super) const fn only_algorithm(block: &Block<'_>, at: u32) -> Result<(), ModelError> {
    match attempt!(block.word(at)) {
        0 => Ok(()),
        _ => Err(block.error(at, Fault::Algorithm)),
    }
}

/// The rules of operators with weights: one element type; a table, a rounding mode and an algorithm that go with it; of halves
/// weights and biases that are finite.
pub(super) const fn weighted(
    tensors: &Operands,
    rounding: Rounding,
    weights: &[i8],
    channels: &Channels<'_>,
    direct: bool,
) -> Result<(), Fault> {
    attempt!(same_type(&tensors.a, &tensors.output));
    match tensors.a.dtype {
        DType::I8 => attempt!(demand(!matches!(rounding, Rounding::Wide), Fault::Rounding)),
        DType::I16 => attempt!(demand(direct, Fault::Algorithm)),
        DType::F16 => {
            attempt!(demand(direct, Fault::Algorithm));
            attempt!(demand(float16::are_finite(weights), Fault::Weights));
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

/// Bytes of a weight: weights are int8, but halves go with halves.
pub(super) const fn weight_size(dtype: DType) -> u64 {
    if dtype.same(DType::F16) { 2 } else { 1 }
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
    match pooled(input.shape, window) {
        Some(shape) if shape.same(output.shape) => Ok(()),
        _ => Err(Fault::ShapeRule),
    }
}
