//! The costs of terms on each board, and the cycles of a model that follow from them: at once, and without QEMU.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::LazyLock;

use anyhow::{Context, Result};
use kinglet::Model;
use kinglet::kernels::algorithms::{Candidate, Layer};
use serde::{Deserialize, Serialize};

use super::work::{self, TERMS, Terms, Work};
use super::{Prediction, Timing, speed};
use crate::boards::{self, Board};

/// The table, which `kinglet device costs` writes.
const TABLE: &str = include_str!("costs.json");

/// The kind that stands for those that have no costs.
pub const OTHER: &str = "any other";

/// For each term, cycles of the core, reads of flash for code, and reads of flash for data; before them, how many steps tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost(pub usize, pub [Terms; 3]);

/// The fewest traced steps that say enough of an algorithm for a choice: its terms are as many.
const ENOUGH: usize = TERMS;

/// The costs on a board, and how well they predict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Models that they are fitted to.
    pub models: usize,
    /// How far the cycles of those are off what was traced.
    pub seen: Off,
    /// The same by costs that are fitted to the other models.
    pub unseen: Off,
    /// Each kind's.
    pub kinds: BTreeMap<String, Cost>,
}

/// By how much predictions are off, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Off {
    /// On average.
    pub mean: f64,
    /// At most.
    pub worst: f64,
}

impl Off {
    /// Of these errors.
    #[must_use]
    pub fn of(errors: &[f64]) -> Self {
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        Self { mean, worst: errors.iter().fold(0.0, |worst, &error| error.max(worst)) }
    }
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} % on average, {:.1} % at most", self.mean, self.worst)
    }
}

/// Those of all boards that were traced.
pub type Table = BTreeMap<String, Costs>;

static COSTS: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(TABLE).expect("the table of costs is well formed"));

impl Cost {
    /// Cycles, when one of the core and a read of flash for code and data take so many.
    #[must_use]
    pub fn cycles(&self, terms: &Terms, weights: [f64; 3]) -> f64 {
        let sum = |costs: &Terms| costs.iter().zip(terms).map(|(cost, term)| cost * term).sum::<f64>();
        self.1.iter().zip(weights).map(|(costs, weight)| weight * sum(costs)).sum()
    }
}

/// Predicts cycles on a board.
#[derive(Clone, Debug)]
pub struct Predictor {
    board: &'static Board,
    costs: &'static Costs,
    /// Cycles of a cycle, and of a read of flash for code and for data as they were traced.
    weights: [f64; 3],
    /// The board that was traced, if it is another.
    stands_in: Option<&'static str>,
}

/// The predicted cycles of a model on a board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predicted {
    /// The board.
    pub board: &'static str,
    /// Each step's.
    pub steps: Vec<Prediction>,
    /// The whole inference's.
    pub total: Prediction,
    /// How well it is known, in words.
    pub error: String,
}

impl fmt::Display for Predicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [cycles, ms, energy] = self.total.cells();
        let energy = if energy.is_empty() { energy } else { format!(", {energy} \u{b5}J") };
        writeln!(f, "{}: {cycles} cycles, {ms} ms{energy}, predicted\n{}", self.board, self.error)
    }
}

impl Predictor {
    /// For a board.
    ///
    /// # Errors
    /// When the table of boards does not say how fast it is, and when no board with such a core was traced.
    pub fn of(board: &'static Board) -> Result<Self> {
        let own = speed(board)?;
        let timing = Timing::of(board)?;
        let traced = |name: &str| boards::all().iter().find(|board| board.name == name);
        let alike = |name: &&String| traced(name).is_some_and(|other| Timing::of(other).is_ok_and(|t| t == timing));
        let name = COSTS.get_key_value(board.name).map(|(name, _)| name).or_else(|| COSTS.keys().find(alike));
        let name = name.with_context(|| {
            format!(
                "{}: no board with a {} has been traced; `kinglet device bench --board {} --model FILE` does",
                board.name, board.core, board.name
            )
        })?;
        // What is read of the flash is so many bytes, however wide its reads are.
        let width = |name: &str| traced(name).and_then(|board| board.speed.as_ref()?.flash_bytes).unwrap_or(8);
        let reads = f64::from(width(name)) / f64::from(width(board.name));
        let [code, data] = timing.reads(own);
        Ok(Self {
            board,
            costs: &COSTS[name],
            weights: [1.0, code * reads, data * reads],
            stands_in: (name != board.name).then_some(&**name),
        })
    }

    /// Of an inference.
    #[must_use]
    pub fn model(&self, model: &Model<'_>) -> Predicted {
        let Some(speed) = &self.board.speed else { unreachable!("a predictor is of a board with a speed") };
        let (works, around) = work::of_model(model, self.board.instruction_set(), speed);
        let of_cycles = |cycles: f64| Prediction::of_cycles(cycles.round() as u64, speed);
        let cycles: Vec<f64> = works.iter().map(|work| self.cycles(work)).collect();
        let total = cycles.iter().sum::<f64>() + self.cycles(&around);
        let mut error = self.error();
        let unknown: Vec<_> = works
            .iter()
            .zip(model.steps())
            .filter(|(work, _)| !self.costs.kinds.contains_key(&work.kind))
            .map(|(_, step)| step.name)
            .collect();
        if !unknown.is_empty() {
            let _ = write!(error, "; of a kind that was not traced, and so estimated: {}", unknown.join(", "));
        }
        Predicted {
            board: self.board.name,
            steps: cycles.into_iter().map(of_cycles).collect(),
            total: of_cycles(total),
            error,
        }
    }

