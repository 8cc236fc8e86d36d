//! Scales and zero points: from what was observed to the quantization of every value.
//!
//! Values that an operator only moves (pools, reshapes, concatenations, padding) share one quantization with their
//! source; so all inputs of a concatenation have one, and it is no work on the device.

use std::fmt;
use std::str::FromStr;

use kinglet::ops::{L2Norm, Softmax};
use kinglet::{DType, QuantParams};
use serde::{Deserialize, Serialize};

use super::QuantizeError;
use super::auto::{self, Group};
use super::observe::Histogram;
use super::ranges::Method;
use crate::graph::{Function, Graph, Op, Real, Unary};

/// The quantization of a hyperbolic tangent.
pub const TANH: QuantParams = QuantParams { scale: 1.0 / 128.0, zero_point: 0 };

/// How ranges are chosen.
///
/// In recipes and on the command line it is a word: `mse`, `auto`, `percentile:99.9`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Calibration {
    /// By one method for all.
    Fixed(Method),
    /// For each tensor by the method that leaves the least error at the network's output: [`auto`].
    Auto,
}

impl Default for Calibration {
    fn default() -> Self {
        Calibration::Fixed(Method::default())
    }
}

impl TryFrom<String> for Calibration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Calibration> for String {
    fn from(calibration: Calibration) -> Self {
        match calibration {
            Calibration::Auto => "auto".to_owned(),
            Calibration::Fixed(Method::MinMax) => "min-max".to_owned(),
            Calibration::Fixed(Method::Mse) => "mse".to_owned(),
            Calibration::Fixed(Method::Entropy) => "entropy".to_owned(),
            Calibration::Fixed(Method::Percentile(percent)) => format!("percentile:{percent}"),
        }
    }
}

impl FromStr for Calibration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is none of auto, min-max, mse, entropy, percentile, percentile:99.9");
        let fixed = match text {
            "auto" => return Ok(Calibration::Auto),
            "min-max" => Method::MinMax,
            "mse" => Method::Mse,
            "entropy" => Method::Entropy,
            "percentile" => Method::Percentile(99.99),
            _ => {
                let percent = text.strip_prefix("percentile:").and_then(|percent| percent.parse().ok());
                Method::Percentile(percent.filter(|percent| (50.0..=100.0).contains(percent)).ok_or_else(wrong)?)
            }
        };
        Ok(Calibration::Fixed(fixed))
    }
}

/// As [`FromStr`] reads it.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Calibration::Auto => "auto",
            Calibration::Fixed(Method::MinMax) => "min-max",
            Calibration::Fixed(Method::Mse) => "mse",
            Calibration::Fixed(Method::Entropy) => "entropy",
            Calibration::Fixed(Method::Percentile(percent)) => return write!(f, "percentile:{percent}"),
        };
        f.write_str(name)
    }
}

/// Quantization of every value; `images` (H x W x C numbers each) are what [`Calibration::Auto`] judges by. Values with a
/// quantization in `given` keep it, and so do those that share it; see [`settle`].
///
/// # Errors
/// When values that need different quantizations are joined.
pub fn choose(
    network: &Graph<Real>,
    histograms: &[Histogram],
    calibration: Calibration,
    images: &[Vec<f32>],
    given: &[Option<QuantParams>],
) -> Result<Vec<QuantParams>, QuantizeError> {
    let of = groups(network);
    let mut groups: Vec<Group> = Vec::new();
    for value in (0..network.nodes.len()).filter(|&value| of[value] == value) {
        let members: Vec<usize> = (0..network.nodes.len()).filter(|&other| of[other] == value).collect();
        let is_output = network.outputs.iter().any(|output| members.contains(&output.0));
        let seen: Vec<&Histogram> = members.iter().map(|&member| &histograms[member]).collect();
        let range = |method: Method| {
            let (min, max) = method.range(&seen);
            affine(min, max)
        };
        let proposals = match (settled(network, &members, given)?, calibration) {
            (Some(quant), _) => vec![quant],
            // All that pixels can become.
            (None, _) if value == 0 => vec![range(Method::MinMax)],
            (None, Calibration::Auto) => auto::METHODS.into_iter().map(range).collect(),
            // The scores keep their order, whatever they are.
            (None, Calibration::Fixed(_)) if is_output => vec![range(Method::MinMax)],
            (None, Calibration::Fixed(method)) => vec![range(method)],
        };
        groups.push(Group { members, proposals, is_output });
    }
    let chosen = match calibration {
        Calibration::Auto => auto::choose(network, &groups, images),
        Calibration::Fixed(_) => vec![0; groups.len()],
    };
    let mut quants = vec![None; network.nodes.len()];
    for (group, at) in groups.iter().zip(chosen) {
        group.members.iter().for_each(|&member| quants[member] = Some(group.proposals[at]));
    }
    Ok(quants.into_iter().map(|quant| quant.expect("every value is in a group")).collect())
}

