//! 2-D convolution over one image: direct, NHWC, without im2col.
//!
//! The image is copied once into a buffer with its padding, so that no inner loop tests borders. The input gradient is
//! the same loop over the padded output gradient with flipped, transposed weights, once per phase of the stride.

use kinglet::{Shape, Window};

use super::blocks::{BLOCK, Outer, Row, Segment, channel_blocks, padded};
use super::real::Real;
use super::{Back, Layer, Point, Scratch, Target};

/// Bytes of input and output gradient that the weight gradient works on at a time, so that both stay in L1.
const OUTER_BYTES: usize = 24 * 1024;

/// A convolution of one shape, with its packed weights.
#[derive(Debug)]
pub struct Conv2d<T> {
    window: Window,
    input: Shape,
    output: Shape,
    /// `[block][kh][kw * in][block width]`.
    forward: Vec<T>,
    bias: Option<Vec<T>>,
    phases: Vec<Phase<T>>,
    /// Rows and columns before the first output gradient, and extent with padding, in the padded copy.
    margin: [usize; 2],
    extent: [usize; 2],
}

/// Input positions with the same remainder by the stride: they see the same taps.
#[derive(Debug)]
struct Phase<T> {
    /// First input position of the phase, `[vertical, horizontal]`.
    first: [usize; 2],
    /// Number of positions.
    count: [usize; 2],
    /// Output position under the first tap for the first input position.
    origin: [usize; 2],
    /// First tap.
    tap: [usize; 2],
    /// Number of taps.
    taps: [usize; 2],
    /// `[block][taps][taps * out][block width]`, taps in falling order.
    weights: Vec<T>,
}

impl<T: Real> Conv2d<T> {
    /// A convolution from `input` to `output`.
    pub fn new(window: Window, mut input: Shape, mut output: Shape, bias: bool) -> Self {
        if window.kernel == [1, 1] && window.stride == [1, 1] && !window.is_padded() {
            // It sees every pixel by itself: one long row leaves no thin tiles at the ends of short ones.
            for shape in [&mut input, &mut output] {
                *shape = Shape::new(1, shape.h * shape.w, shape.c);
            }
        }
        let size = [input.h as usize, input.w as usize];
        let out = [output.h as usize, output.w as usize];
        let [kernel, stride, before] = [window.kernel, window.stride, window.before].map(|v| v.map(|v| v as usize));
        let mut phases = Vec::new();
        for vertical in 0..stride[0] {
            for horizontal in 0..stride[1] {
                let tap = [vertical, horizontal];
                let axis = |a: usize| {
                    // The first input position i with (i + before) % stride == tap.
                    let first = (tap[a] + stride[a] - before[a] % stride[a]) % stride[a];
                    let count = size[a].saturating_sub(first).div_ceil(stride[a]);
                    let taps = kernel[a].saturating_sub(tap[a]).div_ceil(stride[a]);
                    (first, count, (first + before[a]).saturating_sub(tap[a]) / stride[a], taps)
                };
                let (v, h) = (axis(0), axis(1));
                phases.push(Phase {
                    first: [v.0, h.0],
                    count: [v.1, h.1],
                    origin: [v.2, h.2],
                    tap,
                    taps: [v.3, h.3],
                    weights: Vec::new(),
                });
            }
        }
        let margin = [0, 1].map(|a| phases.iter().map(|p| p.taps[a].saturating_sub(1)).max().unwrap_or(0));
        let extent = [0, 1].map(|a| {
            let reach = phases.iter().map(|p| p.origin[a] + p.count[a]).max().unwrap_or(0);
            margin[a] + reach.max(out[a])
        });
        let bias = bias.then(|| vec![T::zero(); output.c as usize]);
        Self { window, input, output, forward: Vec::new(), bias, phases, margin, extent }
    }

    fn kernel(&self) -> [usize; 2] {
        self.window.kernel.map(|k| k as usize)
    }

    fn stride(&self) -> [usize; 2] {
        self.window.stride.map(|s| s as usize)
    }

    fn channels(&self) -> (usize, usize) {
        (self.input.c as usize, self.output.c as usize)
    }

    /// The input with its padding, and its row length: the input itself when there is no padding.
    fn padded_input<'a>(&self, input: &'a [T], scratch: &'a mut Vec<T>) -> (&'a [T], usize) {
        let (h, w, c) = (self.input.h as usize, self.input.w as usize, self.input.c as usize);
        if !self.window.is_padded() {
            return (input, w * c);
        }
        let [top, left] = self.window.before.map(|b| b as usize);
        let [bottom, right] = self.window.after.map(|a| a as usize);
        let (rows, row) = (h + top + bottom, (w + left + right) * c);
        pad(input, w * c, scratch, rows, row, [top, left * c]);
        (scratch, row)
    }
}

