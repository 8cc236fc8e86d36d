//! Convolutions and the fully connected layer, of halves: sums in single precision from the bias on, in the order of the weights.

use core::ops::Range;

use super::super::patch::{Inside, contiguous, gather};
use super::super::{Conv2d, Dense, DepthwiseConv2d, Io, Operands, conv2d, depthwise as narrow};
use crate::kernels::Backend;
use crate::kernels::blocks::float16::{LANES, Layer, Pixels};
use crate::kernels::blocks::pieces::every;
use crate::kernels::float16::{Bounds, f16, widen};
use crate::memory::Element;
use crate::quant::{Channels, Clamp};
use crate::sys::cast;
use crate::tensor::Tensor;
use crate::window::Window;

/// Output channels that are computed at a time for one pixel.
const CHANNELS: usize = 4;

fn layer<'m>(weights: &'m [i8], channels: &Channels<'m>, clamp: Clamp, k: u32) -> Layer<'m> {
    let (biases, _) = channels.bytes().as_chunks();
    Layer { weights: f16::of(weights), biases, k: k as usize, bounds: Bounds::of(clamp) }
}

/// The outputs of one patch.
fn pixel<B: Backend>(layer: &Layer<'_>, patch: &[f16], out: &mut [f16]) {
    let last = out.len().wrapping_sub(1);
    for (block, out) in out.chunks_mut(CHANNELS).enumerate() {
        // Where there are less than four channels, the last one several times.
        let at = [0, 1, 2, 3].map(|i| block.wrapping_mul(CHANNELS).wrapping_add(i).min(last));
        let mut sums = at.map(|channel| layer.bias(channel));
        B::dot_f16_1x4(patch, at.map(|channel| layer.row(channel)), &mut sums);
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = layer.bounds.half(sum));
    }
}

/// Widens the elements under the window at output position `(y, x)` into the first lane of `lanes`. What lies outside the input
/// stays as it is.
fn spread<B: Backend>(elements: &[i8], input: &Tensor, window: &Window, (y, x): (u32, u32), lanes: &mut [f32]) {
    let (c, pitch) = (input.shape.c as usize, input.place.pitch as usize);
    let Inside { rows, columns } = Inside::of(window, input, y, x);
    for row in 0..rows.len {
        let tap = rows.tap.wrapping_add(row).wrapping_mul(window.kernel[1]).wrapping_add(columns.tap) as usize;
        let slot = input.slot(rows.start.wrapping_add(row));
        let pixel = slot.wrapping_mul(input.shape.w).wrapping_add(columns.start) as usize;
        let from = elements.get(pixel.wrapping_mul(pitch)..).unwrap_or_default();
        // Pixels without gaps are one run of elements.
        let columns = columns.len as usize;
        let (runs, len) = if pitch == c.wrapping_mul(2) { (1, columns.wrapping_mul(c)) } else { (columns, c) };
        for run in 0..runs {
            let from = f16::of(from.get(run.wrapping_mul(pitch)..).unwrap_or_default());
            let at = tap.wrapping_add(run).wrapping_mul(c).wrapping_mul(LANES);
            B::f16_spread(from.get(..len).unwrap_or_default(), lanes.get_mut(at..).unwrap_or_default());
        }
    }
}

pub(super) fn conv<B: Backend>(op: &Conv2d<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let k = conv2d::patch_len(&op.window, input.shape.c) as u32;
    let layer = layer(op.weights, &op.channels, op.clamp, k);
    if output.shape.w == 1 {
        return column::<B>(op, &layer, io, rows);
    }
    let last = output.shape.w.wrapping_sub(1);
    let pitch = (output.place.pitch / 2) as usize;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in (0..output.shape.w).step_by(LANES) {
            let count = output.shape.w.wrapping_sub(x).min(LANES as u32);
            let (elements, out, scratch) =
                io.memory.read_write2(input.region(), output.pixels(y, x, count), io.scratch);
            let lanes = cast::as_f32_mut(scratch);
            if op.window.is_padded() {
                lanes.fill(0.0);
            }
            // A lane that is not there is the last pixel again.
            for lane in 0..LANES {
                let at = (y, x.wrapping_add(lane as u32).min(last));
                spread::<B>(elements, &input, &op.window, at, lanes.get_mut(lane..).unwrap_or_default());
            }
            let pixels = Pixels { channels: output.shape.c as usize, pitch, count: count as usize };
            B::f16_gemm(lanes, &layer, f16::of_mut(out), pixels);
        }
    }
}

/// A convolution whose output is one pixel wide.
fn column<B: Backend>(op: &Conv2d<'_>, layer: &Layer<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let bytes = (layer.k as u32).wrapping_mul(2);
    let in_place = op.reads_in_place(&io.tensors);
    for y in rows.start..rows.end.min(output.shape.h) {
        let patch = if in_place {
            op.patches_in(&input, y, 0, 1, bytes).0
        } else {
            let patch = io.scratch.part(0, bytes);
            gather(io.memory, &input, &op.window, 0, (y, 0), patch);
            patch
        };
        let (patch, out) = io.memory.read_write(patch, output.pixels(y, 0, 1));
        pixel::<B>(layer, f16::of(patch), f16::of_mut(out));
    }
}

pub(super) fn dense<B: Backend>(op: &Dense<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    if rows.is_empty() {
        return;
    }
    let Operands { a: input, output, .. } = io.tensors;
    let from = contiguous(io, &input);
    let layer = layer(op.weights, &op.channels, op.clamp, input.shape.len());
    let (input, out) = io.memory.read_write(from, output.region());
    pixel::<B>(&layer, f16::of(input), f16::of_mut(out));
}

pub(super) fn depthwise(op: &DepthwiseConv2d<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let layer = layer(op.weights, &op.channels, op.clamp, 0);
    let multiplier = (narrow::multiplier(&io.tensors) as usize).max(1);
    let (inputs, outputs) = (input.shape.c as usize, output.shape.c as usize);
    let patch = io.scratch.part(0, op.window.taps_len().saturating_mul(input.pixel_bytes()));
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            gather(io.memory, &input, &op.window, 0, (y, x), patch);
            let (patch, out) = io.memory.read_write(patch, output.pixels(y, x, 1));
            let patch = f16::of(patch);
            let mut at = 0;
            for (channel, out) in f16::of_mut(out).chunks_mut(multiplier).enumerate() {
                let taps = patch.get(channel..).unwrap_or_default();
                for out in out {
                    let weights = layer.weights.get(at..).unwrap_or_default();
                    let products = every(taps, inputs).zip(every(weights, outputs)).map(|(x, w)| product(x, w));
                    *out = layer.bounds.half(products.fold(layer.bias(at), |sum, product| sum + product));
                    at = at.wrapping_add(1);
                }
            }
        }
    }
}

/// The product of the first elements.
#[inline]
fn product(x: &[f16], w: &[f16]) -> f32 {
    match (x, w) {
        ([x, ..], [w, ..]) => widen(*x) * widen(*w),
        _ => 0.0,
    }
}
