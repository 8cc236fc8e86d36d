//! A function of one element, as a table.

use core::ops::Range;

use super::encoding::encoding;
use super::members::pointwise;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::sys::cast;
use crate::tensor::{DType, Shape};
use crate::uses::Linked;

/// Any function of one int8 element: LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, RELU that is not fused, QUANTIZE from
/// int8 to int8, arithmetic with a single constant. Whoever writes the model computes the 256 entries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lookup<'m> {
    /// Entry `x as u8` is the output for the input `x`.
    pub table: &'m [i8; 256],
}

encoding!(Lookup<'m> { table: entries });

impl<'m> Lookup<'m> {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::of_type(&tensors.output, DType::I8));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [cast::as_u8(self.table), &[]]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        elementwise::each_pixel::<i8>(io, rows, |pixel| {
            for element in pixel {
                *element = self.table.get(usize::from(*element as u8)).copied().unwrap_or(*element);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::elementwise::tests::run;
    use super::super::{Op, Operands};
    use super::*;
    use crate::tensor::QuantParams;

    #[test]
    fn every_input_gives_its_entry() {
        let mut table = [0; 256];
        (0..256).for_each(|i| table[i] = (i as i32 * 77 % 251 - 128) as i8);
        let all: Vec<i8> = (-128..=127).collect();
        let quant = QuantParams { scale: 1.0, zero_point: 0 };
        let shape = Shape::new(4, 8, 8);
        for in_place in [false, true] {
            let out = run(Op::Lookup(Lookup { table: &table }), (&all, shape, quant), None, (shape, quant), in_place);
            assert_eq!(out, all.iter().map(|&x| table[usize::from(x as u8)]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn refuses_another_shape() {
        let lookup = Lookup { table: &[0; 256] };
        let operands = |shape| Operands {
            a: super::super::elementwise::tests::tensor(Shape::new(2, 2, 2), QuantParams { scale: 1.0, zero_point: 0 }, 0),
            b: None,
            output: super::super::elementwise::tests::tensor(shape, QuantParams { scale: 2.0, zero_point: 1 }, 64),
        };
        assert_eq!(lookup.check(&operands(Shape::new(2, 2, 2))), Ok(()));
        assert_eq!(lookup.check(&operands(Shape::new(2, 4, 1))), Err(Fault::ShapeRule));
    }
}
