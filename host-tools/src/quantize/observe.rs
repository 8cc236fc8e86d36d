//! What the values of a network look like over the calibration images: extremes and histograms, in one pass.

use ndarray::ArrayView4;
use rayon::prelude::*;

use super::QuantizeError;
use super::forward::NetRunner;
use crate::graph::{Graph, Real};

/// Bins of a histogram, half of them for negative numbers.
const BINS: usize = 4096;

/// Fewer images than this say nothing about others.
const LEAST_IMAGES: usize = 2;

/// How often which numbers occurred, in bins of equal width around zero. The width doubles whenever a number falls
/// outside, so that one pass over the data is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Width of a bin; 0 as long as only zeros were seen.
    width: f64,
    counts: Vec<u64>,
    /// The least number; at most 0.
    pub min: f32,
    /// The greatest number; at least 0.
    pub max: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { width: 0.0, counts: vec![0; BINS], min: 0.0, max: 0.0 }
    }
}

impl Histogram {
    /// Adds numbers, all of them finite.
    pub fn add(&mut self, numbers: &[f32]) {
        for &number in numbers {
            self.min = self.min.min(number);
            self.max = self.max.max(number);
        }
        let extent = f64::from(self.max.max(-self.min));
        if extent == 0.0 {
            self.counts[BINS / 2] += numbers.len() as u64;
            return;
        }
        if self.width == 0.0 {
            // Room for a few more of about the same size.
            self.width = extent * 1.25 / (BINS / 2) as f64;
        }
        while extent >= self.width * (BINS / 2) as f64 {
            self.widen();
        }
        let scale = 1.0 / self.width;
        for &number in numbers {
            let bin = (f64::from(number) * scale).floor() as i64 + (BINS / 2) as i64;
            self.counts[bin.clamp(0, BINS as i64 - 1) as usize] += 1;
        }
    }

    /// Joins bins in pairs.
    fn widen(&mut self) {
        let mut counts = vec![0; BINS];
        for (bin, &count) in self.counts.iter().enumerate() {
            counts[BINS / 4 + bin / 2] += count;
        }
        self.counts = counts;
        self.width *= 2.0;
    }

    /// The bins that are not empty: their centers and counts.
    pub fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let center = |bin: usize| (bin as f64 - (BINS / 2) as f64 + 0.5) * self.width;
        self.counts.iter().enumerate().filter(|&(_, &count)| count > 0).map(move |(bin, &count)| (center(bin), count))
    }

    /// Their width; 0 as long as only zeros were seen.
    pub fn bin_width(&self) -> f64 {
        self.width
    }

    /// How many numbers were added.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Histograms of every value, by the node's number.
#[derive(Clone, Debug)]
pub struct Observations {
    histograms: Vec<Histogram>,
    images: usize,
}

impl Observations {
    /// Nothing seen yet.
    pub fn new(network: &Graph<Real>) -> Self {
        Self { histograms: vec![Histogram::default(); network.nodes.len()], images: 0 }
    }

    /// Runs `network` over a batch of images, N x H x W x C real numbers, and takes note of all values.
    ///
    /// # Errors
    /// When the images have the wrong shape or are not finite, or when a value overflows.
    pub fn add(&mut self, network: &Graph<Real>, batch: ArrayView4<'_, f32>) -> Result<(), QuantizeError> {
        let (count, h, w, c) = batch.dim();
        let shape = network.image();
        if (h, w, c) != (shape.h as usize, shape.w as usize, shape.c as usize) {
            return Err(QuantizeError::Shape { found: [h, w, c], expected: [shape.h, shape.w, shape.c] });
        }
        let images: Vec<Vec<f32>> = batch.outer_iter().map(|image| image.iter().copied().collect()).collect();
        if let Some(at) = images.iter().position(|image| image.iter().any(|x| !x.is_finite())) {
            return Err(QuantizeError::NotFinite { image: self.images + at });
        }
        let runner = NetRunner::new(network);
        // A few images at a time: their values are kept until they are counted.
        for some in images.chunks(32) {
            let values: Vec<_> = some.par_iter().map(|image| runner.forward(image)).collect();
            self.histograms.par_iter_mut().enumerate().try_for_each(|(value, histogram)| {
                for values in &values {
                    if values[value].iter().any(|x| !x.is_finite()) {
                        return Err(QuantizeError::Overflow(network.nodes[value].name.clone()));
                    }
                    histogram.add(&values[value]);
                }
                Ok(())
            })?;
        }
        self.images += count;
        Ok(())
    }

    /// The histograms, when enough was seen.
    ///
    /// # Errors
    /// When there were too few images, or all of them were the same number everywhere.
    pub fn histograms(&self) -> Result<&[Histogram], QuantizeError> {
        if self.images < LEAST_IMAGES {
            return Err(QuantizeError::TooFew { images: self.images, least: LEAST_IMAGES });
        }
        Ok(&self.histograms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn histograms_keep_counts_and_places(batches in proptest::collection::vec(proptest::collection::vec(-1e3f32..1e3, 1..20), 1..6), tiny in -1e-3f32..1e-3) {
            let mut histogram = Histogram::default();
            histogram.add(&[0.0]);
            histogram.add(&[tiny]);
            let mut all = vec![0.0, tiny];
            for batch in &batches {
                histogram.add(batch);
                all.extend(batch);
            }
            prop_assert_eq!(histogram.count(), all.len() as u64);
            let binned: f64 = histogram.bins().map(|(center, count)| center * count as f64).sum();
            let exact: f64 = all.iter().map(|&x| f64::from(x)).sum();
            prop_assert!((binned - exact).abs() <= histogram.width * all.len() as f64);
            prop_assert_eq!(histogram.max, all.iter().copied().fold(0.0, f32::max));
        }
    }
}
