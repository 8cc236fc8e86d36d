//! The learning rate over the steps of a training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A learning-rate schedule. In a recipe: `schedule = { cosine = { peak = 0.1 } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same rate all the time.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// A linear rise from 0, then half a cosine down to 0.
    Cosine {
        /// The highest rate.
        peak: f64,
        /// The part of all steps that the rise takes.
        #[serde(default = "warm_up")]
        warm_up: f64,
    },
    /// Half a cosine from a 25th of the peak up to it, then half a cosine down to a 250,000th.
    OneCycle {
        /// The highest rate.
        peak: f64,
        /// The part of all steps that the rise takes.
        #[serde(default = "warm_up")]
        warm_up: f64,
    },
}

fn warm_up() -> f64 {
    0.1
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Cosine { peak: 0.1, warm_up: warm_up() }
    }
}

impl Schedule {
    /// The rate of step `step` of `steps`.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        // Half steps: neither the first nor the last one is wasted on a rate of 0.
        let at = (step as f64 + 0.5) / steps.max(1) as f64;
        let between = |from: f64, to: f64, part: f64| to + (from - to) * 0.5 * (1.0 + (PI * part).cos());
        match *self {
            Schedule::Constant { rate } => rate,
            Schedule::Cosine { peak, warm_up } if at < warm_up => peak * at / warm_up,
            Schedule::Cosine { peak, warm_up } => between(peak, 0.0, (at - warm_up) / (1.0 - warm_up)),
            Schedule::OneCycle { peak, warm_up } if at < warm_up => between(peak / 25.0, peak, at / warm_up),
            Schedule::OneCycle { peak, warm_up } => between(peak, peak / 250e3, (at - warm_up) / (1.0 - warm_up)),
        }
    }

    /// The highest rate.
    pub fn peak(&self) -> f64 {
        match *self {
            Schedule::Constant { rate } => rate,
            Schedule::Cosine { peak, .. } | Schedule::OneCycle { peak, .. } => peak,
        }
    }

    pub(super) fn fault(&self) -> Option<String> {
        let (peak, warm_up) = match *self {
            Schedule::Constant { rate } => (rate, 0.0),
            Schedule::Cosine { peak, warm_up } | Schedule::OneCycle { peak, warm_up } => (peak, warm_up),
        };
        let good = peak.is_finite() && peak > 0.0 && (0.0..1.0).contains(&warm_up);
        (!good).then(|| "schedule: the rate must be positive, warm_up in 0 to 1".to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_to_the_peak_and_fall() {
        for schedule in [Schedule::Cosine { peak: 0.1, warm_up: 0.2 }, Schedule::OneCycle { peak: 0.1, warm_up: 0.2 }] {
            let rates: Vec<f64> = (0..100).map(|step| schedule.rate(step, 100)).collect();
            assert!(rates[..20].is_sorted() && rates[20..].is_sorted_by(|a, b| a >= b));
            assert!(rates[0] < 0.01 && rates[20] > 0.099 && rates[99] < 1e-4 && rates.iter().all(|r| *r <= 0.1));
        }
    }
}
