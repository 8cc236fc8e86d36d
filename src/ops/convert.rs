//! Between quantized integers and half precision: what joins int8 and float16 parts of a network.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{pointwise, without};
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::float16::{f16, widen};
use crate::kernels::Backend;
use crate::kernels::float16::Bounds;
use crate::memory::Element;
use crate::numbers::Numbers;
use crate::quant::{Clamp, quantize};
use crate::tensor::{DType, Shape, Tensor};
use crate::uses::Linked;

/// Integers as the halves nearest to the real numbers that they stand for, or halves as the integers that stand for the
/// numbers nearest to them, half away from zero: QUANTIZE and DEQUANTIZE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convert;

encoding!(Convert {});

impl Convert {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (from, to) = (tensors.a.dtype.same(DType::F16), tensors.output.dtype.same(DType::F16));
        attempt!(rules::demand(from != to, Fault::QuantRule));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    // Never in place: the types differ.
    pointwise!();

    without!(constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        match (N::DTYPE, output.dtype) {
            (DType::F16, DType::I8) => elementwise::convert(io, rows, |x| integer(x, &output) as i8),
            (DType::F16, DType::I16) => elementwise::convert(io, rows, |x| integer(x, &output) as i16),
            (DType::I8 | DType::I16, DType::F16) => elementwise::convert(io, rows, |q: N::Element| {
                Bounds::FULL.half(a.quant.dequantize(q.ordinal()))
            }),
            _ => io.broken(),
        }
    }
}

/// The integer of `output` that stands for a half.
fn integer(x: f16, output: &Tensor) -> i32 {
    Clamp::full(output.dtype).apply(quantize(widen(x), output.quant))
}
