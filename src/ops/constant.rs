//! Arithmetic with a constant tensor that stays in flash.

use core::ops::Range;

use super::patch::copy_row;
use super::{Add, Io, Mul, Operands, Sub, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::{Backend, float16};
use crate::quant::{Clamp, weights};
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

    pub(super) const fn decode(block: Block<'m>) -> Result<Self, ModelError> {
        const PARAMS: u32 = 4;
        let function = match attempt!(block.word(0)) {
            0 => Function::Mul(attempt!(Mul::decode_at(&block, PARAMS))),
            1 => Function::Add(attempt!(Add::decode_at(&block, PARAMS))),
            2 => Function::Sub(attempt!(Sub::decode_at(&block, PARAMS))),
            3 => Function::SubFrom(attempt!(Sub::decode_at(&block, PARAMS))),
            _ => return Err(block.error(0, Fault::Algorithm)),
        };
        let zero_point = attempt!(block.word(1)) as i32;
        if zero_point < i8::MIN as i32 || zero_point > i8::MAX as i32 {
            return Err(block.error(1, Fault::ZeroPoint));
        }
        Ok(Self { function, zero_point, data: weights(attempt!(block.data(2, 1))) })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        let code = match self.function {
            Function::Mul(_) => 0,
            Function::Add(_) => 1,
            Function::Sub(_) => 2,
            Function::SubFrom(_) => 3,
        };
        writer.words([code, self.zero_point as u32]);
        writer.data(crate::sys::cast::as_u8(self.data));
        match &self.function {
            Function::Mul(mul) => mul.encode(writer),
            Function::Add(add) => add.encode(writer),
            Function::Sub(sub) | Function::SubFrom(sub) => sub.encode(writer),
        }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(params::same_type(input, output));
        attempt!(params::demand(output.dtype.has_zero_point(self.zero_point), Fault::ZeroPoint));
        attempt!(params::demand(self.clamp().is_valid(output.dtype), Fault::Clamp));
        let (len, whole) = (self.data.len() as u64, input.shape.len() as u64 * input.dtype.size() as u64);
        let fits = len == input.pixel_bytes() as u64 || len == whole;
        attempt!(params::demand(fits, Fault::Weights));
        let halves = output.dtype.same(DType::F16);
        attempt!(params::demand(!halves || float16::are_finite(self.data), Fault::Weights));
        params::demand(Self::output_shape(input.shape).same(output.shape), Fault::ShapeRule)
    }

    /// The activation range.
    pub(super) const fn clamp(&self) -> Clamp {
        match &self.function {
            Function::Mul(mul) => mul.clamp,
            Function::Add(add) => add.clamp,
            Function::Sub(sub) | Function::SubFrom(sub) => sub.clamp,
        }
    }

    params::pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [crate::sys::cast::as_u8(self.data), &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        let (input, result) = (a.quant.zero_point, output.quant.zero_point);
        let zeros = [input, self.zero_point, result];
        let channels = output.shape.c as usize;
        let each_pixel = self.data.len() > channels;
        for y in rows.start..rows.end.min(output.shape.h) {
            copy_row(io.memory, &a, &output, y);
            for x in 0..output.shape.w {
                let pixel = if each_pixel { y.wrapping_mul(output.shape.w).wrapping_add(x) as usize } else { 0 };
                let constants = self.data.get(pixel.wrapping_mul(channels)..).unwrap_or_default();
                let elements = io.memory.write(output.pixels(y, x, 1));
                let pairs = elements.iter_mut().zip(constants);
                match &self.function {
                    Function::Add(add) => B::add(elements, constants, &add.terms([input, self.zero_point], result)),
                    Function::Mul(mul) => pairs.for_each(|(x, &c)| *x = mul.apply((*x).into(), c.into(), zeros) as i8),
                    Function::Sub(sub) => pairs.for_each(|(x, &c)| *x = sub.apply(*x, c, zeros)),
                    Function::SubFrom(sub) => {
                        pairs.for_each(|(x, &c)| *x = sub.apply(c, *x, [self.zero_point, input, result]));
                    }
                }
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
