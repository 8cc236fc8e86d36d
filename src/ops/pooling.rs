//! What pools and the mean have in common, of elements of two bytes.

use super::patch::Inside;
use super::{Io, Operands};
use crate::kernels::{BLOCK, Pixels};
use crate::memory::{Element, Memory};
use crate::tensor::Tensor;
use crate::window::Window;

use core::ops::Range;

/// Writes to rows `rows` what `take` makes, channel by channel, of `start` and every element under the window, and then `finish`.
pub(super) fn fold<E: Element>(
    io: &mut Io<'_, '_>,
    window: &Window,
    rows: Range<u32>,
    start: E,
    take: impl Fn(E, E) -> E,
    finish: impl Fn(E) -> E,
) {
    let Operands { a: input, output, .. } = io.tensors;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let inside = Inside::of(window, &input, y, x);
            let (elements, out) = io.memory.read_write(input.region(), output.pixels(y, x, 1));
            let out = E::of_mut(out);
            out.fill(start);
            for pixel in inside.pixels_of(&input, elements, 0).iter() {
                out.iter_mut().zip(E::of(pixel)).for_each(|(out, &x)| *out = take(*out, x));
            }
            out.iter_mut().for_each(|out| *out = finish(*out));
        }
    }
}

/// Writes `finish` of the sum of each channel of the pixels under the window, and of their number, to rows `rows`.
pub(super) fn sums<E: Element, S: Copy + Default>(
    io: &mut Io<'_, '_>,
    window: &Window,
    rows: Range<u32>,
    add: impl Fn(S, E) -> S,
    finish: impl Fn(S, u32) -> E,
) {
    let Operands { a: input, output, .. } = io.tensors;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let inside = Inside::of(window, &input, y, x);
            each_sum(io.memory, &input, &inside, (&output, y, x), &add, |sum| finish(sum, inside.len()));
        }
    }
}

fn each_sum<E: Element, S: Copy + Default>(
    memory: &mut Memory<'_>,
    input: &Tensor,
    inside: &Inside,
    (output, y, x): (&Tensor, u32, u32),
    add: impl Fn(S, E) -> S,
    finish: impl Fn(S) -> E,
) {
    let size = output.dtype.size();
    for block in output.channel_blocks(BLOCK as u32) {
        let (start, len) = (block.start.wrapping_mul(size), block.len() as u32);
        let mut sums = [S::default(); BLOCK];
        let sums = sums.get_mut(..len as usize).unwrap_or_default();
        let pixels: Pixels<'_> = inside.pixels_of(input, memory.read(input.region()), start);
        for pixel in pixels.iter() {
            sums.iter_mut().zip(E::of(pixel)).for_each(|(sum, &x)| *sum = add(*sum, x));
        }
        let out = memory.write(output.pixels(y, x, 1).part(start, len.wrapping_mul(size)));
        E::of_mut(out).iter_mut().zip(sums).for_each(|(out, &mut sum)| *out = finish(sum));
    }
}
