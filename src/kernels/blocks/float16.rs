//! Products of halves, four pixels at a time, in single precision.

use crate::kernels::float16::{Bounds, f16, widen};

/// Pixels that are computed at a time. Their inputs are *lanes*: element `i` of pixel `p` is `x[LANES * i + p]`.
pub const LANES: usize = 4;

/// What the channels of a layer of halves have.
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

/// Where up to four output pixels lie.
#[derive(Clone, Copy, Debug)]
pub struct Pixels {
    /// Elements of each.
    pub channels: usize,
    /// Elements from one to the next.
    pub pitch: usize,
    /// How many there are; the other lanes are not written.
    pub count: usize,
}

/// Widens `from` into a lane: the first of `x`.
pub fn spread(from: &[f16], x: &mut [f32]) {
    x.iter_mut().step_by(LANES).zip(from).for_each(|(to, &from)| *to = widen(from));
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
