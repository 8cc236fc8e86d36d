//! Elementwise layers over one image.

use super::real::Real;
use super::{Layer, Output, Point, Scratch, store};
use crate::simd::widest;

/// `max(x, 0)`, cut at a limit if there is one.
#[derive(Debug)]
pub struct Relu<T> {
    /// 6 for ReLU6.
    pub limit: Option<T>,
}

impl<T: Real> Layer<T> for Relu<T> {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            for (out, x) in out.iter_mut().zip(point.input(0)) {
                // Written so that a NaN comes through, and the trainer sees it.
                let x = if *x < T::zero() { T::zero() } else { *x };
                *out = match self.limit {
                    Some(limit) if x > limit => limit,
                    _ => x,
                };
            }
        });
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
            let limit = self.limit.unwrap_or(T::infinity());
            for ((target, value), g) in target.iter_mut().zip(output.value).zip(output.gradient) {
                let passes = *value > T::zero() && *value < limit;
                store(target, if passes { *g } else { T::zero() }, accumulate);
            }
        });
    }
}

/// Elementwise sum.
#[derive(Debug)]
pub struct Add;

impl<T: Real> Layer<T> for Add {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            for ((out, left), right) in out.iter_mut().zip(point.input(0)).zip(point.input(1)) {
                *out = *left + *right;
            }
        });
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
            target.iter_mut().zip(output.gradient).for_each(|(t, g)| store(t, *g, accumulate));
        });
    }
}

/// Softmax along channels.
#[derive(Debug)]
pub struct Softmax {
    /// Channels.
    pub channels: usize,
}

impl<T: Real> Layer<T> for Softmax {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            let pixels = out.chunks_exact_mut(self.channels).zip(point.input(0).chunks_exact(self.channels));
            for (out, x) in pixels {
                let top = x.iter().fold(T::neg_infinity(), |top, x| top.max(*x));
                out.iter_mut().zip(x).for_each(|(out, x)| *out = (*x - top).exp());
                let sum: T = out.iter().copied().sum();
                out.iter_mut().for_each(|out| *out /= sum);
            }
        });
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
            let c = self.channels;
            let pixels = output.value.chunks_exact(c).zip(output.gradient.chunks_exact(c));
            for (target, (value, gradient)) in target.chunks_exact_mut(c).zip(pixels) {
                let mean: T = value.iter().zip(gradient).map(|(y, g)| *y * *g).sum();
                for ((target, y), g) in target.iter_mut().zip(value).zip(gradient) {
                    store(target, *y * (*g - mean), accumulate);
                }
            }
        });
    }
}
