//! Convolution in half precision, several pixels of a row at a time: a lane for each.

use core::ops::Range;

use super::{Conv2d, Io, Operands};
use crate::float16::f16;
use crate::kernels::Backend;
use crate::kernels::blocks::float16::{LANES, Layer, Pixels, Spread};
use crate::kernels::float16::Bounds;
use crate::memory::Element;
use crate::sys::cast;
use crate::tensor::{Shape, Tensor};
use crate::window::{Taps, Window};

/// Bytes of scratch for each element under the window: a number in single precision in each lane.
pub(super) const BYTES: u64 = 4 * LANES as u64;

/// Computes rows `rows` of the output.
pub(super) fn run<B: Backend>(op: &Conv2d<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let (biases, _) = op.channels.bytes().as_chunks();
    let (weights, k) = (f16::of(op.weights.bytes), op.patch_len(&input) as usize);
    let scratch = io.scratch(0, (k as u32).wrapping_mul(BYTES as u32));
    let layer = Layer { weights, biases, k, bounds: Bounds::of(op.clamp) };
    let (channels, pitch) = (output.shape.c as usize, (output.place.pitch / 2) as usize);
    let whole = op.window.whole(1, input.shape.w);
    for y in rows.start..rows.end.min(output.shape.h) {
        let pixels = output.pixels(y, 0, output.shape.w);
        let (elements, out, lanes) = io.memory.read_write2(input.region(), pixels, scratch);
        let (elements, lanes) = (f16::of(elements), cast::as_f32_mut(lanes));
        let taps = op.window.taps(0, y, input.shape.h);
        let row = Row { input: &input, elements, window: &op.window, taps, whole: whole.clone() };
        for (group, out) in f16::of_mut(out).chunks_mut(pitch.saturating_mul(LANES).max(1)).enumerate() {
            let x = (group as u32).wrapping_mul(LANES as u32);
            let count = output.shape.w.wrapping_sub(x).min(LANES as u32);
            row.widen::<B>(x..x.wrapping_add(count), lanes);
            B::f16_gemm(lanes, &layer, out, Pixels { channels, pitch, count: count as usize });
        }
    }
}

/// The windows of an output row's pixels.
struct Row<'a> {
    input: &'a Tensor,
    /// Those of the input.
    elements: &'a [f16],
    window: &'a Window,
    /// Along the height, inside the input.
    taps: Taps,
    /// The pixels whose windows lie inside the input along the width.
    whole: Range<u32>,
}

impl Row<'_> {
    /// Widens what is under the windows of the pixels `xs` into their lanes; zeros for what lies outside the input.
    fn widen<B: Backend>(&self, xs: Range<u32>, lanes: &mut [f32]) {
        let whole = xs.start >= self.whole.start && xs.end <= self.whole.end;
        if !whole || self.taps.len != self.window.kernel[0] {
            self.clear(&xs, lanes);
        }
        let mut x = xs.start;
        while x < xs.end {
            let end = if self.whole.contains(&x) { self.whole.end.min(xs.end) } else { x.wrapping_add(1) };
            let lane = x.wrapping_sub(xs.start) as usize;
            self.spread::<B>(x..end, lanes.get_mut(lane..).unwrap_or_default());
            x = end;
        }
    }

    /// The taps of the pixel in column `x`.
    fn columns(&self, x: u32) -> Taps {
        self.window.taps(1, x, self.input.shape.w)
    }

    /// Numbers of one tap in the lanes.
    fn tap_len(&self) -> usize {
        (self.input.shape.c as usize).wrapping_mul(LANES)
    }

    /// Zeros for the taps of which a pixel's lies outside the input.
    fn clear(&self, xs: &Range<u32>, lanes: &mut [f32]) {
        let (first, last) = (self.columns(xs.start), self.columns(xs.end.wrapping_sub(1)));
        let (left, right) = (first.tap as usize, last.tap.wrapping_add(last.len) as usize);
        let line = (self.window.kernel[1] as usize).wrapping_mul(self.tap_len());
        for (row, line) in lanes.chunks_mut(line.max(1)).enumerate() {
            if (row as u32).wrapping_sub(self.taps.tap) >= self.taps.len {
                line.fill(0.0);
            } else {
                line.iter_mut().take(left.wrapping_mul(self.tap_len())).for_each(|x| *x = 0.0);
                line.iter_mut().skip(right.wrapping_mul(self.tap_len())).for_each(|x| *x = 0.0);
            }
        }
    }

    /// Widens what is under neighboring windows with equal taps.
    fn spread<B: Backend>(&self, xs: Range<u32>, lanes: &mut [f32]) {
        let (columns, Shape { w, c, .. }, pitch) =
            (self.columns(xs.start), self.input.shape, self.input.place.pitch / 2);
        let (runs, pixels) =
            if self.input.has_dense_rows() { (columns.len.min(1), columns.len) } else { (columns.len, 1) };
        let step = pitch.wrapping_mul(self.window.stride[1]) as usize;
        let spread = Spread { len: pixels.wrapping_mul(c) as usize, step, count: xs.len() };
        for row in 0..self.taps.len {
            let pixel = self.input.slot(self.taps.start.wrapping_add(row)).wrapping_mul(w).wrapping_add(columns.start);
            let line = self.taps.tap.wrapping_add(row).wrapping_mul(self.window.kernel[1]);
            for run in 0..runs {
                let from = pixel.wrapping_add(run).wrapping_mul(pitch) as usize;
                let tap = line.wrapping_add(columns.tap).wrapping_add(run) as usize;
                let to = tap.wrapping_mul(self.tap_len());
                if let (Some(from), Some(to)) = (self.elements.get(from..), lanes.get_mut(to..)) {
                    B::f16_spread(from, &spread, to);
                }
            }
        }
    }
}
