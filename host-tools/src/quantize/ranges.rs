//! Ranges of real numbers to quantize, from histograms: what to keep, and what to cut off.

use super::observe::Histogram;

/// Steps between the 256 numbers of an int8 tensor.
const STEPS: f64 = 255.0;

/// How often both ends of a range are sought in turn.
const ROUNDS: usize = 3;

/// How a range is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// From the least to the greatest number that occurred.
    MinMax,
    /// Without the outermost numbers at each end: so many percent of them stay.
    Percentile(f64),
    /// The least squared error: rounding within the range weighed against cutting off beyond it.
    #[default]
    Mse,
    /// The least loss of information, as Kullback-Leibler divergence (Migacz, "8-bit Inference with TensorRT", 2017).
    Entropy,
}

impl Method {
    /// The range for values that share one quantization, with 0 in it. Each value counts by itself, however many
    /// elements it has.
    pub fn range(self, seen: &[&Histogram]) -> (f64, f64) {
        let min = seen.iter().map(|h| f64::from(h.min)).fold(0.0, f64::min);
        let max = seen.iter().map(|h| f64::from(h.max)).fold(0.0, f64::max);
        // Each end by itself: a few outliers on one side must not cost the other side its numbers.
        let best = |loss: &dyn Fn(f64, f64) -> f64| {
            let shares = || (5..=100).rev().map(|percent| f64::from(percent) / 100.0);
            let least = |ends: &mut dyn Iterator<Item = (f64, f64)>| {
                let losses = ends.map(|range| (loss(range.0, range.1), range));
                losses.min_by(|a, b| a.0.total_cmp(&b.0)).map_or((min, max), |(_, range)| range)
            };
            let mut range = (min, max);
            for _ in 0..ROUNDS {
                range = least(&mut shares().map(|share| (range.0, max * share)));
                range = least(&mut shares().map(|share| (min * share, range.1)));
            }
            range
        };
        match self {
            Method::MinMax => (min, max),
            Method::Percentile(percent) => {
                let outside = (1.0 - percent / 100.0).clamp(0.0, 1.0);
                let ends = seen.iter().map(|h| quantiles(h, outside));
                let (low, high) = ends.fold((0.0, 0.0), |(low, high): (f64, f64), (l, h)| (low.min(l), high.max(h)));
                (low.max(min), high.min(max))
            }
            Method::Mse => best(&|min, max| seen.iter().map(|h| squared_error(h, min, max)).sum()),
            Method::Entropy => best(&|min, max| seen.iter().map(|h| divergence(h, min, max)).sum()),
        }
    }
}

/// The numbers below and above which lie at most `outside` of all, 0 to 1.
fn quantiles(histogram: &Histogram, outside: f64) -> (f64, f64) {
    let allowed = outside * histogram.count() as f64;
    let bins: Vec<(f64, u64)> = histogram.bins().collect();
    let end = |bins: &mut dyn Iterator<Item = &(f64, u64)>| {
        let mut passed = 0.0;
        for (center, count) in bins {
            passed += *count as f64;
            if passed > allowed {
                return *center;
            }
        }
        0.0
    };
    let half = histogram.bin_width() / 2.0;
    (end(&mut bins.iter()) - half, end(&mut bins.iter().rev()) + half)
}

/// Mean squared error of numbers that are quantized in `min..=max`.
fn squared_error(histogram: &Histogram, min: f64, max: f64) -> f64 {
    let step = (max - min) / STEPS;
    let squared = |x: f64| {
        if x < min {
            (min - x).powi(2)
        } else if x > max {
            (x - max).powi(2)
        } else if x == 0.0 {
            0.0
        } else {
            step * step / 12.0
        }
    };
    histogram.bins().map(|(x, n)| squared(x) * n as f64).sum::<f64>() / histogram.count().max(1) as f64
}

