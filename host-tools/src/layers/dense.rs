//! Fully connected layer over one image.

use super::real::Real;
use super::simd::widest;
use super::{Back, Layer, Point, Scratch, Target, store};

/// `out = weight * in + bias`.
#[derive(Debug)]
pub struct Dense<T> {
    inputs: usize,
    units: usize,
    /// `[units, inputs]`.
    weight: Vec<T>,
    bias: Option<Vec<T>>,
}

impl<T: Real> Dense<T> {
    /// A layer of `units` outputs.
    pub fn new(inputs: usize, units: usize, bias: bool) -> Self {
        Self { inputs, units, weight: Vec::new(), bias: bias.then(|| vec![T::zero(); units]) }
    }
}

impl<T: Real> Layer<T> for Dense<T> {
    fn prepare(&mut self, weights: &[Vec<T>], _backward: bool) {
        self.weight.clone_from(&weights[0]);
        if let Some(bias) = &mut self.bias {
            bias.clone_from(&weights[1]);
        }
    }

    fn forward(&self, point: &Point<'_, T>, out: &mut [T], _scratch: &mut Scratch<T>) {
        widest(|| {
            let input = point.input(0);
            for (out, weight) in out.iter_mut().zip(self.weight.chunks_exact(self.inputs)) {
                *out = input.iter().zip(weight).map(|(x, w)| *x * *w).sum();
            }
            if let Some(bias) = &self.bias {
                out.iter_mut().zip(bias).for_each(|(out, b)| *out += *b);
            }
        });
    }

    fn input_gradient(&self, _which: usize, back: &Back<'_, T>, target: Target<'_, T>, _scratch: &mut Scratch<T>) {
        widest(|| {
            let target = target.sums();
            for (g, weight) in back.gradient.iter().zip(self.weight.chunks_exact(self.inputs)) {
                target.iter_mut().zip(weight).for_each(|(t, w)| *t += *g * *w);
            }
        });
    }

    fn gradient_lens(&self) -> Vec<usize> {
        let weight = self.inputs * self.units;
        if self.bias.is_some() { vec![weight, self.units] } else { vec![weight] }
    }

    fn weight_gradient(&self, back: &Back<'_, T>, sums: &mut [Vec<T>], _scratch: &mut Scratch<T>) {
        widest(|| {
            let input = back.input(0);
            for (g, sum) in back.gradient.iter().zip(sums[0].chunks_exact_mut(self.inputs)) {
                sum.iter_mut().zip(input).for_each(|(sum, x)| *sum += *g * *x);
            }
            if let Some(bias) = sums.get_mut(1) {
                bias.iter_mut().zip(back.gradient).for_each(|(sum, g)| store(sum, *g, true));
            }
        });
    }
}