    /// Cycles of the core, and reads of flash for code and for data, of an inference.
    #[must_use]
    pub fn quantities(&self, model: &Model<'_>) -> [f64; 3] {
        let Some(speed) = &self.board.speed else { return [0.0; 3] };
        let (works, around) = work::of_model(model, self.board.instruction_set(), speed);
        let each = |which: usize| {
            let mut weights = [0.0; 3];
            weights[which] = 1.0;
            works.iter().chain([&around]).map(|work| self.weighted(work, weights)).sum()
        };
        [each(0), each(1), each(2)]
    }

    /// Cycles of each of those.
    #[must_use]
    pub const fn weights(&self) -> [f64; 3] {
        self.weights
    }

    /// Of an int8 convolution as a candidate computes it, where enough of such were traced.
    #[must_use]
    pub fn candidate(&self, candidate: &Candidate, layer: &Layer) -> Option<u64> {
        let work = work::of_candidate(candidate, layer, self.board.instruction_set(), self.board.speed.as_ref()?);
        self.costs.kinds.get(&work.kind).filter(|cost| cost.0 >= ENOUGH)?;
        Some(self.cycles(&work) as u64)
    }

    fn cycles(&self, work: &Work) -> f64 {
        self.weighted(work, self.weights)
    }

    fn weighted(&self, work: &Work, weights: [f64; 3]) -> f64 {
        let kinds = &self.costs.kinds;
        let without = match (kinds.get(&work.kind), kinds.get(OTHER)) {
            (Some(cost), _) => cost.cycles(&work.terms, weights),
            (None, Some(cost)) => cost.cycles(&work.plain, weights),
            (None, None) => 0.0,
        };
        without + weights[0] * work.widening
    }

    /// How well the cycles are known, in words.
    #[must_use]
    pub fn error(&self) -> String {
        let Costs { models, seen, unseen, .. } = self.costs;
        let trace = Timing::of(self.board).map_or(String::new(), |timing| timing.evidence(self.board));
        match self.stands_in {
            None => format!(
                "off a trace of {models} models by {seen}; of models that the costs have not seen by {unseen}; the trace itself: {trace}"
            ),
            Some(other) => format!(
                "not validated: by the costs of {other}, which has such a core, with this board's flash; {trace}"
            ),
        }
    }
}

/// A line for each kind.
#[must_use]
pub fn to_json(table: &Table) -> String {
    let number = |x: f64| if x == 0.0 { "0".to_owned() } else { format!("{}", rounded(x)) };
    let off = |off: Off| format!("{{\"mean\":{},\"worst\":{}}}", number(off.mean), number(off.worst));
    let terms = |terms: &Terms| format!("[{}]", terms.map(number).join(","));
    let boards = table.iter().map(|(board, costs)| {
        let kinds = costs
            .kinds
            .iter()
            .map(|(kind, cost)| format!("{kind:?}:[{},[{}]]", cost.0, cost.1.each_ref().map(terms).join(",")));
        format!(
            "{board:?}:{{\"models\":{},\"seen\":{},\"unseen\":{},\"kinds\":{{\n{}\n}}}}",
            costs.models,
            off(costs.seen),
            off(costs.unseen),
            kinds.collect::<Vec<_>>().join(",\n")
        )
    });
    format!("{{\n{}\n}}\n", boards.collect::<Vec<_>>().join(",\n"))
}

/// To four digits.
fn rounded(x: f64) -> f64 {
    let digits = 10f64.powi(3 - x.abs().log10().floor() as i32);
    (x * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let cost = Cost(9, [[0.0, 1.5, 12345.678, 0.000_123_456, 3.0, 0.0, 0.0, 1e6], [0.0; TERMS], [1.0; TERMS]]);
        let seen = Off { mean: 1.234_56, worst: 10.0 };
        let costs = Costs { models: 3, seen, unseen: Off::default(), kinds: [("ADD int8".to_owned(), cost)].into() };
        let text = to_json(&[("a".to_owned(), costs)].into());
        let table: Table = serde_json::from_str(&text).unwrap();
        assert_eq!(table["a"].kinds["ADD int8"].1[0], [0.0, 1.5, 12350.0, 0.000_123_5, 3.0, 0.0, 0.0, 1e6]);
        assert_eq!(to_json(&table), text);
    }

    #[test]
    fn every_board_with_a_speed_is_predicted_or_says_why_not() {
        for board in boards::all().iter().filter(|board| board.speed.is_some()) {
            match Predictor::of(board) {
                Ok(predictor) => {
                    assert!(predictor.error().contains("trace") || predictor.error().contains("not validated"))
                }
                Err(error) => assert!(error.to_string().contains("has been traced"), "{error}"),
            }
        }
    }
}
