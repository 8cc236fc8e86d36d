//! Batch normalization: sums over one image, and what they say about the batch.

use super::real::Real;
use super::store;
use crate::simd::widest;

/// Momentum of the running statistics: the weight of a new batch.
pub const MOMENTUM: f64 = 0.1;

/// Batch normalization of one node.
#[derive(Debug)]
pub struct BatchNorm<T> {
    epsilon: f64,
    /// Elements per channel of one image.
    pixels: usize,
    /// `out = x * scale + shift`.
    scale: Vec<T>,
    shift: Vec<T>,
    mean: Vec<f64>,
    /// 1 / standard deviation.
    inverse: Vec<f64>,
    /// `dx = by_gradient * g + by_input * x + constant`.
    by_gradient: Vec<T>,
    by_input: Vec<T>,
    constant: Vec<T>,
}

impl<T: Real> BatchNorm<T> {
    /// For maps of `pixels` x `channels`.
    pub fn new(channels: usize, pixels: usize, epsilon: f32) -> Self {
        let zeros = || vec![T::zero(); channels];
        Self {
            epsilon: f64::from(epsilon),
            pixels,
            scale: zeros(),
            shift: zeros(),
            mean: vec![0.0; channels],
            inverse: vec![0.0; channels],
            by_gradient: zeros(),
            by_input: zeros(),
            constant: zeros(),
        }
    }

    fn channels(&self) -> usize {
        self.scale.len()
    }

    /// Adds one image's sums of `a[i]` and `a[i] * b[i]` per channel to `sums` (first all of the former).
    pub fn add_sums(&self, a: &[T], b: &[T], sums: &mut [f64], scratch: &mut Vec<T>) {
        widest(|| {
            let c = self.channels();
            scratch.clear();
            scratch.resize(2 * c, T::zero());
            let (plain, product) = scratch.split_at_mut(c);
            for (a, b) in a.chunks_exact(c).zip(b.chunks_exact(c)) {
                for (((plain, product), a), b) in plain.iter_mut().zip(&mut *product).zip(a).zip(b) {
                    *plain += *a;
                    *product += *a * *b;
                }
            }
            sums.iter_mut().zip(scratch).for_each(|(sum, part)| *sum += part.wide());
        });
    }

    /// Scale and shift from the batch's sums of x and x * x; moves the running statistics.
    /// `weights` are gamma, beta, running mean, running variance.
    pub fn use_batch(&mut self, sums: &[f64], images: usize, weights: &mut [Vec<T>]) {
        let (c, count) = (self.channels(), (images * self.pixels) as f64);
        for i in 0..c {
            let mean = sums[i] / count;
            let variance = (sums[c + i] / count - mean * mean).max(0.0);
            self.set(i, mean, variance, weights);
            for (which, new) in [(2, mean), (3, variance)] {
                let old = weights[which][i].wide();
                weights[which][i] = T::of(old + MOMENTUM * (new - old));
            }
        }
    }

    /// Scale and shift from the running statistics.
    pub fn use_running(&mut self, weights: &[Vec<T>]) {
        for i in 0..self.channels() {
            self.set(i, weights[2][i].wide(), weights[3][i].wide(), weights);
        }
    }

    fn set(&mut self, i: usize, mean: f64, variance: f64, weights: &[Vec<T>]) {
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        let scale = weights[0][i].wide() * inverse;
        self.mean[i] = mean;
        self.inverse[i] = inverse;
        self.scale[i] = T::of(scale);
        self.shift[i] = T::of(weights[1][i].wide() - mean * scale);
    }

    /// Normalizes one image.
    pub fn forward(&self, input: &[T], out: &mut [T]) {
        widest(|| {
            let c = self.channels();
            for (out, x) in out.chunks_exact_mut(c).zip(input.chunks_exact(c)) {
                for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(&self.scale).zip(&self.shift) {
                    *out = *x * *scale + *shift;
                }
            }
        });
    }

    /// The gradients of gamma and beta from the batch's sums of g and g * x; prepares [`BatchNorm::backward`].
    pub fn gradients(&mut self, sums: &[f64], images: usize, weights: &[Vec<T>], gradients: &mut [Vec<T>]) {
        let (c, count) = (self.channels(), (images * self.pixels) as f64);
        for i in 0..c {
            let beta = sums[i];
            let gamma = (sums[c + i] - self.mean[i] * beta) * self.inverse[i];
            let scale = weights[0][i].wide() * self.inverse[i];
            let by_input = -scale * self.inverse[i] * gamma / count;
            self.by_gradient[i] = T::of(scale);
            self.by_input[i] = T::of(by_input);
            self.constant[i] = T::of(-scale * beta / count - by_input * self.mean[i]);
            gradients[0][i] = T::of(gamma);
            gradients[1][i] = T::of(beta);
        }
    }

    /// The gradient of one image's input.
    pub fn backward(&self, input: &[T], gradient: &[T], target: &mut [T], accumulate: bool) {
        widest(|| {
            let c = self.channels();
            let pixels = input.chunks_exact(c).zip(gradient.chunks_exact(c));
            for (target, (x, g)) in target.chunks_exact_mut(c).zip(pixels) {
                let factors = self.by_gradient.iter().zip(&self.by_input).zip(&self.constant);
                for (((target, x), g), ((by_gradient, by_input), constant)) in
                    target.iter_mut().zip(x).zip(g).zip(factors)
                {
                    store(target, *g * *by_gradient + (*x * *by_input + *constant), accumulate);
                }
            }
        });
    }
}
