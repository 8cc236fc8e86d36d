//! The sum of two tensors, rescaled.

use core::ops::Range;

use super::patch::copy_row;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::{AddTerms, Backend};
use crate::quant::{Clamp, Multiplier, OutputStage, Rounding};
use crate::tensor::{DType, QuantParams, Shape, Tensor};
use crate::uses::Linked;
use crate::window::Reach;

/// The sum of two tensors of the same shape, each with its own scale, and an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Add {
    /// How scaled terms are rounded.
    pub rounding: Rounding,
    /// The factors of both inputs: `scale / (2 * larger scale)`.
    pub factors: [Multiplier; 2],
    /// The factor of the sum: `2 * larger scale / (2^20 * output scale)`, for int16 with `2^15`.
    pub output_factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
    /// Constants of the linear form that gives the same bytes in a fifth of the instructions, where there are such:
    /// see [`Add::linearized`].
    pub linear: Option<[i32; 3]>,
}

impl Add {
    /// The addition of tensors of type `dtype` quantized with `a` and `b` into one quantized with `output`, with the multipliers that
    /// TensorFlow Lite computes. `None` when a ratio of scales is not a valid factor.
    pub const fn new(
        a: QuantParams,
        b: QuantParams,
        output: QuantParams,
        dtype: DType,
        rounding: Rounding,
        clamp: Clamp,
    ) -> Option<Self> {
        let (a, b, output) = (a.scale as f64, b.scale as f64, output.scale as f64);
        let twice = 2.0 * if a > b { a } else { b };
        let shifted = (1u32 << AddTerms::left_shift(dtype)) as f64 * output;
        match (
            Multiplier::from_real(a / twice),
            Multiplier::from_real(b / twice),
            Multiplier::from_real(twice / shifted),
        ) {
            (Some(a), Some(b), Some(output_factor)) => Some(Self {
                rounding,
                factors: [a, b],
                output_factor,
                clamp,
                linear: None,
            }),
            _ => None,
        }
    }

    /// The shape rule: both inputs and the output have the same shape. `None` when they do not.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        if a.same(b) { Some(a) } else { None }
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Self::decode_at(&block, 0)
    }

    pub(super) const fn decode_at(block: &Block<'_>, at: u32) -> Result<Self, ModelError> {
        let linear = match attempt!(block.word(at + 9)) {
            0 => None,
            1 => Some([
                attempt!(block.word(at + 10)) as i32,
                attempt!(block.word(at + 11)) as i32,
                attempt!(block.word(at + 12)) as i32,
            ]),
            _ => return Err(block.error(at + 9, Fault::Algorithm)),
        };
        Ok(Self {
            linear,
            rounding: attempt!(params::rounding(block, at)),
            factors: [attempt!(params::multiplier(block, at + 1)), attempt!(params::multiplier(block, at + 3))],
            output_factor: attempt!(params::multiplier(block, at + 5)),
            clamp: attempt!(params::clamp(block, at + 7)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([self.rounding.code()]);
        for factor in self.factors.into_iter().chain([self.output_factor]) {
            writer.words([factor.multiplier as u32, factor.shift as u32]);
        }
        writer.words([self.clamp.min as u32, self.clamp.max as u32, u32::from(self.linear.is_some())]);
        writer.words(self.linear.unwrap_or_default().map(|constant| constant as u32));
    }

    /// The same addition with the constants of its linear form, when some exist that are right for all 65,536 pairs of
    /// inputs quantized with `a` and `b`.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn linearized(self, a: QuantParams, b: QuantParams, output: QuantParams) -> Self {
        let terms = self.terms([a.zero_point, b.zero_point], output.zero_point);
        Self { linear: crate::kernels::algorithms::add_linear::find(&terms), ..self }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (a, output) = (&tensors.a, &tensors.output);
        let Some(b) = &tensors.b else { return Err(Fault::Operand) };
        attempt!(params::same_type(a, output));
        attempt!(params::same_type(b, output));
        attempt!(params::demand(self.linear.is_none() || output.dtype.same(DType::I8), Fault::Algorithm));
        attempt!(params::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        match Self::output_shape(a.shape, b.shape) {
            Some(shape) if shape.same(output.shape) => Ok(()),
            _ => Err(Fault::ShapeRule),
        }
    }

    pub(super) const fn scratch_len(&self, _tensors: &Operands) -> u32 {
        0
    }

    pub(super) const fn in_place(&self, operand: u32) -> bool {
        operand < 2
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::POINT
    }

    pub(super) const fn macs(&self, _tensors: &Operands) -> u64 {
        0
    }

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    /// The constants of the block primitive, for operands and an output with these zero points.
    pub(super) const fn terms(&self, zero_points: [i32; 2], output_zero_point: i32) -> AddTerms {
        AddTerms {
            zero_points,
            factors: self.factors,
            output_factor: self.output_factor,
            stage: OutputStage { rounding: self.rounding, zero_point: output_zero_point, clamp: self.clamp },
            linear: self.linear,
        }
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, b: Some(b), output } = io.tensors else { return };
        let mut terms = self.terms([a.quant.zero_point, b.quant.zero_point], output.quant.zero_point);
        // The sum is taken in place, over the operand that lies where the output lies.
        let (over, other) = if b.same_place(&output) && !a.same_place(&output) {
            terms = terms.swapped();
            (b, a)
        } else {
            (a, b)
        };
        for y in rows.start..rows.end.min(output.shape.h) {
            copy_row(io.memory, &over, &output, y);
            if other.has_dense_rows() && output.has_dense_rows() {
                row::<B, L>(io, &other, &output, (y, 0), output.shape.w, &terms);
            } else {
                (0..output.shape.w).for_each(|x| row::<B, L>(io, &other, &output, (y, x), 1, &terms));
            }
        }
    }
}

/// Adds `pixels` contiguous pixels of `other` to those of `output`.
fn row<B: Backend, L: Linked>(
    io: &mut Io<'_, '_>,
    other: &Tensor,
    output: &Tensor,
    (y, x): (u32, u32),
    pixels: u32,
    terms: &AddTerms,
) {
    let (right, left) = io.memory.read_write(other.pixels(y, x, pixels), output.pixels(y, x, pixels));
    match &terms.linear {
        Some(constants) => B::add_by_line(left, right, terms, constants),
        None if L::SET.scaled_add => B::add(left, right, terms),
        None => {}
    }
}