/// The quantization of a group where that does not depend on what was seen.
fn settled(
    network: &Graph<Real>,
    members: &[usize],
    given: &[Option<QuantParams>],
) -> Result<Option<QuantParams>, QuantizeError> {
    let settled = |&value: &usize| match network.nodes[value].op {
        Op::Softmax { .. } => Some(Softmax::OUTPUT),
        Op::L2Norm => Some(L2Norm::OUTPUT),
        _ => None,
    };
    if let Some((&own, quant)) = members.iter().find_map(|value| Some((value, settled(value)?))) {
        let moves = |&value: &usize| network.nodes[value].keeps_quantization();
        if let Some(&other) = members.iter().find(|value| settled(value) != Some(quant) && !moves(value)) {
            let name = |value: usize| network.nodes[value].name.clone();
            return Err(QuantizeError::Settled { own: name(own), joined: name(other) });
        }
        return Ok(Some(quant));
    }
    // TensorFlow Lite fixes the ranges of some curves too, where nothing else shares them.
    let curve = match members {
        [value] => fixed(&network.nodes[*value].op),
        _ => None,
    };
    Ok(given[members[0]].or(curve))
}

/// Gives all values that share a quantization the one that is given for one of them: that of the last concatenation, which
/// holds the others, else that of the first value.
pub fn settle(network: &Graph<Real>, given: &mut [Option<QuantParams>]) {
    let groups = groups(network);
    for group in (0..network.nodes.len()).filter(|&value| groups[value] == value) {
        let members = || (group..network.nodes.len()).filter(|&value| groups[value] == group);
        let joined = |value: &usize| matches!(network.nodes[*value].op, Op::Concat);
        let quant = members().rev().filter(joined).find_map(|value| given[value]);
        let quant = quant.or_else(|| members().find_map(|value| given[value]));
        members().for_each(|value| given[value] = quant);
    }
}

/// The quantization of a curve whose range is known.
fn fixed(op: &Op<Real>) -> Option<QuantParams> {
    let Op::Function(function) = op else { return None };
    let is = |unary| *function == Function::X.then(unary);
    match () {
        () if is(Unary::Sigmoid) => Some(Softmax::OUTPUT),
        () if is(Unary::Tanh) => Some(TANH),
        () => None,
    }
}

/// The range of real numbers that the input can take: all that any pixel can become.
pub fn input_range(network: &Graph<Real>) -> (f32, f32) {
    let ends = (0..network.preprocess.channels()).flat_map(|c| [0, 255].map(|p| network.preprocess.real(p, c)));
    ends.fold((0.0, 0.0), |(min, max), x| (x.min(min), x.max(max)))
}

/// For every value the least one that shares its quantization.
pub fn groups(network: &Graph<Real>) -> Vec<usize> {
    let mut group: Vec<usize> = (0..network.nodes.len()).collect();
    for (value, node) in network.nodes.iter().enumerate() {
        if node.keeps_quantization() {
            for &input in &node.inputs {
                let (a, b) = (group[input.0], group[value]);
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
