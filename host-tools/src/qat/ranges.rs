//! Ranges of activations that follow what is seen in training.

use kinglet::{Activation, QuantParams};

use crate::graph::{Graph, Params, Real};
use crate::quantize::scales::{affine, groups, input_range};
use crate::quantize::trained::{self, Range};

/// The ranges of all values. Those that share a quantization share a range.
#[derive(Clone, Debug)]
pub struct Ranges {
    groups: Vec<Group>,
    /// The group of each value.
    of: Vec<usize>,
    /// Weight of a new batch.
    rate: f64,
}

#[derive(Clone, Debug)]
struct Group {
    /// Whether it follows; what pixels can become does not change.
    moves: bool,
    range: Range,
}

impl Ranges {
    /// Starts from `ranges`, one for each value; a new batch counts `rate`, 0 to 1.
    pub fn new(network: &Graph<Real>, ranges: &[Range], rate: f64) -> Self {
        let least = groups(network);
        let mut groups: Vec<Group> = Vec::new();
        let mut of: Vec<usize> = Vec::new();
        for (value, first) in least.into_iter().enumerate() {
            if first == value {
                of.push(groups.len());
                let fixed = input_range(network);
                let range = if value == 0 { [fixed.0, fixed.1] } else { ranges[value] };
                groups.push(Group { moves: value > 0, range });
            } else {
                of.push(of[first]);
            }
        }
        Self { groups, of, rate }
    }

    /// The quantization of every value.
    pub fn quants(&self) -> Vec<QuantParams> {
        let quant = |group: &usize| {
            let [min, max] = self.groups[*group].range;
            affine(min.into(), max.into())
        };
        self.of.iter().map(quant).collect()
    }

    /// Adds them to the parameters.
    pub fn insert(&self, network: &Graph<Real>, params: &mut Params) {
        for (value, group) in self.of.iter().enumerate() {
            trained::insert(params, &network.nodes[value].name, self.groups[*group].range);
        }
    }

    /// Follows a batch. `seen` has the extremes of values that something computes, as integers before they are clamped
    /// to their type; `quants` say what those stand for.
    ///
    /// # Errors
    /// Names the value whose range is not finite any more.
    pub fn follow(
        &mut self,
        network: &Graph<Real>,
        quants: &[QuantParams],
        seen: &[Option<[i32; 2]>],
    ) -> Result<(), String> {
        let mut ends: Vec<Option<[f64; 2]>> = vec![None; self.groups.len()];
        for (value, seen) in seen.iter().enumerate() {
            let Some(extremes) = seen else { continue };
            let real = |q: i32| {
                let real = (i64::from(q) - i64::from(quants[value].zero_point)) as f64 * f64::from(quants[value].scale);
                match network.nodes[value].activation {
                    Activation::None => real,
                    Activation::Relu => real.max(0.0),
                    Activation::Relu6 => real.clamp(0.0, 6.0),
                    Activation::ReluN1To1 => real.clamp(-1.0, 1.0),
                }
            };
            let [min, max] = extremes.map(real);
            let joint = ends[self.of[value]].get_or_insert([0.0, 0.0]);
            *joint = [joint[0].min(min), joint[1].max(max)];
        }
        for (index, (group, ends)) in self.groups.iter_mut().zip(ends).enumerate() {
            let (true, Some(ends)) = (group.moves, ends) else { continue };
            for (end, new) in group.range.iter_mut().zip(ends) {
                *end = (f64::from(*end) + self.rate * (new - f64::from(*end))) as f32;
            }
            if !group.range.iter().all(|end| end.is_finite()) {
                let value = self.of.iter().position(|of| *of == index).unwrap_or(0);
                return Err(network.nodes[value].name.clone());
            }
        }
        Ok(())
    }
}
