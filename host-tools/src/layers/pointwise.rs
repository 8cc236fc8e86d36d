//! Elementwise layers over one image.

use super::real::Real;
use super::simd::{kernel, widest};
use super::{Back, Layer, Point, Scratch, Target, store};

/// `max(x, 0)`, cut at a limit if there is one.
#[derive(Debug)]
pub struct Relu<T> {
    /// 6 for ReLU6.
    pub limit: Option<T>,
}

impl<T: Real> Layer<T> for Relu<T> {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        relu(point.input(0), self.limit.unwrap_or(T::infinity()), out);
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let limit = self.limit.unwrap_or(T::infinity());
        relu_gradient(back.value, back.gradient, limit, target.values, target.accumulate);
    }
}

/// Turns the gradient of a ReLU's output into its input's.
pub fn mask<T: Real>(value: &[T], limit: Option<T>, gradient: &mut [T]) {
    mask_all(value, limit.unwrap_or(T::infinity()), gradient);
}

/// The bounds of a ReLU, written so that a NaN comes through, and the trainer sees it.
#[inline(always)]
pub fn clip<T: Real>(x: T, limit: T) -> T {
    let x = if x < T::zero() { T::zero() } else { x };
    if x > limit { limit } else { x }
}

/// The gradient that a ReLU of this value hands on.
#[inline(always)]
pub fn masked<T: Real>(gradient: T, value: T, limit: T) -> T {
    // A factor, not a choice between gradients: that becomes conditional stores, which are slow.
    let above = if value > T::zero() { T::one() } else { T::zero() };
    let below = if value < limit { above } else { T::zero() };
    gradient * below
}

kernel! {
    fn relu<T>(input: &[T], limit: T, out: &mut [T]) {
        out.iter_mut().zip(input).for_each(|(out, x)| *out = clip(*x, limit));
    }
}

kernel! {
    fn relu_gradient<T>(value: &[T], gradient: &[T], limit: T, target: &mut [T], accumulate: bool) {
        for ((target, value), g) in target.iter_mut().zip(value).zip(gradient) {
            store(target, masked(*g, *value, limit), accumulate);
        }
    }
}

kernel! {
    fn mask_all<T>(value: &[T], limit: T, gradient: &mut [T]) {
        for (g, value) in gradient.iter_mut().zip(value) {
            *g = masked(*g, *value, limit);
        }
    }
}

/// Elementwise sum.
#[derive(Debug)]
pub struct Add;

impl<T: Real> Layer<T> for Add {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        add(point.input(0), point.input(1), out);
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        hand_on(back.gradient, target.values, target.accumulate);
    }
}

kernel! {
    fn add<T>(left: &[T], right: &[T], out: &mut [T]) {
        for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
            *out = *left + *right;
        }
    }
}

kernel! {
    /// Stores or adds a gradient as it is.
    pub fn hand_on<T>(gradient: &[T], target: &mut [T], accumulate: bool) {
        target.iter_mut().zip(gradient).for_each(|(t, g)| store(t, *g, accumulate));
    }
}

/// Softmax along channels.
#[derive(Debug)]
pub struct Softmax<T> {
    /// Channels.
    pub channels: usize,
    /// What inputs are multiplied with.
    pub beta: T,
}

impl<T: Real> Layer<T> for Softmax<T> {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            let pixels = out.chunks_exact_mut(self.channels).zip(point.input(0).chunks_exact(self.channels));
            for (out, x) in pixels {
                let top = x.iter().fold(T::neg_infinity(), |top, x| top.max(*x));
                out.iter_mut().zip(x).for_each(|(out, x)| *out = ((*x - top) * self.beta).exp());
                let sum: T = out.iter().copied().sum();
                out.iter_mut().for_each(|out| *out /= sum);
            }
        });
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        widest(|| {
            let c = self.channels;
            let pixels = back.value.chunks_exact(c).zip(back.gradient.chunks_exact(c));
            for (pixel, (value, gradient)) in target.values.chunks_exact_mut(c).zip(pixels) {
                let mean: T = value.iter().zip(gradient).map(|(y, g)| *y * *g).sum();
                for ((t, y), g) in pixel.iter_mut().zip(value).zip(gradient) {
                    store(t, *y * (*g - mean) * self.beta, target.accumulate);
                }
            }
        });
    }
}

/// Every pixel over the length of the vector of its channels.
#[derive(Debug)]
pub struct L2Norm {
    /// Channels.
    pub channels: usize,
}

/// The reciprocal of a vector's length, 0 of zeros.
fn inverse_length<T: Real>(x: &[T]) -> T {
    let squares: T = x.iter().map(|x| *x * *x).sum();
    if squares > T::zero() { T::one() / squares.sqrt() } else { T::zero() }
}

impl<T: Real> Layer<T> for L2Norm {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        let pixels = point.input(0).chunks_exact(self.channels);
        for (out, x) in out.chunks_exact_mut(self.channels).zip(pixels) {
            let factor = inverse_length(x);
            out.iter_mut().zip(x).for_each(|(out, x)| *out = *x * factor);
        }
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let c = self.channels;
        let values = back.value.chunks_exact(c).zip(back.gradient.chunks_exact(c));
        let pixels = back.input(0).chunks_exact(c).zip(values);
        for (pixel, (x, (value, gradient))) in target.values.chunks_exact_mut(c).zip(pixels) {
            let factor = inverse_length(x);
            // What changes the length alone changes nothing.
            let along: T = value.iter().zip(gradient).map(|(y, g)| *y * *g).sum();
            for ((t, y), g) in pixel.iter_mut().zip(value).zip(gradient) {
                store(t, (*g - *y * along) * factor, target.accumulate);
            }
        }
    }
}
