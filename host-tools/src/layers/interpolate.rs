//! Resizing by linear interpolation over one image.

use kinglet::window::Between;
use kinglet::{Shape, ops};

use super::real::Real;
use super::simd::widest;
use super::{Back, Layer, Point, Scratch, Target};

/// The four pixels that one of the output is a mean of: where they begin in the input, and their weights.
pub(crate) type Corners = [(usize, f32); 4];

/// Those of each pixel of the output.
pub(crate) fn corners(resize: &ops::ResizeBilinear, input: Shape) -> Vec<Corners> {
    // The positions around each of an axis of the output.
    let around = |axis: usize, extent: u32| {
        (0..resize.size[axis]).map(move |at| {
            let (first, fraction) = resize.between(axis).source(at, extent);
            let weight = fraction as f32 / (1 << Between::BITS) as f32;
            [(first, 1.0 - weight), (first + u32::from(fraction > 0), weight)]
        })
    };
    let columns: Vec<_> = around(1, input.w).collect();
    let pixel = |row: [(u32, f32); 2], column: [(u32, f32); 2]| {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| {
            let ((y, down), (x, right)) = (row[i], column[j]);
            (((y * input.w + x) * input.c) as usize, down * right)
        })
    };
    around(0, input.h).flat_map(|row| columns.iter().map(move |&column| pixel(row, column))).collect()
}

/// Another height and width.
#[derive(Debug)]
pub struct Interpolation<T> {
    channels: usize,
    corners: Vec<[(usize, T); 4]>,
}

impl<T: Real> Interpolation<T> {
    /// From a map of shape `input`.
    pub fn new(resize: &ops::ResizeBilinear, input: Shape) -> Self {
        let of = |(at, weight): (usize, f32)| (at, T::of(weight.into()));
        let corners = corners(resize, input).into_iter().map(|corners| corners.map(of)).collect();
        Self { channels: input.c as usize, corners }
    }
}

impl<T: Real> Layer<T> for Interpolation<T> {
    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            for (out, corners) in out.chunks_exact_mut(self.channels).zip(&self.corners) {
                out.fill(T::zero());
                for &(at, weight) in corners {
                    out.iter_mut().zip(&point.input(0)[at..]).for_each(|(out, x)| *out += *x * weight);
                }
            }
        });
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        widest(|| {
            let target = target.sums();
            for (gradient, corners) in back.gradient.chunks_exact(self.channels).zip(&self.corners) {
                for &(at, weight) in corners {
                    target[at..].iter_mut().zip(gradient).for_each(|(t, g)| *t += *g * weight);
                }
            }
        });
    }
}
