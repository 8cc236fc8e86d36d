//! The same numbers with another scale or element type.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{pointwise, without};
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
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

encoding!(Rescale {
    rounding: rounding,
    factor: multiplier,
    negative_factor: multiplier,
    clamp: clamp,
});

impl Rescale {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        // From int8 to int8 it is a LOOKUP, from halves or to them a CONVERT.
        let (from, to) = (tensors.a.dtype, tensors.output.dtype);
        let int8 = from.same(DType::I8) && to.same(DType::I8);
        let halves = from.same(DType::F16) || to.same(DType::F16);
        attempt!(rules::demand(!int8 && !halves, Fault::QuantRule));
        attempt!(rules::demand(self.clamp.is_valid(tensors.output.dtype), Fault::Clamp));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    // In place when both have one type: elements then keep their bytes.
    pointwise!();

    without!(constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        match (N::DTYPE, output.dtype) {
            (DType::I16, DType::I8) => elementwise::convert(io, rows, |q: i16| self.apply(q.into(), &a, &output) as i8),
            (DType::I8, DType::I16) => elementwise::convert(io, rows, |q: i8| self.apply(q.into(), &a, &output) as i16),
            (DType::I16, DType::I16) => elementwise::each_pixel::<i16>(io, rows, |pixel| {
                pixel.iter_mut().for_each(|q| *q = self.apply((*q).into(), &a, &output) as i16);
            }),
            _ => io.broken(),
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
