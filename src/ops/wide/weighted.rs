//! Convolutions and the fully connected layer: int8 weights, int16 activations, sums of 64 bits.

use core::ops::Range;

use super::super::patch::{contiguous, gather};
use super::super::{Conv2d, Dense, DepthwiseConv2d, Io, Operands, conv2d, depthwise as narrow};
use crate::kernels::blocks::pieces::{every, pieces};
use crate::memory::Element;
use crate::quant::{Channel, Channels, Clamp, Rounding, WideChannel, requantize};

/// Products of an int16 and an int8 of which 32 bits hold the sum, whatever they are: `256 * 2^15 * 2^7 = 2^30`.
const EXACT: usize = 256;

/// From sums to outputs.
struct Stage<'m> {
    rounding: Rounding,
    clamp: Clamp,
    channels: Channels<'m>,
}

impl Stage<'_> {
    /// The output of a channel, whose table entry is `entry`, with products that sum to `sum`.
    #[inline]
    fn apply(&self, sum: i64, entry: &[u8; Channel::BYTES]) -> i16 {
        let scaled = match self.rounding {
            Rounding::Wide => WideChannel::from_bytes(entry).apply(sum),
            rounding => {
                let Channel { bias, factor } = Channel::from_bytes(entry);
                requantize((sum as i32).wrapping_add(bias), factor, rounding)
            }
        };
        self.clamp.apply(scaled) as i16
    }

    /// All channels of one output pixel, from its patch of `k` elements and weights `[channel][k]`.
    #[inline(never)]
    fn pixel(&self, weights: &[i8], patch: &[i16], out: &mut [i16]) {
        let k = patch.len();
        let (blocks, rest) = self.channels.entries().as_chunks::<4>();
        let mut rows = pieces(weights, k);
        let mut row = || rows.next().unwrap_or_default();
        let mut out = out.iter_mut();
        for entries in blocks {
            let sums = dot(patch, [row(), row(), row(), row()]);
            for ((sum, entry), out) in sums.into_iter().zip(entries).zip(&mut out) {
                *out = self.apply(sum, entry);
            }
        }
        for (entry, out) in rest.iter().zip(out) {
            let [sum] = dot(patch, [row()]);
            *out = self.apply(sum, entry);
        }
    }
}

/// Dot products of a patch with the weights of `N` channels.
#[inline]
fn dot<const N: usize>(patch: &[i16], weights: [&[i8]; N]) -> [i64; N] {
    let mut sums = [0i64; N];
    let mut weights = weights.map(|row| row.chunks(EXACT));
    for patch in patch.chunks(EXACT) {
        let rows = weights.each_mut().map(|chunks| chunks.next().unwrap_or_default());
        for (sum, row) in sums.iter_mut().zip(exact(patch, rows)) {
            *sum = sum.wrapping_add(row.into());
        }
    }
    sums
}

/// Dot products of at most [`EXACT`] terms. Four at a time, which is what the registers of a Cortex-M hold.
#[inline]
fn exact<const N: usize>(patch: &[i16], weights: [&[i8]; N]) -> [i32; N] {
    let product = |x: i16, w: i8| i32::from(x) * i32::from(w);
    let mut sums = [0i32; N];
    match (&weights[..], &mut sums[..]) {
        ([w0, w1, w2, w3], [s0, s1, s2, s3]) => {
            for ((((&x, &w0), &w1), &w2), &w3) in patch.iter().zip(*w0).zip(*w1).zip(*w2).zip(*w3) {
                *s0 = s0.wrapping_add(product(x, w0));
                *s1 = s1.wrapping_add(product(x, w1));
                *s2 = s2.wrapping_add(product(x, w2));
                *s3 = s3.wrapping_add(product(x, w3));
            }
        }
        (rows, sums) => {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = patch.iter().zip(*row).fold(0, |sum: i32, (&x, &w)| sum.wrapping_add(product(x, w)));
            }
        }
    }
    sums
}

pub(super) fn conv(op: &Conv2d<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let bytes = (conv2d::patch_len(&op.window, input.shape.c) as u32).wrapping_mul(input.dtype.size());
    let stage = Stage { rounding: op.rounding, clamp: op.clamp, channels: op.channels };
    let in_place = op.reads_in_place(&io.tensors);
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            let patch = if in_place {
                op.patches_in(&input, y, x, 1, bytes).0
            } else {
                let patch = io.scratch.part(0, bytes);
                gather(io.memory, &input, &op.window, 0, (y, x), patch);
                patch
            };
            let (patch, out) = io.memory.read_write(patch, output.pixels(y, x, 1));
            stage.pixel(op.weights, i16::of(patch), i16::of_mut(out));
        }
    }
}

pub(super) fn dense(op: &Dense<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    if rows.is_empty() {
        return;
    }
    let Operands { a: input, output, .. } = io.tensors;
    let from = contiguous(io, &input);
    let stage = Stage { rounding: op.rounding, clamp: op.clamp, channels: op.channels };
    let (input, out) = io.memory.read_write(from, output.region());
    stage.pixel(op.weights, i16::of(input), i16::of_mut(out));
}

pub(super) fn depthwise(op: &DepthwiseConv2d<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let stage = Stage { rounding: op.rounding, clamp: op.clamp, channels: op.channels };
    let multiplier = (narrow::multiplier(&io.tensors) as usize).max(1);
    let (inputs, outputs) = (input.shape.c as usize, output.shape.c as usize);
    let patch = io.scratch.part(0, op.window.taps_len().saturating_mul(input.pixel_bytes()));
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in 0..output.shape.w {
            gather(io.memory, &input, &op.window, 0, (y, x), patch);
            let (patch, out) = io.memory.read_write(patch, output.pixels(y, x, 1));
            let patch = i16::of(patch);
            let pairs = i16::of_mut(out).chunks_mut(multiplier).zip(stage.channels.entries().chunks(multiplier));
            for (channel, (out, entries)) in pairs.enumerate() {
                let taps = patch.get(channel..).unwrap_or_default();
                for (i, (out, entry)) in out.iter_mut().zip(entries).enumerate() {
                    let first = channel.wrapping_mul(multiplier).wrapping_add(i);
                    let weights = op.weights.get(first..).unwrap_or_default();
                    let products = every(taps, inputs).zip(every(weights, outputs));
                    *out = stage.apply(products.fold(0, |sum, (x, w)| sum + product(x, w)), entry);
                }
            }
        }
    }
}

/// The product of the first elements.
#[inline]
fn product(x: &[i16], w: &[i8]) -> i64 {
    match (x, w) {
        ([x, ..], [w, ..]) => (i32::from(*x) * i32::from(*w)).into(),
        _ => 0,
    }
}
