//! Functions of two elements, with the second operand's pixels or its only pixel.

use core::ops::Range;

use super::patch::copy_row;
use super::{Io, Operands, params};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::memory::Element;
use crate::sys::cast;
use crate::tensor::{Shape, Tensor};

/// The shape rule: the second operand has the first one's shape, or is one pixel with as many channels, or a single
/// element. `None` when it has not.
pub(super) const fn broadcast(a: Shape, b: Shape) -> Option<Shape> {
    let pixel = b.h == 1 && b.w == 1 && (b.c == a.c || b.c == 1);
    if a.same(b) || pixel { Some(a) } else { None }
}

/// Demands operands of one type that fit together.
pub(super) const fn check(a: &Tensor, b: &Tensor, output: &Tensor) -> Result<(), Fault> {
    attempt!(params::same_type(a, output));
    attempt!(params::same_type(b, output));
    match broadcast(a.shape, b.shape) {
        Some(shape) if shape.same(output.shape) => Ok(()),
        _ => Err(Fault::ShapeRule),
    }
}

/// `output = f(left, right)` for rows `rows`, taken in place over `left`.
pub(super) fn combine<E: Element>(
    io: &mut Io<'_, '_>,
    (left, right, output): (&Tensor, &Tensor, &Tensor),
    rows: Range<u32>,
    f: impl Fn(E, E) -> E,
) {
    let one_pixel = right.shape.h == 1 && right.shape.w == 1;
    for y in rows.start..rows.end.min(output.shape.h) {
        copy_row(io.memory, left, output, y);
        for x in 0..output.shape.w {
            let from = if one_pixel { right.pixels(0, 0, 1) } else { right.pixels(y, x, 1) };
            let (right, out) = io.memory.read_write(from, output.pixels(y, x, 1));
            let (right, out) = (E::of(right), E::of_mut(out));
            match right {
                [only] => out.iter_mut().for_each(|out| *out = f(*out, *only)),
                _ => out.iter_mut().zip(right).for_each(|(out, &right)| *out = f(*out, right)),
            }
        }
    }
}

/// `output = f(input, constant)` for rows `rows`; `data` is the bytes of constants of two bytes, one for each channel or for
/// each element.
pub(super) fn combine_constants<E: Element>(
    io: &mut Io<'_, '_>,
    data: &[i8],
    rows: Range<u32>,
    f: impl Fn(E, [u8; 2]) -> E,
) {
    let Operands { a, output, .. } = io.tensors;
    let (data, _) = cast::as_u8(data).as_chunks::<2>();
    let channels = output.shape.c as usize;
    let each_pixel = data.len() > channels;
    for y in rows.start..rows.end.min(output.shape.h) {
        copy_row(io.memory, &a, &output, y);
        for x in 0..output.shape.w {
            let pixel = if each_pixel { y.wrapping_mul(output.shape.w).wrapping_add(x) as usize } else { 0 };
            let constants = data.get(pixel.wrapping_mul(channels)..).unwrap_or_default();
            let elements = E::of_mut(io.memory.write(output.pixels(y, x, 1)));
            elements.iter_mut().zip(constants).for_each(|(x, &constant)| *x = f(*x, constant));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::DType;
    use crate::kernels::Portable;
    use crate::memory::{Memory, Region};
    use crate::ops::{Io, Op, Operands};
    use crate::tensor::{Place, QuantParams, Shape, Tensor};

    pub fn tensor(shape: Shape, quant: QuantParams, offset: u32) -> Tensor {
        let place = Place { offset, pitch: shape.c, rows: shape.h };
        Tensor { shape, dtype: DType::I8, quant, place, first: 0, ready: 0, last: 9, joint: None }
    }

    type Input<'a> = (&'a [i8], Shape, QuantParams);

    /// Runs an operator, its output beside its inputs or over the first of them.
    pub fn run(
        op: Op<'_>,
        a: Input<'_>,
        b: Option<Input<'_>>,
        (shape, quant): (Shape, QuantParams),
        over: bool,
    ) -> Vec<i8> {
        let mut bytes = vec![0x5a; 4096];
        let mut place = |(data, shape, quant): Input<'_>, offset: usize| {
            bytes[offset..].iter_mut().zip(data).for_each(|(to, &from)| *to = from as u8);
            tensor(shape, quant, offset as u32)
        };
        let (a, b) = (place(a, 0), b.map(|b| place(b, 1024)));
        let output = tensor(shape, quant, if over { 0 } else { 2048 });
        let tensors = Operands { a, b, output };
        assert_eq!(op.check(&tensors), Ok(()));
        let mut memory = Memory::new(&mut bytes);
        let scratch = Region { offset: 4000, len: op.scratch_len(&tensors) };
        op.run::<Portable>(&mut Io { memory: &mut memory, tensors, scratch }, 0..shape.h);
        memory.read(output.region()).to_vec()
    }
}
