//! The loops that pools and the mean share.

use core::ops::Range;

use super::patch::Inside;
use super::{Io, Operands};
use crate::kernels::{BLOCK, Backend};
use crate::memory::Element;
use crate::numbers::Numbers;
use crate::quant::Clamp;
use crate::window::Window;

/// Writes the maximum under the window, within the clamp, of each channel to rows `rows`.
pub(super) fn maxima<E: Element>(io: &mut Io<'_, '_>, window: &Window, clamp: Clamp, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let inside = Inside::of(window, &input, y, x);
            let (elements, out) = io.memory.read_write(input.region(), output.pixels(y, x, 1));
            let out = E::of_mut(out);
            out.fill(E::from_ordinal(clamp.min));
            for pixel in inside.pixels_of(&input, elements, 0).iter() {
                let pairs = out.iter_mut().zip(E::of(pixel));
                pairs.for_each(|(out, &x)| *out = if x.ordinal() > out.ordinal() { x } else { *out });
            }
            out.iter_mut().for_each(|out| *out = E::from_ordinal(out.ordinal().min(clamp.max)));
        }
    }
}

/// Writes `finish` of the sum of each channel of the pixels under the window, and of their number, to rows `rows`.
#[inline(never)]
pub(super) fn sums<N: Numbers, B: Backend>(
    io: &mut Io<'_, '_>,
    window: &Window,
    rows: Range<u32>,
    finish: &dyn Fn(N::Sum, u32) -> N::Element,
) {
    let Operands { a: input, output, .. } = io.tensors;
    let size = output.dtype.size();
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let (inside, pixel) = (Inside::of(window, &input, y, x), output.pixels(y, x, 1));
            for block in output.channel_blocks(BLOCK as u32) {
                let (start, len) = (block.start.wrapping_mul(size), block.len());
                let mut sums = [N::Sum::default(); BLOCK];
                let sums = sums.get_mut(..len).unwrap_or_default();
                N::add_pixels::<B>(&inside.pixels_of(&input, io.memory.read(input.region()), start), sums);
                let out = io.memory.write(pixel.part(start, (len as u32).wrapping_mul(size)));
                let pairs = N::Element::of_mut(out).iter_mut().zip(sums);
                pairs.for_each(|(out, &mut sum)| *out = finish(sum, inside.len()));
            }
        }
    }
}
