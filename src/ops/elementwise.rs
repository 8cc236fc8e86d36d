//! Functions of one element or of two, pixel by pixel.

use core::ops::Range;

use super::patch::{copy, copy_row};
use super::{Io, Operands, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::memory::{Element, part};
use crate::tensor::{Shape, Tensor};

/// The shape rule: along each axis both operands have one extent, or one of them has extent 1 and is spread. `None` when they
/// have not.
pub(super) const fn broadcast(a: Shape, b: Shape) -> Option<Shape> {
    match (along(a.h, b.h), along(a.w, b.w), along(a.c, b.c)) {
        (Some(h), Some(w), Some(c)) => Some(Shape::new(h, w, c)),
        _ => None,
    }
}

/// The extent that two broadcast to.
const fn along(a: u32, b: u32) -> Option<u32> {
    if a == b || b == 1 {
        Some(a)
    } else if a == 1 {
        Some(b)
    } else {
        None
    }
}

/// Demands operands of one type that fit together.
pub(super) const fn check(tensors: &Operands) -> Result<(), Fault> {
    let Operands { a, b: Some(b), output } = tensors else { return Err(Fault::Operand) };
    attempt!(rules::same_type(a, output));
    attempt!(rules::same_type(b, output));
    rules::shape(broadcast(a.shape, b.shape), output)
}

/// Whether a commutative function of `a` and `b` is computed in place over `b`, which shares the output's bytes.
pub(super) const fn is_over_b(a: &Tensor, b: &Tensor, output: &Tensor) -> bool {
    b.same_place(output) && !a.same_place(output)
}

/// A function of bytes of the output and something else. Not a `dyn FnMut`: such objects hold a second copy of every closure, for
/// `FnOnce`.
pub(super) trait Apply<T> {
    fn apply(&mut self, out: &mut [i8], other: T);
}

impl<T, F: FnMut(&mut [i8], T)> Apply<T> for F {
    fn apply(&mut self, out: &mut [i8], other: T) {
        self(out, other);
    }
}

/// A function of bytes of the output and of the other operand.
pub(super) type Combine<'f> = dyn for<'a> Apply<&'a [i8]> + 'f;

/// `f(pixel)` on each pixel of rows `rows` of the output, which first holds the input's.
pub(super) fn each_pixel<E: Element>(io: &mut Io<'_, '_>, rows: Range<u32>, mut f: impl FnMut(&mut [E])) {
    copied(io, rows, &mut |pixel: &mut [i8], _: usize| f(E::of_mut(pixel)));
}

/// `output = f(input)` for rows `rows`, from one element type to another.
pub(super) fn convert<A: Element, B: Element>(io: &mut Io<'_, '_>, rows: Range<u32>, f: impl Fn(A) -> B) {
    let a = io.tensors.a;
    beside(io, &a, rows, &mut |to: &mut [i8], from: &[i8]| {
        B::of_mut(to).iter_mut().zip(A::of(from)).for_each(|(to, &from)| *to = f(from));
    });
}

/// `f(output, right)` for rows `rows`, where the output first holds `left`. Both are spread over the output.
pub(super) fn combine(io: &mut Io<'_, '_>, (left, right): (&Tensor, &Tensor), rows: Range<u32>, f: &mut Combine<'_>) {
    let output = io.tensors.output;
    if left.shape.same(output.shape) {
        (rows.start..rows.end.min(output.shape.h)).for_each(|y| copy_row(io.memory, left, &output, y));
    } else {
        beside(io, left, rows.clone(), &mut copy);
    }
    beside(io, right, rows, f);
}

/// `f(output, constants)` for each pixel of rows `rows`, where the output first holds the input and `data` is constants for each
/// channel or for each element: the step is broken when they are fewer.
pub(super) fn combine_constants(io: &mut Io<'_, '_>, data: &[i8], rows: Range<u32>, f: &mut Combine<'_>) {
    let output = &io.tensors.output;
    let (len, whole) = (output.pixel_bytes(), output.shape.len().wrapping_mul(output.dtype.size()));
    let (len, whole) = (len as usize, whole as usize);
    let each_pixel = data.len() > len;
    if data.len() < if each_pixel { whole } else { len } {
        return io.broken();
    }
    let apply = &mut |out: &mut [i8], pixel: usize| {
        let start = if each_pixel { pixel.wrapping_mul(len) } else { 0 };
        f.apply(out, part(data, start, len));
    };
    copied(io, rows, apply);
}

// The walks are compiled once, not with each function: they are no faster for it.

/// `f(pixel, its number)` on each pixel of rows `rows` of the output, which first holds the input's.
#[inline(never)]
fn copied(io: &mut Io<'_, '_>, rows: Range<u32>, f: &mut dyn Apply<usize>) {
    let Operands { a, output, .. } = io.tensors;
    for y in rows.start..rows.end.min(output.shape.h) {
        copy_row(io.memory, &a, &output, y);
        for x in 0..output.shape.w {
            let pixel = y.wrapping_mul(output.shape.w).wrapping_add(x) as usize;
            f.apply(io.memory.write(output.pixels(y, x, 1)), pixel);
        }
    }
}

/// `f(output, from)` on rows `rows` of the output and of another tensor, which is spread over it: on as many pixels at a time as both
/// have side by side, on one element where the other has one channel.
#[inline(never)]
fn beside(io: &mut Io<'_, '_>, from: &Tensor, rows: Range<u32>, f: &mut Combine<'_>) {
    let output = io.tensors.output;
    let Shape { h, w, c } = from.shape;
    let same_channels = c == output.shape.c;
    let side_by_side = same_channels && w == output.shape.w && from.has_dense_rows() && output.has_dense_rows();
    let pixels = if side_by_side { w } else { 1 };
    let together = if same_channels { usize::MAX } else { (output.dtype.size() as usize).max(1) };
    for y in rows.start..rows.end.min(output.shape.h) {
        let mut x = 0;
        while x < output.shape.w {
            let read = from.pixels(if h == 1 { 0 } else { y }, if w == 1 { 0 } else { x }, pixels);
            let (read, out) = io.memory.read_write(read, output.pixels(y, x, pixels));
            out.chunks_mut(together).for_each(|out| f.apply(out, read));
            x = x.wrapping_add(pixels);
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
        Tensor { shape, dtype: DType::I8, quant, place, first: 0, ready: 0, last: 9, parent: None }
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
