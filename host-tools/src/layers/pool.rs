//! Pooling over one image.

use kinglet::{Shape, Window};

use super::lanes::{by_lanes, each, lanes, lanes_mut};
use super::real::Real;
use super::simd::{kernel, widest};
use super::{Back, Layer, Point, Scratch, Target, store};

/// The pixels under each output pixel.
#[derive(Debug)]
struct Windows {
    channels: usize,
    /// For every output pixel, the offsets of the input pixels under it.
    pixels: Vec<Vec<usize>>,
}

impl Windows {
    fn new(window: Window, input: Shape, output: Shape) -> Self {
        let mut pixels = Vec::new();
        for oy in 0..output.h {
            let rows = window.taps(0, oy, input.h);
            for ox in 0..output.w {
                let columns = window.taps(1, ox, input.w);
                let pixel = |y: u32, x: u32| ((y * input.w + x) * input.c) as usize;
                let under = (rows.start..rows.start + rows.len)
                    .flat_map(|y| (columns.start..columns.start + columns.len).map(move |x| pixel(y, x)));
                pixels.push(under.collect());
            }
        }
        Self { channels: input.c as usize, pixels }
    }
}

/// Maximum over a window. The gradient goes to the first maximum.
#[derive(Debug)]
pub struct MaxPool {
    windows: Windows,
}

impl MaxPool {
    /// A pool from `input` to `output`.
    pub fn new(window: Window, input: Shape, output: Shape) -> Self {
        Self { windows: Windows::new(window, input, output) }
    }
}

impl<T: Real> Layer<T> for MaxPool {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        max_pool(point.input(0), &self.windows.pixels, self.windows.channels, out);
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        let target = target.sums();
        let Windows { pixels, channels } = &self.windows;
        max_pool_gradient(back.input(0), pixels, *channels, back.value, back.gradient, target);
    }
}

kernel! {
    fn max_pool<T>(input: &[T], windows: &[Vec<usize>], channels: usize, out: &mut [T]) {
        for (out, under) in out.chunks_exact_mut(channels).zip(windows) {
            by_lanes!(channels, first, LANES, {
                let mut top = [T::neg_infinity(); LANES];
                for &pixel in under {
                    let x: [T; LANES] = *lanes(input, pixel + first);
                    // Written so that a NaN comes through, and the trainer sees it.
                    top = each(|i| if x[i] < top[i] { top[i] } else { x[i] });
                }
                *lanes_mut(out, first) = top;
            });
        }
    }
}

kernel! {
    fn max_pool_gradient<T>(
        input: &[T],
        windows: &[Vec<usize>],
        channels: usize,
        value: &[T],
        gradient: &[T],
        target: &mut [T]
    ) {
        for ((value, gradient), under) in value.chunks_exact(channels).zip(gradient.chunks_exact(channels)).zip(windows) {
            by_lanes!(channels, first, LANES, {
                let value: [T; LANES] = *lanes(value, first);
                // What is left of each channel's gradient: all of it until its maximum is met.
                let mut left: [T; LANES] = *lanes(gradient, first);
                for &pixel in under {
                    let x: [T; LANES] = *lanes(input, pixel + first);
                    let target: &mut [T; LANES] = lanes_mut(target, pixel + first);
                    let share = each::<T, LANES>(|i| if x[i] == value[i] { left[i] } else { T::zero() });
                    *target = each(|i| target[i] + share[i]);
                    left = each(|i| left[i] - share[i]);
                }
            });
        }
    }
}

/// Mean over the part of a window that lies inside the input.
#[derive(Debug)]
pub struct AveragePool {
    windows: Windows,
}

impl AveragePool {
    /// A pool from `input` to `output`.
    pub fn new(window: Window, input: Shape, output: Shape) -> Self {
        Self { windows: Windows::new(window, input, output) }
    }
}

impl<T: Real> Layer<T> for AveragePool {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            let (input, c) = (point.input(0), self.windows.channels);
            for (out, under) in out.chunks_exact_mut(c).zip(&self.windows.pixels) {
                out.fill(T::zero());
                for &pixel in under {
                    out.iter_mut().zip(&input[pixel..]).for_each(|(out, x)| *out += *x);
                }
                let share = T::of(1.0 / under.len() as f64);
                out.iter_mut().for_each(|out| *out *= share);
            }
        });
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        widest(|| {
            let c = self.windows.channels;
            let target = target.sums();
            for (gradient, under) in back.gradient.chunks_exact(c).zip(&self.windows.pixels) {
                let share = T::of(1.0 / under.len() as f64);
                for &pixel in under {
                    target[pixel..].iter_mut().zip(gradient).for_each(|(t, g)| *t += *g * share);
                }
            }
        });
    }
}

/// Mean over the whole map.
#[derive(Debug)]
pub struct GlobalAverage {
    /// Channels.
    pub channels: usize,
}

impl<T: Real> Layer<T> for GlobalAverage {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            let input = point.input(0);
            out.fill(T::zero());
            for pixel in input.chunks_exact(self.channels) {
                out.iter_mut().zip(pixel).for_each(|(out, x)| *out += *x);
            }
            let share = T::of(self.channels as f64 / input.len() as f64);
            out.iter_mut().for_each(|out| *out *= share);
        });
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        widest(|| {
            let share = T::of(self.channels as f64 / target.values.len() as f64);
            for pixel in target.values.chunks_exact_mut(self.channels) {
                pixel.iter_mut().zip(back.gradient).for_each(|(t, g)| store(t, *g * share, target.accumulate));
            }
        });
    }
}
