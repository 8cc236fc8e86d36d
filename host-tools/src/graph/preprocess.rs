//! From u8 pixels to the real numbers that a network sees.

use serde::{Deserialize, Serialize};

/// `real = (pixel / 255 - mean[c]) / std[c]`, per channel.
///
/// An exported model carries it as one 256-entry table per channel, so that the device computes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Subtracted, per channel, in units of the whole pixel range (0 to 1).
    pub mean: Vec<f32>,
    /// Divided by, per channel; positive.
    pub std: Vec<f32>,
}

impl Preprocess {
    /// `pixel / 255` for `channels` channels.
    pub fn unit(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// Channels that it describes.
    pub fn channels(&self) -> usize {
        self.mean.len().min(self.std.len())
    }

    /// The real number of a pixel value in channel `c`.
    ///
    /// # Panics
    /// When `c` is no channel of it.
    pub fn real(&self, pixel: u8, c: usize) -> f32 {
        (f32::from(pixel) / 255.0 - self.mean[c]) / self.std[c]
    }

    /// All 256 real numbers of channel `c`.
    ///
    /// # Panics
    /// When `c` is no channel of it.
    pub fn table(&self, c: usize) -> [f32; 256] {
        std::array::from_fn(|pixel| self.real(pixel as u8, c))
    }

    /// Factor and offset of each channel's pixels, 0 to 255, which may lie between whole ones.
    pub fn lines(&self) -> Vec<(f32, f32)> {
        self.mean.iter().zip(&self.std).map(|(mean, std)| (1.0 / (255.0 * std), -mean / std)).collect()
    }

    /// Whether it has `channels` finite means and positive deviations.
    pub fn is_valid(&self, channels: usize) -> bool {
        self.mean.len() == channels
            && self.std.len() == channels
            && self.mean.iter().all(|mean| mean.is_finite())
            && self.std.iter().all(|std| std.is_finite() && *std > 0.0)
    }
}
