//! The same numbers with another scale or element type.

use core::ops::Range;

use super::patch::copy_row;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::memory::Element;
use crate::quant::{Clamp, Multiplier, Rounding, requantize};
use crate::tensor::{DType, Shape, Tensor};
use crate::uses::Linked;

/// QUANTIZE between int8 and int16 and from int16 to int16, and of int16 RELU, RELU6 and LEAKY_RELU, which are no table of
/// 256 entries there: `clamp(round(factor * (input - zero point)) + zero point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rescale {
    /// How the scaled elements are rounded.
    pub rounding: Rounding,
    /// `input scale / output scale`, of numbers that are not negative.
    pub factor: Multiplier,
    /// The same of negative numbers, perhaps times a slope.
    pub negative_factor: Multiplier,
    /// The activation range.
    pub clamp: Clamp,
}

impl Rescale {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            rounding: attempt!(params::rounding(&block, 0)),
            factor: attempt!(params::multiplier(&block, 1)),
            negative_factor: attempt!(params::multiplier(&block, 3)),
            clamp: attempt!(params::clamp(&block, 5)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([self.rounding.code()]);
        for factor in [self.factor, self.negative_factor] {
            writer.words([factor.multiplier as u32, factor.shift as u32]);
        }
        writer.words([self.clamp.min as u32, self.clamp.max as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        // From int8 to int8 it is a LOOKUP, from halves or to them a CONVERT.
        let (from, to) = (tensors.a.dtype, tensors.output.dtype);
        let int8 = from.same(DType::I8) && to.same(DType::I8);
        let halves = from.same(DType::F16) || to.same(DType::F16);
        attempt!(params::demand(!int8 && !halves, Fault::QuantRule));
        attempt!(params::demand(self.clamp.is_valid(tensors.output.dtype), Fault::Clamp));
        params::demand(Self::output_shape(tensors.a.shape).same(tensors.output.shape), Fault::ShapeRule)
    }

    // In place when both have one type: elements then keep their bytes.
    params::pointwise!();

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        for y in rows.start..rows.end.min(output.shape.h) {
            let in_place = a.dtype.same(output.dtype);
            if in_place {
                copy_row(io.memory, &a, &output, y);
            }
            for x in 0..output.shape.w {
                let to = output.pixels(y, x, 1);
                if in_place {
                    let elements = i16::of_mut(io.memory.write(to));
                    elements.iter_mut().for_each(|q| *q = self.apply((*q).into(), &a, &output) as i16);
                    continue;
                }
                let (from, to) = io.memory.read_write(a.pixels(y, x, 1), to);
                match output.dtype {
                    DType::I8 => to.iter_mut().zip(i16::of(from)).for_each(|(to, &q)| {
                        *to = self.apply(q.into(), &a, &output) as i8;
                    }),
                    _ => i16::of_mut(to).iter_mut().zip(from).for_each(|(to, &q)| {
                        *to = self.apply(q.into(), &a, &output) as i16;
                    }),
                }
            }
        }
    }

    /// One element.
    #[inline]
    const fn apply(&self, q: i32, input: &Tensor, output: &Tensor) -> i32 {
        let q = q.wrapping_sub(input.quant.zero_point);
        let factor = if q < 0 { self.negative_factor } else { self.factor };
        self.clamp.apply(requantize(q, factor, self.rounding).wrapping_add(output.quant.zero_point))
    }
}
