//! Arithmetic with two operands, of int16 elements.

use core::ops::Range;

use super::super::{Add, Constant, Function, Io, Mul, Operands, Sub, elementwise};
use crate::kernels::AddTerms;
use crate::quant::requantize;
use crate::tensor::DType;

/// Zero points of both operands and of the output.
const ZEROS: [i32; 3] = [0; 3];
const SHIFT: u32 = AddTerms::left_shift(DType::I16);

impl Add {
    /// One sum of int16 elements.
    #[inline]
    fn wide(&self, left: i16, right: i16) -> i16 {
        let [left_factor, right_factor] = self.factors;
        let scaled = |x: i16, factor| requantize(i32::from(x).wrapping_shl(SHIFT), factor, self.rounding);
        let sum = scaled(left, left_factor).wrapping_add(scaled(right, right_factor));
        self.clamp.apply(requantize(sum, self.output_factor, self.rounding)) as i16
    }
}

fn difference(op: &Sub, left: i16, right: i16) -> i16 {
    op.wide(left.into(), right.into(), ZEROS, SHIFT) as i16
}

fn product(op: &Mul, left: i16, right: i16) -> i16 {
    op.apply(left.into(), right.into(), ZEROS) as i16
}

pub(super) fn add(op: &Add, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a, b: Some(b), output } = io.tensors else { return };
    // In place over the operand that lies where the output lies.
    if b.same_place(&output) && !a.same_place(&output) {
        elementwise::combine(io, (&b, &a, &output), rows, |right, left| op.wide(left, right));
    } else {
        elementwise::combine(io, (&a, &b, &output), rows, |left, right| op.wide(left, right));
    }
}

pub(super) fn sub(op: &Sub, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a, b: Some(b), output } = io.tensors else { return };
    elementwise::combine(io, (&a, &b, &output), rows, |left, right| difference(op, left, right));
}

pub(super) fn mul(op: &Mul, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a, b: Some(b), output } = io.tensors else { return };
    let (over, other) = if b.same_place(&output) && !a.same_place(&output) { (b, a) } else { (a, b) };
    elementwise::combine(io, (&over, &other, &output), rows, |left, right| product(op, left, right));
}

pub(super) fn constant(op: &Constant<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    elementwise::combine_constants(io, op.data, rows, |x, bytes| {
        let constant = i16::from_le_bytes(bytes);
        match &op.function {
            Function::Add(add) => add.wide(x, constant),
            Function::Mul(mul) => product(mul, x, constant),
            Function::Sub(sub) => difference(sub, x, constant),
            Function::SubFrom(sub) => difference(sub, constant, x),
        }
    });
}
