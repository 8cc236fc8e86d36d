//! Pools and the mean, of int16 elements.

use core::ops::Range;

use super::super::patch::Inside;
use super::super::{AveragePool2d, Io, MaxPool2d, Mean, Operands};
use crate::kernels::{BLOCK, Pixels};
use crate::memory::{Element, Memory};
use crate::quant::{Clamp, requantize};
use crate::tensor::Tensor;
use crate::window::Window;

pub(super) fn max(op: &MaxPool2d, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let inside = Inside::of(&op.window, &input, y, x);
            let (elements, out) = io.memory.read_write(input.region(), output.pixels(y, x, 1));
            let out = i16::of_mut(out);
            out.fill(op.clamp.min as i16);
            for pixel in inside.pixels_of(&input, elements, 0).iter() {
                out.iter_mut().zip(i16::of(pixel)).for_each(|(out, &x)| *out = (*out).max(x));
            }
            out.iter_mut().for_each(|out| *out = (*out).min(op.clamp.max as i16));
        }
    }
}

pub(super) fn average(op: &AveragePool2d, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let inside = Inside::of(&op.window, &input, y, x);
            each_sum(io.memory, &input, &inside, (&output, y, x), |sum| {
                op.clamp.apply(super::super::average_pool::average(sum, inside.len()))
            });
        }
    }
}

pub(super) fn mean(op: &Mean, io: &mut Io<'_, '_>, rows: Range<u32>) {
    if rows.is_empty() {
        return;
    }
    let Operands { a: input, output, .. } = io.tensors;
    let inside = Inside::of(&Window::global([input.shape.h, input.shape.w]), &input, 0, 0);
    let clamp = Clamp::full(output.dtype);
    each_sum(io.memory, &input, &inside, (&output, 0, 0), |sum| clamp.apply(requantize(sum, op.factor, op.rounding)));
}

/// Writes `f` of the sum of each channel of the pixels that are `inside` to output pixel `(y, x)`. Sums wrap.
fn each_sum(
    memory: &mut Memory<'_>,
    input: &Tensor,
    inside: &Inside,
    (output, y, x): (&Tensor, u32, u32),
    f: impl Fn(i32) -> i32,
) {
    let size = output.dtype.size();
    for block in output.channel_blocks(BLOCK as u32) {
        let (start, len) = (block.start.wrapping_mul(size), block.len() as u32);
        let mut sums = [0i32; BLOCK];
        let sums = sums.get_mut(..len as usize).unwrap_or_default();
        let pixels: Pixels<'_> = inside.pixels_of(input, memory.read(input.region()), start);
        for pixel in pixels.iter() {
            sums.iter_mut().zip(i16::of(pixel)).for_each(|(sum, &x)| *sum = sum.wrapping_add(x.into()));
        }
        let out = memory.write(output.pixels(y, x, 1).part(start, len.wrapping_mul(size)));
        i16::of_mut(out).iter_mut().zip(sums).for_each(|(out, &mut sum)| *out = f(sum) as i16);
    }
}
