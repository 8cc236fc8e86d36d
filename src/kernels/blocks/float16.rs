//! Products of half precision, four pixels at a time, summed in single precision.

use crate::kernels::float16::{Bounds, f16, widen};
use crate::sys::shapes::proven;
pub use crate::sys::shapes::{LANES, Pixels, Spread};

/// The channels of a layer in half precision.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'m> {
    /// `[channel][k]`.
    pub weights: &'m [f16],
    /// One for each channel, little-endian.
    pub biases: &'m [[u8; 4]],
    /// Weights of a channel.
    pub k: usize,
    /// The range of the output.
    pub bounds: Bounds,
}

impl<'m> Layer<'m> {
    /// The bias of a channel.
    #[inline]
    pub fn bias(&self, channel: usize) -> f32 {
        self.biases.get(channel).map_or(0.0, |&bytes| f32::from_le_bytes(bytes))
    }

    /// The weights of a channel.
    #[inline]
    pub fn row(&self, channel: usize) -> &'m [f16] {
        let rest = self.weights.get(channel.wrapping_mul(self.k)..).unwrap_or_default();
        rest.get(..self.k).unwrap_or_default()
    }
}

/// Widens elements into the first lanes of `x`.
pub fn spread(from: &[f16], spread: &Spread, x: &mut [f32]) {
    if proven(spread.fits(from.len(), x.len())) {
        for lane in 0..spread.count {
            let from = from.iter().skip(lane.wrapping_mul(spread.step)).take(spread.len);
            x.iter_mut().skip(lane).step_by(LANES).zip(from).for_each(|(to, &from)| *to = widen(from));
        }
    }
}

/// All channels of the pixels in the lanes of `x`: each bias and then the products, one element after the other, each operation
/// rounded by itself; the sum rounded to a half within the bounds.
pub fn gemm(x: &[f32], layer: &Layer<'_>, out: &mut [f16], pixels: Pixels) {
    let (x, _) = x.as_chunks::<LANES>();
    for channel in 0..pixels.channels {
        let mut sums = [layer.bias(channel); LANES];
        for (x, &w) in x.iter().zip(layer.row(channel)) {
            let w = widen(w);
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * w);
        }
        for (pixel, sum) in sums.into_iter().enumerate().take(pixels.count) {
            if let Some(out) = out.get_mut(pixel.wrapping_mul(pixels.pitch).wrapping_add(channel)) {
                *out = layer.bounds.half(sum);
            }
        }
    }
}

/// Each element of `left` and that of `right` added in single precision, and rounded to a half within the bounds.
pub fn add(left: &mut [f16], right: &[f16], bounds: &Bounds) {
    left.iter_mut().zip(right).for_each(|(left, &right)| *left = bounds.half(widen(*left) + widen(right)));
}

/// The products of a patch with four channels' weights, added to `sums` one element after the other; each product and each
/// sum is rounded to single precision.
#[inline]
pub fn dot_1x4(patch: &[f16], [w0, w1, w2, w3]: [&[f16]; 4], sums: &mut [f32; 4]) {
    let [mut s0, mut s1, mut s2, mut s3] = *sums;
    for ((((&x, &w0), &w1), &w2), &w3) in patch.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        let x = widen(x);
        s0 += x * widen(w0);
        s1 += x * widen(w1);
        s2 += x * widen(w2);
        s3 += x * widen(w3);
    }
    *sums = [s0, s1, s2, s3];
}
