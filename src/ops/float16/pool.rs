//! Pools and the mean, of halves. Sums are taken in the order of the pixels.

use core::ops::Range;

use super::super::{AveragePool2d, Io, MaxPool2d, Mean, pooling};
use crate::kernels::float16::{Bounds, f16, from_ordinal, ordinal, widen};
use crate::window::Window;

pub(super) fn max(op: &MaxPool2d, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let [low, high] = [op.clamp.min, op.clamp.max].map(from_ordinal);
    let greater = |a, b| if ordinal(b) > ordinal(a) { b } else { a };
    let lesser = |a| if ordinal(a) > op.clamp.max { high } else { a };
    pooling::fold(io, &op.window, rows, low, greater, lesser);
}

pub(super) fn average(op: &AveragePool2d, io: &mut Io<'_, '_>, rows: Range<u32>) {
    mean_of(io, &op.window, rows, Bounds::of(op.clamp));
}

pub(super) fn mean(_op: &Mean, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let input = io.tensors.a.shape;
    mean_of(io, &Window::global([input.h, input.w]), rows, Bounds::FULL);
}

fn mean_of(io: &mut Io<'_, '_>, window: &Window, rows: Range<u32>, bounds: Bounds) {
    let sum = |sum: f32, x: f16| sum + widen(x);
    pooling::sums(io, window, rows, sum, |sum, count| bounds.half(sum / count.max(1) as f32));
}
