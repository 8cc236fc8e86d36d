//! Scales and zero points: from what was observed to the quantization of every value.
//!
//! Values that an operator only moves (pools, reshapes, concatenations, padding) share one quantization with their
//! source; so all inputs of a concatenation have one, and it is no work on the device.

use kinglet::ops::Softmax;
use kinglet::{DType, QuantParams};

use super::QuantizeError;
use super::fold::{Folded, FoldedOp, ValueId};
use super::observe::Histogram;

/// How ranges are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Calibration {
    /// From the least to the greatest number that occurred.
    MinMax,
    /// The range with the least squared error: rounding within it weighed against cutting off beyond it.
    #[default]
    Mse,
}

/// Quantization of every value.
///
/// # Errors
/// When values that need different quantizations are joined.
pub fn choose(
    network: &Folded,
    histograms: &[Histogram],
    calibration: Calibration,
) -> Result<Vec<QuantParams>, QuantizeError> {
    let groups = groups(network);
    let mut chosen: Vec<Option<QuantParams>> = vec![None; network.values()];
    for (value, histogram) in histograms.iter().enumerate() {
        if groups[value] != value {
            continue;
        }
        let members: Vec<ValueId> = (0..network.values()).filter(|&other| groups[other] == value).collect();
        let is_softmax = |&value: &ValueId| value > 0 && network.nodes[value - 1].op == FoldedOp::Softmax;
        if let Some(&softmax) = members.iter().find(|value| is_softmax(value)) {
            if let Some(&other) = members.iter().find(|value| !is_softmax(value)) {
                let name = |value| network.value_name(value).to_string();
                return Err(QuantizeError::Softmax { softmax: name(softmax), joined: name(other) });
            }
            chosen[value] = Some(Softmax::OUTPUT);
            continue;
        }
        let seen: Vec<&Histogram> = members.iter().map(|&member| &histograms[member]).collect();
        let min = seen.iter().map(|h| h.min).fold(histogram.min, f32::min);
        let max = seen.iter().map(|h| h.max).fold(histogram.max, f32::max);
        // The ends keep all that they can say: pixels of any image, and the order of any scores.
        let is_end = members.contains(&0) || members.contains(&network.nodes.len());
        let (min, max) = match calibration {
            Calibration::Mse if !is_end => least_squares(&seen, min.into(), max.into()),
            _ => (min.into(), max.into()),
        };
        chosen[value] = Some(affine(min, max));
    }
    Ok(groups.iter().map(|&group| chosen[group].expect("every group was chosen for")).collect())
}

/// The range of real numbers that the input can take: all that any pixel can become.
pub fn input_range(network: &Folded) -> (f32, f32) {
    let ends = (0..network.preprocess.channels()).flat_map(|c| [0, 255].map(|p| network.preprocess.real(p, c)));
    ends.fold((0.0, 0.0), |(min, max), x| (x.min(min), x.max(max)))
}

/// For every value the least one that shares its quantization.
fn groups(network: &Folded) -> Vec<ValueId> {
    let mut group: Vec<ValueId> = (0..network.values()).collect();
    for (node, value) in network.nodes.iter().zip(1..) {
        if node.op.keeps_quantization() {
            for &input in &node.inputs {
                let (a, b) = (group[input], group[value]);
                group.iter_mut().filter(|g| **g == a.max(b)).for_each(|g| *g = a.min(b));
            }
        }
    }
    group
}

/// The quantization of `min..=max`, which includes 0, to int8 as TensorFlow Lite chooses it: 0 is exact.
pub fn affine(min: f64, max: f64) -> QuantParams {
    let (low, high) = (f64::from(DType::I8.min()), f64::from(DType::I8.max()));
    let extent = max - min;
    if extent <= f64::from(f32::MIN_POSITIVE) {
        // Nothing but zeros: any scale says that.
        return QuantParams { scale: 1.0 / 256.0, zero_point: 0 };
    }
    let scale = extent / (high - low);
    let zero_point = (low - min / scale).round().clamp(low, high);
    QuantParams { scale: scale as f32, zero_point: zero_point as i32 }
}

/// The part of `min..=max`, both ends pulled in alike, with the least squared error.
fn least_squares(seen: &[&Histogram], min: f64, max: f64) -> (f64, f64) {
    let error = |share: f64| {
        let (min, max) = (min * share, max * share);
        let step = (max - min) / 255.0;
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
        // Each value counts by itself, however many elements it has.
        let of = |h: &&Histogram| h.bins().map(|(x, n)| squared(x) * n as f64).sum::<f64>() / h.count().max(1) as f64;
        seen.iter().map(of).sum::<f64>()
    };
    let shares = (20..=100).map(|percent| f64::from(percent) / 100.0);
    let best = shares.map(|share| (error(share), share)).min_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let share = best.map_or(1.0, |(_, share)| share);
    (min * share, max * share)
}