/// Kullback-Leibler divergence of the numbers, cut off at `min..=max`, from what 256 levels say of them.
fn divergence(histogram: &Histogram, min: f64, max: f64) -> f64 {
    let step = (max - min) / STEPS;
    if step <= 0.0 {
        return 0.0;
    }
    // Exact zeros are exact in every range; of a map after ReLU they would hide all else.
    let bins = || histogram.bins().filter(|(x, _)| x.abs() > histogram.bin_width());
    let level = |x: f64| ((x.clamp(min, max) - min) / step).round() as usize;
    let mut levels = [(0.0, 0.0); STEPS as usize + 1];
    let total: f64 = bins().map(|(_, n)| n as f64).sum();
    for (x, n) in bins().filter(|(x, _)| (min..=max).contains(x)) {
        let (sum, count) = &mut levels[level(x)];
        *sum += n as f64;
        *count += 1.0;
    }
    // What is cut off belongs to the outermost bin in the original, and is missing from the quantized distribution.
    let inside: f64 = levels.iter().map(|(sum, _)| sum).sum();
    if inside == 0.0 {
        return f64::INFINITY;
    }
    let mut cut = [0.0, 0.0];
    for (x, n) in bins() {
        cut[0] += if x < min { n as f64 } else { 0.0 };
        cut[1] += if x > max { n as f64 } else { 0.0 };
    }
    let within: Vec<(f64, u64)> = bins().filter(|(x, _)| (min..=max).contains(x)).collect();
    let last = within.len() - 1;
    let terms = within.iter().enumerate().map(|(at, (x, n))| {
        let tails = if at == 0 { cut[0] } else { 0.0 } + if at == last { cut[1] } else { 0.0 };
        let p = (*n as f64 + tails) / total;
        let (sum, count) = levels[level(*x)];
        p * (p / (sum / count / inside)).ln()
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bell-shaped numbers, and `outliers` far away.
    fn bell(outliers: usize) -> Histogram {
        let mut histogram = Histogram::default();
        let uniform = |i: usize| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let numbers: Vec<f32> = (0..60_000).map(|i| (0..6).map(|k| uniform(6 * i + k)).sum()).collect();
        histogram.add(&numbers);
        histogram.add(&vec![40.0; outliers]);
        histogram
    }

    #[test]
    fn outliers_are_cut_off_by_all_but_the_extremes() {
        let histogram = bell(2);
        let high = |method: Method| method.range(&[&histogram]).1;
        assert_eq!(high(Method::MinMax), 40.0);
        // Two outliers of 40 cost more squares than coarse steps for 60,000 numbers, but the end moves in.
        assert!(high(Method::Mse) < 40.0);
        for method in [Method::Percentile(99.9), Method::Entropy] {
            assert!(high(method) < 20.0 && high(method) > 0.5, "{method:?}: {}", high(method));
        }
    }

    #[test]
    fn nothing_is_cut_off_without_outliers() {
        let mut flat = Histogram::default();
        flat.add(&(0..50_000).map(|i| i as f32 / 1000.0 - 20.0).collect::<Vec<_>>());
        for method in [Method::Percentile(100.0), Method::Mse, Method::Entropy] {
            let (low, high) = method.range(&[&flat]);
            assert!(low < -19.5 && high > 29.2, "{method:?}: {low} to {high}");
        }
    }

    #[test]
    fn the_least_squares_are_found_by_brute_force_too() {
        let histogram = bell(30);
        let (low, high) = Method::Mse.range(&[&histogram]);
        let error = |min: f64, max: f64| {
            let scale = (max - min) / 255.0;
            let of = |x: f64| ((((x - min) / scale).round().clamp(0.0, 255.0) * scale + min) - x).powi(2);
            histogram.bins().map(|(x, n)| of(x) * n as f64).sum::<f64>()
        };
        let (min, max) = (f64::from(histogram.min), f64::from(histogram.max));
        let shares = || (5..=100).map(|percent| f64::from(percent) / 100.0);
        let least = shares().flat_map(|a| shares().map(move |b| (a, b)));
        let least = least.map(|(a, b)| error(min * a, max * b)).fold(f64::MAX, f64::min);
        assert!(error(low, high) < 1.1 * least, "{} against {least}", error(low, high));
    }

    #[test]
    fn all_zeros_give_an_empty_range() {
        let mut zeros = Histogram::default();
        zeros.add(&[0.0; 100]);
        for method in [Method::MinMax, Method::Percentile(99.9), Method::Mse, Method::Entropy] {
            assert_eq!(method.range(&[&zeros]), (0.0, 0.0), "{method:?}");
        }
    }
}
