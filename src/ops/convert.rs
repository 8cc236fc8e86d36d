//! Between quantized integers and halves: what joins int8 and float16 parts of a network.

use core::ops::Range;

use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::kernels::float16::{Bounds, f16, widen};
use crate::memory::Element;
use crate::quant::{Clamp, quantize};
use crate::tensor::{DType, Shape, Tensor};
use crate::uses::Linked;

/// Integers as the halves nearest to the real numbers that they stand for, or halves as the integers that stand for the
/// numbers nearest to them, half away from zero: QUANTIZE and DEQUANTIZE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convert;

impl Convert {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn decode(_block: Block<'_>) -> Result<Self, ModelError> {
        Ok(Self)
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, _writer: &mut crate::format::Writer) {}

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (from, to) = (tensors.a.dtype.same(DType::F16), tensors.output.dtype.same(DType::F16));
        attempt!(params::demand(from != to, Fault::QuantRule));
        params::demand(Self::output_shape(tensors.a.shape).same(tensors.output.shape), Fault::ShapeRule)
    }

    // Never in place: the types differ.
    params::pointwise!();

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        for y in rows.start..rows.end.min(output.shape.h) {
            for x in 0..output.shape.w {
                let (from, to) = io.memory.read_write(a.pixels(y, x, 1), output.pixels(y, x, 1));
                match (a.dtype, output.dtype) {
                    (DType::I8, _) => dequantize::<i8>(from, to, &a),
                    (DType::I16, _) => dequantize::<i16>(from, to, &a),
                    (DType::F16, DType::I8) => each(f16::of(from), to, |x| integer(x, &output) as i8),
                    (DType::F16, _) => each(f16::of(from), i16::of_mut(to), |x| integer(x, &output) as i16),
                }
            }
        }
    }
}

/// The halves of integers of `input`.
fn dequantize<E: Element + Into<i32>>(from: &[i8], to: &mut [i8], input: &Tensor) {
    each(E::of(from), f16::of_mut(to), |q| Bounds::FULL.half(input.quant.dequantize(q.into())));
}

/// The integer of `output` that stands for a half.
fn integer(x: f16, output: &Tensor) -> i32 {
    Clamp::full(output.dtype).apply(quantize(widen(x), output.quant))
}

fn each<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = f(from));
}