/// Copies rows of `len` into `target` of `rows` rows of `row`, from `at` = `[row, offset]` on; zeros around them.
fn pad<T: Real>(source: &[T], len: usize, target: &mut Vec<T>, rows: usize, row: usize, at: [usize; 2]) {
    target.resize(rows * row, T::zero());
    let count = source.len() / len;
    let (top, rest) = target.split_at_mut(at[0] * row);
    let (middle, bottom) = rest.split_at_mut(count * row);
    top.fill(T::zero());
    for (source, target) in source.chunks_exact(len).zip(middle.chunks_exact_mut(row)) {
        let (left, rest) = target.split_at_mut(at[1]);
        let (values, right) = rest.split_at_mut(len);
        left.fill(T::zero());
        values.copy_from_slice(source);
        right.fill(T::zero());
    }
    bottom.fill(T::zero());
}

impl<T: Real> Layer<T> for Conv2d<T> {
    fn prepare(&mut self, weights: &[Vec<T>], backward: bool) {
        let ([kh, kw], (cin, cout), stride) = (self.kernel(), self.channels(), self.stride());
        let weight = &weights[0];
        let taps = kh * kw * cin;
        self.forward.clear();
        self.forward.resize(taps * padded(cout), T::zero());
        for (first, block) in channel_blocks(cout) {
            let packed = &mut self.forward[first * taps..][..taps * block];
            for (v, source) in weight.chunks_exact(taps).skip(first).take(block).enumerate() {
                for (target, w) in packed.iter_mut().skip(v).step_by(block).zip(source) {
                    *target = *w;
                }
            }
        }
        if let Some(bias) = &mut self.bias {
            bias.copy_from_slice(&weights[1]);
        }
        if !backward {
            return;
        }
        for phase in &mut self.phases {
            let rows = phase.taps[0] * phase.taps[1] * cout;
            phase.weights.clear();
            phase.weights.resize(rows * padded(cin), T::zero());
            for (first, block) in channel_blocks(cin) {
                let packed = &mut phase.weights[first * rows..][..rows * block];
                let mut target = packed.chunks_exact_mut(block);
                for y in (0..phase.taps[0]).rev() {
                    for x in (0..phase.taps[1]).rev() {
                        let (ky, kx) = (phase.tap[0] + y * stride[0], phase.tap[1] + x * stride[1]);
                        for (co, target) in (0..cout).zip(&mut target) {
                            let source = &weight[((co * kh + ky) * kw + kx) * cin + first..];
                            let count = block.min(cin - first);
                            target[..count].copy_from_slice(&source[..count]);
                        }
                    }
                }
            }
        }
    }

    fn forward(&self, point: &Point<'_, T>, out: &mut [T], scratch: &mut Scratch<T>) {
        let ([kh, kw], [sy, sx], (cin, cout)) = (self.kernel(), self.stride(), self.channels());
        let (x, row) = self.padded_input(point.input(0), &mut scratch.a);
        let (ow, taps) = (self.output.w as usize, kh * kw * cin);
        let segments = &mut scratch.segments;
        for (first, block) in channel_blocks(cout) {
            for oy in 0..self.output.h as usize {
                segments.clear();
                segments.extend((0..kh).map(|ky| Segment {
                    x: (oy * sy + ky) * row,
                    w: ky * kw * cin * block,
                    len: kw * cin,
                }));
                let channels = block.min(cout - first);
                let work = Row {
                    x,
                    x_step: sx * cin,
                    w: &self.forward[first * taps..][..taps * block],
                    block,
                    segments,
                    pixels: ow,
                    out_step: cout,
                    channels,
                    accumulate: false,
                };
                T::row(&work, &mut out[oy * ow * cout + first..]);
            }
        }
        if let Some(bias) = &self.bias {
            for out in out.chunks_exact_mut(cout) {
                out.iter_mut().zip(bias).for_each(|(out, b)| *out += *b);
            }
        }
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, scratch: &mut Scratch<T>) {
        let ([sy, sx], (cin, cout)) = (self.stride(), self.channels());
        let (w, ow) = (self.input.w as usize, self.output.w as usize);
        let row = self.extent[1] * cout;
        let dense = self.margin == [0, 0] && self.extent == [self.output.h as usize, ow];
        let dy = if dense {
            back.gradient
        } else {
            let at = [self.margin[0], self.margin[1] * cout];
            pad(back.gradient, ow * cout, &mut scratch.a, self.extent[0], row, at);
            &scratch.a
        };
        for phase in &self.phases {
            let [ty, tx] = phase.taps;
            if (ty == 0 || tx == 0) && target.accumulate {
                continue;
            }
            let rows = ty * tx * cout;
            for (first, block) in channel_blocks(cin) {
                for index in 0..phase.count[0] {
                    // Taps in falling order stand over outputs in rising order; the last one stands over the origin.
                    let top = phase.origin[0] + index + self.margin[0] + 1 - ty.max(1);
                    let left = phase.origin[1] + self.margin[1] + 1 - tx.max(1);
                    scratch.segments.clear();
                    scratch.segments.extend((0..ty).map(|y| Segment {
                        x: (top + y) * row + left * cout,
                        w: y * tx * cout * block,
                        len: tx * cout,
                    }));
                    let work = Row {
                        x: dy,
                        x_step: cout,
                        w: &phase.weights[first * rows..][..rows * block],
                        block,
                        segments: &scratch.segments,
                        pixels: phase.count[1],
                        out_step: sx * cin,
                        channels: block.min(cin - first),
                        accumulate: target.accumulate,
                    };
                    let at = ((phase.first[0] + index * sy) * w + phase.first[1]) * cin + first;
                    if work.pixels > 0 {
                        T::row(&work, &mut target.values[at..]);
                    }
                }
            }
        }
    }

