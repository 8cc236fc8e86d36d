//! Depthwise convolution over one image: output channel `c * multiplier + m` reads input channel `c`.

use kinglet::{Shape, Window};

use super::real::Real;
use super::simd::widest;
use super::{Back, Layer, Point, Scratch, Target};

/// A depthwise convolution of one shape.
#[derive(Debug)]
pub struct Depthwise<T> {
    window: Window,
    input: Shape,
    output: Shape,
    multiplier: usize,
    /// `[kh, kw, out]`.
    weight: Vec<T>,
    bias: Option<Vec<T>>,
}

impl<T: Real> Depthwise<T> {
    /// A layer from `input` to `output`.
    pub fn new(window: Window, input: Shape, output: Shape, bias: bool) -> Self {
        let bias = bias.then(|| vec![T::zero(); output.c as usize]);
        Self { window, input, output, multiplier: (output.c / input.c) as usize, weight: Vec::new(), bias }
    }

    /// Calls `visit` with the offsets of output pixel, input pixel and tap, for every tap inside the input.
    fn taps(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (cin, cout) = (self.input.c as usize, self.output.c as usize);
        for oy in 0..self.output.h {
            let rows = self.window.taps(0, oy, self.input.h);
            for ox in 0..self.output.w {
                let columns = self.window.taps(1, ox, self.input.w);
                let out = (oy * self.output.w + ox) as usize * cout;
                for y in 0..rows.len {
                    for x in 0..columns.len {
                        let pixel = (rows.start + y) * self.input.w + columns.start + x;
                        let tap = (rows.tap + y) * self.window.kernel[1] + columns.tap + x;
                        visit(out, pixel as usize * cin, tap as usize * cout);
                    }
                }
            }
        }
    }
}

impl<T: Real> Layer<T> for Depthwise<T> {
    fn prepare(&mut self, weights: &[Vec<T>], _backward: bool) {
        self.weight.clone_from(&weights[0]);
        if let Some(bias) = &mut self.bias {
            bias.clone_from(&weights[1]);
        }
    }

    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            let (input, c) = (point.input(0), self.output.c as usize);
            match &self.bias {
                Some(bias) => out.chunks_exact_mut(c).for_each(|out| out.copy_from_slice(bias)),
                None => out.fill(T::zero()),
            }
            self.taps(|at, pixel, tap| {
                let outs = out[at..][..c].chunks_exact_mut(self.multiplier);
                let weights = self.weight[tap..][..c].chunks_exact(self.multiplier);
                for ((outs, weights), x) in outs.zip(weights).zip(&input[pixel..]) {
                    outs.iter_mut().zip(weights).for_each(|(out, w)| *out += *x * *w);
                }
            });
        });
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        widest(|| {
            let c = self.output.c as usize;
            let target = target.sums();
            self.taps(|at, pixel, tap| {
                let gradients = back.gradient[at..][..c].chunks_exact(self.multiplier);
                let weights = self.weight[tap..][..c].chunks_exact(self.multiplier);
                for ((gradients, weights), t) in gradients.zip(weights).zip(&mut target[pixel..]) {
                    *t += gradients.iter().zip(weights).map(|(g, w)| *g * *w).sum();
                }
            });
        });
    }

    fn gradient_lens(&self) -> Vec<usize> {
        let c = self.output.c as usize;
        let weight = self.window.taps_len() as usize * c;
        if self.bias.is_some() { vec![weight, c] } else { vec![weight] }
    }

    fn weight_gradient(&self, back: &Back<'_, T>, sums: &mut [Vec<T>], _scratch: &mut Scratch<T>) {
        widest(|| {
            let (input, c) = (back.input(0), self.output.c as usize);
            self.taps(|at, pixel, tap| {
                let gradients = back.gradient[at..][..c].chunks_exact(self.multiplier);
                let sums = sums[0][tap..][..c].chunks_exact_mut(self.multiplier);
                for ((gradients, sums), x) in gradients.zip(sums).zip(&input[pixel..]) {
                    sums.iter_mut().zip(gradients).for_each(|(sum, g)| *sum += *x * *g);
                }
            });
            if self.bias.is_some() {
                for gradient in back.gradient.chunks_exact(c) {
                    sums[1].iter_mut().zip(gradient).for_each(|(sum, g)| *sum += *g);
                }
            }
        });
    }
}
