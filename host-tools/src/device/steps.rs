//! What each step of a model takes on a board, by the board's own clock, over its serial line.

use std::fmt;
use std::io::{Read, Write};

use anyhow::Result;
use kinglet::Model;
use serde::Serialize;

use super::client::{Client, Introduction};
use crate::boards;
use crate::cycles::{Predicted, Predictor};
use crate::report::table::{Table, grouped};

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepTime {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub operator: &'static str,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Ticks of the board's clock: cycles, where that counts them.
    pub ticks: u64,
}

/// An inference, step by step.
#[derive(Clone, Debug)]
pub struct Times {
    /// Who computed.
    pub device: Introduction,
    /// Ticks of an inference that nobody looks at.
    pub ticks: u64,
    /// Its steps. What lies between them is in none.
    pub steps: Vec<StepTime>,
    /// What was predicted, where the board is one of the table and its speed is known.
    pub predicted: Option<Predicted>,
}

/// Measures every step of `model` on the device at the other end of `line`, which must hold it or take it, in an inference for each; `each`
/// is told of every one.
///
/// # Errors
/// When the device does not answer, or holds another model and takes none.
pub fn measure(line: impl Read + Write, model: Model<'_>, mut each: impl FnMut()) -> Result<Times> {
    let mut client = Client::new(line);
    let device = client.hold(model)?;
    // No step's time depends on what it computes with.
    let (input, output_len) = (vec![0; device.about.input_len as usize], model.output_bytes());
    let ticks = client.infer(&input, output_len)?.ticks;
    let mut steps = Vec::new();
    for step in model.steps() {
        let ticks = client.time(&input, output_len, step.index)?;
        steps.push(StepTime { name: step.name.to_owned(), operator: step.kind().name(), macs: step.macs(), ticks });
        each();
    }
    let board = boards::all().iter().find(|board| board.name == device.board);
    let predicted = board.and_then(|board| Predictor::of(board).ok()).map(|predictor| predictor.model(&model));
    Ok(Times { device, ticks, steps, predicted })
}

impl Times {
    fn ms(&self, ticks: u64) -> f64 {
        1e3 * ticks as f64 / f64::from(self.device.about.frequency.max(1))
    }

    /// A row for each step.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(["step", "operator", "layer", "MACs", "ticks", "ms", "predicted ms"]);
        for (index, step) in self.steps.iter().enumerate() {
            let predicted = self.predicted.as_ref().and_then(|predicted| predicted.steps.get(index));
            table.row([
                index.to_string(),
                step.operator.to_owned(),
                step.name.clone(),
                grouped(step.macs),
                grouped(step.ticks),
                format!("{:.3}", self.ms(step.ticks)),
                predicted.map_or_else(String::new, |predicted| format!("{:.3}", predicted.ms)),
            ]);
        }
        table
    }

    /// The same for programs.
    #[must_use]
    pub fn figures(&self) -> serde_json::Value {
        serde_json::json!({
            "board": self.device.board, "model": self.device.model, "frequency": self.device.about.frequency,
            "ticks": self.ticks, "ms": self.ms(self.ticks), "steps": self.steps, "predicted": self.predicted,
        })
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Introduction { board, model, about } = &self.device;
        writeln!(f, "{model} on {board}, by its clock of {} Hz", grouped(about.frequency.into()))?;
        write!(f, "{}", self.table())?;
        write!(f, "inference: {} ticks, {:.3} ms", grouped(self.ticks), self.ms(self.ticks))?;
        match &self.predicted {
            Some(predicted) => write!(f, "; predicted {:.3} ms: {}", predicted.total.ms, predicted.error),
            None => Ok(()),
        }
    }
}
