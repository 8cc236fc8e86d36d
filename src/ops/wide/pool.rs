//! Pools and the mean, of int16 elements. Sums wrap.

use core::ops::Range;

use super::super::average_pool::average as rounded;
use super::super::{AveragePool2d, Io, MaxPool2d, Mean, pooling};
use crate::quant::{Clamp, requantize};
use crate::tensor::DType;
use crate::window::Window;

pub(super) fn max(op: &MaxPool2d, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let (low, high) = (op.clamp.min as i16, op.clamp.max as i16);
    pooling::fold(io, &op.window, rows, low, i16::max, |x| x.min(high));
}

pub(super) fn average(op: &AveragePool2d, io: &mut Io<'_, '_>, rows: Range<u32>) {
    pooling::sums(io, &op.window, rows, sum, |sum, count| op.clamp.apply(rounded(sum, count)) as i16);
}

pub(super) fn mean(op: &Mean, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let input = io.tensors.a.shape;
    let clamp = Clamp::full(DType::I16);
    let mean = |sum, _| clamp.apply(requantize(sum, op.factor, op.rounding)) as i16;
    pooling::sums(io, &Window::global([input.h, input.w]), rows, sum, mean);
}

fn sum(sum: i32, x: i16) -> i32 {
    sum.wrapping_add(x.into())
}
