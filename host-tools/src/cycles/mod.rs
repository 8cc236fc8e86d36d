//! Predicted cycles: what a run executes, by classes of instructions, times what a core and a board's flash take for each.
//!
//! `trace.c`, a plugin of QEMU, counts; the firmware runs on the emulated board that executes the same code. [`Predictor`] knows from such
//! traces what each operator and algorithm takes, and needs only a model's shapes.

mod costs;
mod fit;
mod timing;
mod work;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::boards::{Board, Speed};
use crate::words::grouped;
pub use costs::{Cost, Costs, Off, Predicted, Predictor, Table, to_json};
pub use fit::{Sample, factors, fit};
pub use timing::Timing;
pub use work::{Work, of_model};

/// The plugin's source, which says how it is called and what it writes.
pub const TRACE: &str = include_str!("trace.c");

/// Classes of instructions, and what happens around them, in the order of the plugin's enum.
pub const COUNTS: usize = 19;

/// Of [`COUNTS`], the first that are instructions; among them are the words of those that move several.
const INSTRUCTIONS: usize = 15;
const WORDS: usize = 6;
const TAKEN: usize = 15;
const CODE: usize = 16;
const DATA: usize = 17;
const UNALIGNED: usize = 18;

/// What a step, or an inference, executes: how often each of [`COUNTS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub [u64; COUNTS]);

/// What was counted of an inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The inference, unobserved.
    pub total: Counts,
    /// Its steps.
    pub steps: Vec<Counts>,
}

/// What that takes on a board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Cycles of the core.
    pub cycles: u64,
    /// Milliseconds at full speed.
    pub ms: f64,
    /// Microjoules, where it is known what a cycle takes.
    pub microjoules: Option<f64>,
}

impl Counts {
    /// Executed instructions.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.0[..INSTRUCTIONS].iter().sum::<u64>() - self.0[WORDS]
    }

    /// Reads of flash, for code and for data.
    #[must_use]
    pub const fn flash_reads(&self) -> [u64; 2] {
        [self.0[CODE], self.0[DATA]]
    }

    fn parse(numbers: &str) -> Option<Self> {
        let numbers: Vec<u64> = numbers.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Some(Self(numbers.try_into().ok()?))
    }
}

impl Trace {
    /// What the plugin wrote.
    ///
    /// # Errors
    /// When the lines are not a total and steps.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let total = lines.next().and_then(|line| Counts::parse(line.strip_prefix("total ")?));
        let total = total.context("the trace does not begin with a total")?;
        ensure!(total.instructions() > 0, "the trace saw no inference");
        let step = |line: &str| {
            let counts = line.strip_prefix("step ").and_then(|rest| Counts::parse(rest.split_once(' ')?.1));
            counts.with_context(|| format!("the trace has a damaged line: {line}"))
        };
        Ok(Self { total, steps: lines.map(step).collect::<Result<_>>()? })
    }
}

impl Prediction {
    /// Of what was traced for `board`.
    ///
    /// # Errors
    /// When the table does not say how fast the board is.
    pub fn of(counts: &Counts, board: &Board) -> Result<Self> {
        let speed = speed(board)?;
        Ok(Self::of_cycles(Timing::of(board)?.cycles(&counts.0, speed) as u64, speed))
    }

    /// Of cycles at a board's speed.
    #[must_use]
    pub fn of_cycles(cycles: u64, speed: &Speed) -> Self {
        let ms = cycles as f64 / (f64::from(speed.mhz) * 1e3);
        Self { cycles, ms, microjoules: speed.pj_per_cycle.map(|pj| cycles as f64 * f64::from(pj) * 1e-6) }
    }

    /// Cycles, milliseconds and microjoules for a table; the last is empty where it is not known.
    #[must_use]
    pub fn cells(&self) -> [String; 3] {
        let energy = self.microjoules.map_or(String::new(), |energy| format!("{energy:.1}"));
        [grouped(self.cycles), format!("{:.3}", self.ms), energy]
    }
}

/// What was traced, as cycles of the core alone, and the cycles of a cycle and of a read of flash for code and for data.
///
/// # Errors
/// When the table does not say how fast the board is.
pub fn apart(cycles: u64, reads: [u64; 2], board: &Board) -> Result<(f64, [f64; 3])> {
    let [code, data] = Timing::of(board)?.reads(speed(board)?);
    let core = cycles as f64 - code * reads[0] as f64 - data * reads[1] as f64;
    Ok((core.max(0.0), [1.0, code, data]))
}

/// How fast a board is.
///
/// # Errors
/// When the table does not say.
pub fn speed(board: &Board) -> Result<&Speed> {
    board.speed.as_ref().with_context(|| format!("the table of boards has no speed of {}", board.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards;

    const LINES: &str =
        "total 10 2 3 4 5 6 14 0 1 1 0 0 0 0 0 7 20 30 2\nstep 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 0\n";

    #[test]
    fn a_trace_is_read_and_costs_what_the_rules_say() {
        let trace = Trace::parse(LINES).unwrap();
        assert_eq!((trace.total.instructions(), trace.steps.len()), (32, 1));
        let board = boards::find("nucleo-l4r5zi", boards::all().iter(), "").unwrap();
        let predicted = Prediction::of(&trace.total, board).unwrap();
        let core = 10 + 2 * 2 + 3 + 4 + 5 * 2 + 6 + 14 + 2 + 7 * 2 + 2;
        assert_eq!(predicted.cycles, (f64::from(core) + 20.0 * 4.36 + 30.0 * 8.65) as u64);
        assert!((predicted.ms - predicted.cycles as f64 / 120e3).abs() < 1e-4);
        for broken in ["", "total 1 2\n", &LINES.replace("step 0 1", "step 0 x"), &LINES.replace("10 2 3", "10 2")] {
            assert!(Trace::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn every_board_with_a_speed_has_a_timing() {
        for board in boards::all().iter().filter(|board| board.speed.is_some()) {
            assert!(Timing::of(board).is_ok(), "{}", board.name);
        }
    }
}
