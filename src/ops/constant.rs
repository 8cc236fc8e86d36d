//! Arithmetic with a constant tensor that stays in flash.

use core::ops::Range;

use super::members::pointwise;
use super::{Add, Io, Mul, Operands, Sub, elementwise, encoding, rules};
use crate::bytes::{Block, attempt};
#[cfg(feature = "std")]
use crate::bytes::Writer;
use crate::error::{Fault, ModelError};
use crate::float16;
use crate::kernels::Backend;
use crate::memory::Element;
use crate::numbers::{Numbers, combine};
use crate::quant::Clamp;
use crate::sys::cast;
use crate::tensor::{DType, Shape};
use crate::uses::Linked;

/// A product, a sum or a difference of a tensor and a constant with one element for each channel or for each element: a
/// batch normalization that could not be folded, a mean image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant<'m> {
    /// What is computed.
    pub function: Function,
    /// The constant's zero point.
    pub zero_point: i32,
    /// The constant: `c` elements, or `h * w * c`; little-endian bytes of those that have more than one.
    pub data: &'m [i8],
}

/// What is computed of an input and a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// `input * constant`.
    Mul(Mul),
    /// `input + constant`.
    Add(Add),
    /// `input - constant`.
    Sub(Sub),
    /// `constant - input`.
    SubFrom(Sub),
}

impl<'m> Constant<'m> {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn decode(block: &mut Block<'m>) -> Result<Self, ModelError> {
        let at = block.at();
        let code = attempt!(block.word());
        let zero_point = attempt!(encoding::integer::read(block));
        let data = attempt!(encoding::bytes::read(block));
        let function = match code {
            0 => Function::Mul(attempt!(Mul::decode(block))),
            1 => Function::Add(attempt!(Add::decode(block))),
            2 => Function::Sub(attempt!(Sub::decode(block))),
            3 => Function::SubFrom(attempt!(Sub::decode(block))),
            _ => return Err(ModelError::new(Fault::Algorithm, at)),
        };
        Ok(Self { function, zero_point, data })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut Writer) {
        let code = match self.function {
            Function::Mul(_) => 0,
            Function::Add(_) => 1,
            Function::Sub(_) => 2,
            Function::SubFrom(_) => 3,
        };
        writer.words([code]);
        encoding::integer::write(writer, self.zero_point);
        encoding::bytes::write(writer, self.data);
        match &self.function {
            Function::Mul(mul) => mul.encode(writer),
            Function::Add(add) => add.encode(writer),
            Function::Sub(sub) | Function::SubFrom(sub) => sub.encode(writer),
        }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(rules::same_type(input, output));
        attempt!(rules::demand(output.dtype.has_zero_point(self.zero_point), Fault::ZeroPoint));
        attempt!(rules::demand(self.clamp().is_valid(output.dtype), Fault::Clamp));
        let (len, whole) = (self.data.len() as u64, input.shape.len() as u64 * input.dtype.size() as u64);
        let fits = len == input.pixel_bytes() as u64 || len == whole;
        attempt!(rules::demand(fits, Fault::Weights));
        let halves = output.dtype.same(DType::F16);
        attempt!(rules::demand(!halves || float16::are_finite(self.data), Fault::Weights));
        rules::shape(Some(Self::output_shape(input.shape)), output)
    }

    /// The activation range.
    pub(super) const fn clamp(&self) -> Clamp {
        match &self.function {
            Function::Mul(mul) => mul.clamp,
            Function::Add(add) => add.clamp,
            Function::Sub(sub) | Function::SubFrom(sub) => sub.clamp,
        }
    }

    pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [cast::as_u8(self.data), &[]]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let zero_point = io.tensors.output.quant.zero_point;
        let zero_points = [io.tensors.a.quant.zero_point, self.zero_point];
        let [input, constant] = zero_points;
        match &self.function {
            Function::Add(add) => {
                let terms = add.terms(zero_points, zero_point);
                elementwise::combine_constants(io, self.data, rows, &mut Add::apply::<N, B>(&terms));
            }
            Function::Mul(mul) => {
                elementwise::combine_constants(io, self.data, rows, &mut mul.apply::<N>(zero_points, zero_point));
            }
            Function::Sub(sub) => {
                let terms = sub.terms(zero_points, zero_point);
                elementwise::combine_constants(io, self.data, rows, &mut Sub::apply::<N>(&terms));
            }
            Function::SubFrom(sub) => {
                let terms = sub.terms([constant, input], zero_point);
                let difference = N::difference(&terms);
                elementwise::combine_constants(io, self.data, rows, &mut |x: &mut [i8], c: &[i8]| {
                    combine(N::Element::of_mut(x), N::Element::of(c), |x, c| difference(c, x));
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::super::elementwise::tests::run;
    use super::*;
    use crate::quant::{Clamp, Rounding};
    use crate::tensor::QuantParams;

    /// The same as the operators of two tensors, for a constant of a pixel and of the whole shape.
    #[test]
    fn equals_arithmetic_with_a_tensor() {
        let quant = |scale, zero_point| QuantParams { scale, zero_point };
        let (qa, qb, out) = (quant(0.05, 3), quant(0.11, -20), quant(0.07, -5));
        let (rounding, clamp) = (Rounding::Double, Clamp { min: -90, max: 100 });
        let shape = Shape::new(3, 2, 4);
        let data = |seed: i32, len: u32| (0..len as i32).map(|i| (i * 89 + seed) as i8).collect::<Vec<_>>();
        let a = data(5, shape.len());
        for constant in [Shape::vector(4), shape] {
            let b = data(77, constant.len());
            let with = |function| {
                let op = Op::Constant(Constant { function, zero_point: qb.zero_point, data: &b });
                run(op, (&a, shape, qa), None, (shape, out), true)
            };
            let pair = |op| run(op, (&a, shape, qa), Some((&b, constant, qb)), (shape, out), false);
            let mul = Mul::new(qa, qb, out, rounding, clamp).unwrap();
            assert_eq!(with(Function::Mul(mul)), pair(Op::Mul(mul)));
            let sub = Sub::new(qa, qb, out, DType::I8, rounding, clamp).unwrap();
            assert_eq!(with(Function::Sub(sub)), pair(Op::Sub(sub)));
            let from = Sub::new(qb, qa, out, DType::I8, rounding, clamp).unwrap();
            if constant == shape {
                let add = Add::new(qa, qb, out, DType::I8, rounding, clamp).unwrap();
                assert_eq!(with(Function::Add(add)), pair(Op::Add(add)));
                let reversed = run(Op::Sub(from), (&b, shape, qb), Some((&a, shape, qa)), (shape, out), false);
                assert_eq!(with(Function::SubFrom(from)), reversed);
            }
        }
    }
}
