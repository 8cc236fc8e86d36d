//! Convolution in half precision, several pixels of a row at a time: a lane for each.

use core::ops::Range;

use super::patch::{Inside, Map};
use super::{Conv2d, Io, Operands};
use crate::float16::f16;
use crate::kernels::Backend;
use crate::kernels::blocks::float16::{LANES, Layer, Pixels};
use crate::kernels::float16::Bounds;
use crate::memory::Element;
use crate::sys::cast;
use crate::tensor::Tensor;
use crate::window::Window;

/// Bytes of scratch for each element under the window: a number in single precision in each lane.
pub(super) const BYTES: u64 = 4 * LANES as u64;

/// Computes rows `rows` of the output.
pub(super) fn run<B: Backend>(op: &Conv2d<'_>, io: &mut Io<'_, '_>, rows: Range<u32>) {
    let Operands { a: input, output, .. } = io.tensors;
    let (biases, _) = op.channels.bytes().as_chunks();
    let (weights, k) = (f16::of(op.weights.bytes), op.patch_len(&input) as usize);
    let scratch = io.scratch(0, (k as u32).wrapping_mul(BYTES as u32));
    let layer = Layer { weights, biases, k, bounds: Bounds::of(op.clamp) };
    let last = output.shape.w.wrapping_sub(1);
    let pitch = (output.place.pitch / 2) as usize;
    for y in rows.start..rows.end.min(output.shape.h) {
        for x in (0..output.shape.w).step_by(LANES) {
            let count = output.shape.w.wrapping_sub(x).min(LANES as u32);
            let (elements, out, lanes) = io.memory.read_write2(input.region(), output.pixels(y, x, count), scratch);
            let lanes = cast::as_f32_mut(lanes);
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

/// Widens the elements under the window at output position `(y, x)` into the first lane of `lanes`. What lies outside the input
/// stays as it is.
fn spread<B: Backend>(elements: &[i8], input: &Tensor, window: &Window, (y, x): (u32, u32), lanes: &mut [f32]) {
    let map = Map::new(input, elements);
    let Inside { rows, columns } = Inside::of(window, input, y, x);
    for row in 0..rows.len {
        let tap = rows.tap.wrapping_add(row).wrapping_mul(window.kernel[1]).wrapping_add(columns.tap) as usize;
        let mut at = tap.wrapping_mul(input.shape.c as usize).wrapping_mul(LANES);
        for run in map.runs(rows.start.wrapping_add(row), columns.start, columns.len) {
            let from = f16::of(run);
            B::f16_spread(from, lanes.get_mut(at..).unwrap_or_default());
            at = at.wrapping_add(from.len().wrapping_mul(LANES));
        }
    }
}
