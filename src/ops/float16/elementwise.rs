//! Arithmetic with two operands, of halves.

use core::ops::Range;

use super::super::{Add, Constant, Function, Io, Mul, Operands, Sub, elementwise};
use crate::kernels::float16::{Bounds, f16, widen};

fn sum(bounds: &Bounds, left: f16, right: f16) -> f16 {
    bounds.half(widen(left) + widen(right))
}

fn difference(bounds: &Bounds, left: f16, right: f16) -> f16 {
    bounds.half(widen(left) - widen(right))
}

fn product(bounds: &Bounds, left: f16, right: f16) -> f16 {
    bounds.half(widen(left) * widen(right))
}

/// What gives the same either way is taken in place over the operand that lies where the output lies.
fn commutative(io: &mut Io<'_, '_>, rows: Range<u32>, f: impl Fn(f16, f16) -> f16) {
    let Operands { a, b: Some(b), output } = io.tensors else { return };
    let (over, other) = if b.same_place(&output) && !a.same_place(&output) { (b, a) } else { (a, b) };
    elementwise::combine(io, (&over, &other, &output), rows, f);
}

pub(super) fn add(op: &Add, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let bounds = Bounds::of(op.clamp);
    commutative(io, rows, |left, right| sum(&bounds, left, right));
}

pub(super) fn mul(op: &Mul, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let bounds = Bounds::of(op.clamp);
    commutative(io, rows, |left, right| product(&bounds, left, right));
}

pub(super) fn sub(op: &Sub, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a, b: Some(b), output } = io.tensors else { return };
    let bounds = Bounds::of(op.clamp);
    elementwise::combine(io, (&a, &b, &output), rows, |left, right| difference(&bounds, left, right));
}

pub(super) fn constant(op: &Constant<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let bounds = Bounds::of(op.clamp());
    elementwise::combine_constants(io, op.data, rows, |x, bytes| {
        let constant = f16::from_le_bytes(bytes);
        match op.function {
            Function::Add(_) => sum(&bounds, x, constant),
            Function::Mul(_) => product(&bounds, x, constant),
            Function::Sub(_) => difference(&bounds, x, constant),
            Function::SubFrom(_) => difference(&bounds, constant, x),
        }
    });
}
