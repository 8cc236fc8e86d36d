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
pub struct Flatten;

impl<T: Real> Layer<T> for Flatten {
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

/// Zeros around the map.
#[derive(Debug)]
pub struct Pad {
    /// Elements in a row of the input and of the output.
    rows: [usize; 2],
    /// Offset of the first input element in the output.
    start: usize,
}

impl Pad {
    /// Padding from `input` to `output` with `before` rows and columns in front.
    pub fn new(input: Shape, output: Shape, before: [u32; 2]) -> Self {
        let [top, left] = before;
        let rows = [(input.w * input.c) as usize, (output.w * output.c) as usize];
        Self { rows, start: ((top * output.w + left) * output.c) as usize }
    }
}

impl<T: Real> Layer<T> for Pad {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        let [from, to] = self.rows;
        out.fill(T::zero());
        for (row, x) in point.input(0).chunks_exact(from).enumerate() {
            out[self.start + row * to..][..from].copy_from_slice(x);
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
            let [from, to] = self.rows;
            for (row, target) in target.chunks_exact_mut(from).enumerate() {
                let gradient = &output.gradient[self.start + row * to..];
                target.iter_mut().zip(gradient).for_each(|(t, g)| store(t, *g, accumulate));
            }
        });
    }
}
