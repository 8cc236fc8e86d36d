//! Layers that move numbers and compute nothing.

use kinglet::Shape;

use super::pointwise::hand_on;
use super::real::Real;
use super::simd::kernel;
use super::{Back, Layer, Point, Scratch, Target};
use crate::graph::Rearrange;

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

    fn input_gradient(&self, which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let (first, count) = self.parts[which];
        if target.accumulate {
            add_part(back.gradient, self.channels, first, target.values, count);
            return;
        }
        let pixels = target.values.chunks_exact_mut(count).zip(back.gradient.chunks_exact(self.channels));
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

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        hand_on(back.gradient, target.values, target.accumulate);
    }
}

/// Elements of one input in other places, a constant elsewhere.
#[derive(Debug)]
pub struct Rearranged<T> {
    /// Elements that stay together: whole pixels, or one.
    run: usize,
    /// Where each run of the output begins in the input; none for the constant.
    sources: Vec<Option<usize>>,
    constant: T,
}

impl<T: Real> Rearranged<T> {
    /// Moves elements from `input` to `output` as `rearrange` says.
    pub fn new(rearrange: &Rearrange, input: Shape, output: Shape) -> Self {
        let (sources, pixel) = (rearrange.sources(input), output.c as usize);
        let follow = |pair: &[Option<usize>]| pair[1] == pair[0].map(|at| at + 1);
        let together = sources.chunks(pixel).all(|pixel| pixel.windows(2).all(follow));
        let run = if together { pixel } else { 1 };
        let constant = T::of(rearrange.constant().unwrap_or_default().into());
        Self { run, sources: sources.into_iter().step_by(run).collect(), constant }
    }
}

impl<T: Real> Layer<T> for Rearranged<T> {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        for (out, source) in out.chunks_exact_mut(self.run).zip(&self.sources) {
            match *source {
                Some(at) => out.copy_from_slice(&point.input(0)[at..][..self.run]),
                None => out.fill(self.constant),
            }
        }
    }

    /// An element that went to several places gets the sum of their gradients.
    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let target = target.sums();
        for (gradient, source) in back.gradient.chunks_exact(self.run).zip(&self.sources) {
            let Some(at) = *source else { continue };
            target[at..][..self.run].iter_mut().zip(gradient).for_each(|(t, g)| *t += *g);
        }
    }
}
