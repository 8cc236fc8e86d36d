//! Batch normalization: sums over one image, and what they say about the batch.

use super::lanes::{by_lanes, each, lanes, lanes_mut};
use super::pointwise::{clip, masked};
use super::real::Real;
use super::simd::kernel;

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
    pub fn add_sums(&self, a: &[T], b: &[T], sums: &mut [f64]) {
        add_sums(a, b, sums);
    }

    /// Zeroes the gradient where the ReLU's value is at a bound, then adds its sums as [`BatchNorm::add_sums`] does.
    pub fn add_masked_sums(&self, gradient: &mut [T], (relu, limit): (&[T], Option<T>), input: &[T], sums: &mut [f64]) {
        add_masked_sums(gradient, relu, limit.unwrap_or(T::infinity()), input, sums);
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
        normalize(&self.scale, &self.shift, input, out);
    }

    /// Normalizes one image, adds the shortcut if there is one, and cuts at 0 and at the limit.
    pub fn forward_relu(&self, input: &[T], shortcut: Option<&[T]>, limit: Option<T>, out: &mut [T]) {
        let limit = limit.unwrap_or(T::infinity());
        match shortcut {
            None => normalize_relu(&self.scale, &self.shift, input, limit, out),
            Some(shortcut) => normalize_add_relu(&self.scale, &self.shift, input, shortcut, limit, out),
        }
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
        backward([&self.by_gradient, &self.by_input, &self.constant], input, gradient, target, accumulate);
    }
}

kernel! {
    fn add_sums<T>(a: &[T], b: &[T], sums: &mut [f64]) {
        let c = sums.len() / 2;
        by_lanes!(c, first, LANES, {
            let (mut plain, mut product) = ([T::zero(); LANES], [T::zero(); LANES]);
            for (a, b) in a.chunks_exact(c).zip(b.chunks_exact(c)) {
                let [a, b]: [[T; LANES]; 2] = [*lanes(a, first), *lanes(b, first)];
                plain = each(|i| plain[i] + a[i]);
                product = each(|i| product[i] + a[i] * b[i]);
            }
            for i in 0..LANES {
                sums[first + i] += plain[i].wide();
                sums[c + first + i] += product[i].wide();
            }
        });
    }
}

kernel! {
    fn add_masked_sums<T>(gradient: &mut [T], relu: &[T], limit: T, input: &[T], sums: &mut [f64]) {
        let c = sums.len() / 2;
        by_lanes!(c, first, LANES, {
            let (mut plain, mut product) = ([T::zero(); LANES], [T::zero(); LANES]);
            let pixels = gradient.chunks_exact_mut(c).zip(relu.chunks_exact(c)).zip(input.chunks_exact(c));
            for ((gradient, relu), input) in pixels {
                let [relu, input, g]: [[T; LANES]; 3] = [*lanes(relu, first), *lanes(input, first), *lanes(gradient, first)];
                let g = each::<T, LANES>(|i| masked(g[i], relu[i], limit));
                *lanes_mut(gradient, first) = g;
                plain = each(|i| plain[i] + g[i]);
                product = each(|i| product[i] + g[i] * input[i]);
            }
            for i in 0..LANES {
                sums[first + i] += plain[i].wide();
                sums[c + first + i] += product[i].wide();
            }
        });
    }
}

kernel! {
    fn normalize<T>(scale: &[T], shift: &[T], input: &[T], out: &mut [T]) {
        let c = scale.len();
        for (out, x) in out.chunks_exact_mut(c).zip(input.chunks_exact(c)) {
            by_lanes!(c, first, LANES, {
                let [x, scale, shift]: [[T; LANES]; 3] = [x, scale, shift].map(|of| *lanes(of, first));
                *lanes_mut(out, first) = each::<T, LANES>(|i| x[i] * scale[i] + shift[i]);
            });
        }
    }
}

kernel! {
    fn normalize_relu<T>(scale: &[T], shift: &[T], input: &[T], limit: T, out: &mut [T]) {
        let c = scale.len();
        for (out, x) in out.chunks_exact_mut(c).zip(input.chunks_exact(c)) {
            by_lanes!(c, first, LANES, {
                let [x, scale, shift]: [[T; LANES]; 3] = [x, scale, shift].map(|of| *lanes(of, first));
                *lanes_mut(out, first) = each::<T, LANES>(|i| clip(x[i] * scale[i] + shift[i], limit));
            });
        }
    }
}

kernel! {
    fn normalize_add_relu<T>(scale: &[T], shift: &[T], input: &[T], shortcut: &[T], limit: T, out: &mut [T]) {
        let c = scale.len();
        for ((out, x), more) in out.chunks_exact_mut(c).zip(input.chunks_exact(c)).zip(shortcut.chunks_exact(c)) {
            by_lanes!(c, first, LANES, {
                let [x, more, scale, shift]: [[T; LANES]; 4] = [x, more, scale, shift].map(|of| *lanes(of, first));
                *lanes_mut(out, first) = each::<T, LANES>(|i| clip(x[i] * scale[i] + shift[i] + more[i], limit));
            });
        }
    }
}

kernel! {
    fn backward<T>(factors: [&[T]; 3], input: &[T], gradient: &[T], target: &mut [T], accumulate: bool) {
        let c = factors[0].len();
        for ((target, x), g) in target.chunks_exact_mut(c).zip(input.chunks_exact(c)).zip(gradient.chunks_exact(c)) {
            by_lanes!(c, first, LANES, {
                let [by_gradient, by_input, constant]: [[T; LANES]; 3] = factors.map(|factor| *lanes(factor, first));
                let [x, g]: [[T; LANES]; 2] = [x, g].map(|of| *lanes(of, first));
                let target: &mut [T; LANES] = lanes_mut(target, first);
                let dx = each::<T, LANES>(|i| g[i] * by_gradient[i] + (x[i] * by_input[i] + constant[i]));
                *target = if accumulate { each(|i| target[i] + dx[i]) } else { dx };
            });
        }
    }
}
