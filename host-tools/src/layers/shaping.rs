//! Layers that move numbers and compute nothing.

use kinglet::Shape;

use super::pointwise::hand_on;
use super::real::Real;
use super::{Layer, Output, Point, Scratch, store};
use crate::simd::{kernel, widest};

/// Concatenation along channels.
#[derive(Debug)]
pub struct Concat {
    /// First channel and number of channels of each input in the output.
    parts: Vec<(usize, usize)>,
    channels: usize,
}

impl Concat {
    /// Joins inputs of these shapes.
    pub fn new(inputs: &[Shape]) -> Self {
        let mut channels = 0;
        let part = |shape: &Shape| {
            let first = channels;
            channels += shape.c as usize;
            (first, shape.c as usize)
        };
        let parts = inputs.iter().map(part).collect();
        Self { parts, channels }
    }
}

impl<T: Real> Layer<T> for Concat {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        for (which, &(first, count)) in self.parts.iter().enumerate() {
            let pixels = out.chunks_exact_mut(self.channels).zip(point.input(which).chunks_exact(count));
            pixels.for_each(|(out, x)| out[first..][..count].copy_from_slice(x));
        }
    }

    fn input_gradient(
        &self,
        which: usize,
        _point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        let (first, count) = self.parts[which];
        if accumulate {
            add_part(output.gradient, self.channels, first, target, count);
            return;
        }
        let pixels = target.chunks_exact_mut(count).zip(output.gradient.chunks_exact(self.channels));
        pixels.for_each(|(target, gradient)| target.copy_from_slice(&gradient[first..][..count]));
    }
}

kernel! {
    fn add_part<T>(gradient: &[T], channels: usize, first: usize, target: &mut [T], count: usize) {
        for (target, gradient) in target.chunks_exact_mut(count).zip(gradient.chunks_exact(channels)) {
            target.iter_mut().zip(&gradient[first..]).for_each(|(t, g)| *t += *g);
        }
    }
}

/// The same numbers in the same order.
#[derive(Debug)]
pub struct Same;

impl<T: Real> Layer<T> for Same {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        out.copy_from_slice(point.input(0));
    }

    fn input_gradient(
        &self,
        _which: usize,
        _point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        hand_on(output.gradient, target, accumulate);
    }
}

/// A constant around the map.
#[derive(Debug)]
pub struct Pad<T> {
    /// Elements that stay together, whole rows or pixels, and how many of them are in a row of the input.
    run: usize,
    runs: usize,
    /// Elements from one of them to the next in the output, and from row to row.
    pitch: [usize; 2],
    /// Offset of the first input element in the output.
    start: usize,
    value: T,
}

impl<T: Real> Pad<T> {
    /// Padding from `input` to `output` with `before` rows, columns and channels in front.
    pub fn new(input: Shape, output: Shape, before: [u32; 3], value: T) -> Self {
        let [top, left, front] = before;
        let start = ((top * output.w + left) * output.c + front) as usize;
        let (run, runs) = if input.c == output.c { (input.w * input.c, 1) } else { (input.c, input.w) };
        let pitch = [output.c, output.w * output.c].map(|len| len as usize);
        Self { run: run as usize, runs: runs as usize, pitch, start, value }
    }

    /// Where each run of the input begins in the output.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let (runs, [pixel, row], start) = (self.runs, self.pitch, self.start);
        (0..).map(move |at| start + at / runs * row + at % runs * pixel)
    }
}

impl<T: Real> Layer<T> for Pad<T> {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        out.fill(self.value);
        for (x, start) in point.input(0).chunks_exact(self.run).zip(self.starts()) {
            out[start..][..self.run].copy_from_slice(x);
        }
    }

    fn input_gradient(
        &self,
        _which: usize,
        _point: &Point<'_, T>,
        output: Output<'_, T>,
        target: &mut [T],
        accumulate: bool,
        _scratch: &mut Scratch<T>,
    ) {
        widest(|| {
            for (target, start) in target.chunks_exact_mut(self.run).zip(self.starts()) {
                target.iter_mut().zip(&output.gradient[start..]).for_each(|(t, g)| store(t, *g, accumulate));
            }
        });
    }
}