    fn gradient_lens(&self) -> Vec<usize> {
        let ([kh, kw], (cin, cout)) = (self.kernel(), self.channels());
        let weight = kh * kw * cin * padded(cout);
        if self.bias.is_some() { vec![weight, cout] } else { vec![weight] }
    }

    fn weight_gradient(&self, back: &Back<'_, T>, sums: &mut [Vec<T>], scratch: &mut Scratch<T>) {
        let ([kh, kw], [sy, sx], (cin, cout)) = (self.kernel(), self.stride(), self.channels());
        let (oh, ow) = (self.output.h as usize, self.output.w as usize);
        let Scratch { a, b, .. } = scratch;
        let (x, row) = self.padded_input(back.input(0), a);
        // Blocks read whole: channels that fill no block need room after them.
        let step = padded(cout);
        let dy = if step == cout {
            back.gradient
        } else {
            pad(back.gradient, cout, b, oh * ow, step, [0, 0]);
            b
        };
        let taps = kh * kw * cin;
        let pixels = OUTER_BYTES / (size_of::<T>() * (sy * sx * cin + cout));
        let columns = pixels.clamp(1, ow);
        let rows = (pixels / ow).clamp(1, oh);
        let parts = (0..oh).step_by(rows).flat_map(|top| (0..ow).step_by(columns).map(move |left| (top, left)));
        for (top, left) in parts {
            for ky in 0..kh {
                for (first, block) in channel_blocks(cout) {
                    let work = Outer {
                        x: &x[(top * sy + ky) * row + left * sx * cin..],
                        x_row: sy * row,
                        x_step: sx * cin,
                        y: &dy[(top * ow + left) * step + first..],
                        y_row: ow * step,
                        y_step: step,
                        rows: rows.min(oh - top),
                        pixels: columns.min(ow - left),
                        count: kw * cin,
                        block,
                    };
                    T::outer(&work, &mut sums[0][first * taps + ky * kw * cin * block..]);
                }
            }
        }
        if self.bias.is_some() {
            for gradient in back.gradient.chunks_exact(cout) {
                sums[1].iter_mut().zip(gradient).for_each(|(sum, g)| *sum += *g);
            }
        }
    }

    fn unpack_gradient(&self, sums: &[Vec<T>], gradients: &mut [Vec<T>]) {
        let ([kh, kw], (cin, cout)) = (self.kernel(), self.channels());
        let taps = kh * kw * cin;
        for (first, block) in channel_blocks(cout) {
            let packed = &sums[0][first * taps..][..taps * block];
            for (v, target) in gradients[0].chunks_exact_mut(taps).skip(first).take(block).enumerate() {
                target.iter_mut().zip(packed.iter().skip(v).step_by(block)).for_each(|(t, s)| *t = *s);
            }
        }
        if self.bias.is_some() {
            gradients[1].copy_from_slice(&sums[1]);
        }
    }
}

const _: () = assert!(BLOCK == 16, "tiles are written for blocks of 8 and 16");
