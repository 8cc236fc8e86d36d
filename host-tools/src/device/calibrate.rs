//! Measures models on a board over its serial line, and fits what the board takes beside what was predicted.

use std::fmt;
use std::io::{Read, Write};

use anyhow::{Context, Result, ensure};
use kinglet::Model;
use serde::Serialize;

use super::bench::{self, Subject};
use super::client::{self, Client, Introduction};
use crate::boards::{self, Board};
use crate::cycles::{self, Predictor};
use crate::report::table::{Table, grouped};

/// Inferences of each model; the shortest counts.
const RUNS: usize = 3;

/// A model on the board, in cycles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The model.
    pub model: String,
    /// As measured.
    pub measured: f64,
    /// As predicted.
    pub predicted: f64,
    /// As predicted with the board's own factors.
    pub fitted: f64,
}

/// What was measured on a board, and what follows.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Who computed.
    pub device: Introduction,
    /// The models.
    pub points: Vec<Point>,
    /// Those that the board has no room for.
    pub passed_over: Vec<String>,
    /// What the board takes for a predicted cycle of the core, for a read of flash for code, and for one for data.
    pub factors: [f64; 3],
    /// What was predicted, and how well it is known.
    pub predicted: String,
}

/// Runs the models of the bench that the board has room for; its program is `receive` or `keep`.
///
/// # Errors
/// When nobody answers, no board with such a core was traced, or no model fits.
pub fn calibrate<L: Read + Write>(line: L, mut progress: impl FnMut(&str)) -> Result<Calibration> {
    let mut client = Client::new(line);
    let mut device = client.hello()?;
    let board = boards::find(&device.board, boards::all().iter(), "there are")?;
    let real = bench::real(board).with_context(|| format!("the table of boards has no speed of {}", board.name))?;
    let predictor = Predictor::of(real)?;
    // Weights that lie in RAM are not read from flash.
    let in_flash = device.about.flash > 0;
    let (mut found, mut passed_over) = (Vec::new(), Vec::new());
    for Subject { name, bytes, .. } in bench::quick(board.instruction_set())? {
        progress(&name);
        let model = Model::new(&bytes).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        if !has_room(&device, &model) {
            passed_over.push(name);
            continue;
        }
        if device.about.model != model.checksum() {
            device = client::load(&mut client, &device, model, |_| {})?;
        }
        let input = vec![0x55; device.about.input_len as usize];
        let runs = (0..RUNS).map(|_| client.infer(&input, device.about.output_len as usize));
        let ticks = runs.map(|run| Ok(run?.ticks)).collect::<Result<Vec<_>>>()?;
        let mut quantities = predictor.quantities(&model);
        quantities[2] = if in_flash { quantities[2] } else { 0.0 };
        found.push((name, ticks.into_iter().min().unwrap_or(0) as f64, quantities));
    }
    ensure!(!found.is_empty(), "{} has no room for any of the models: {}", device.board, passed_over.join(", "));
    let rows: Vec<_> = found.iter().map(|(_, measured, quantities)| (*quantities, *measured)).collect();
    let factors = cycles::factors(&rows, predictor.weights());
    let of = |quantities: &[f64; 3], weights: [f64; 3]| quantities.iter().zip(weights).map(|(q, w)| q * w).sum();
    let points = found.iter().map(|(model, measured, quantities)| Point {
        model: model.clone(),
        measured: *measured,
        predicted: of(quantities, predictor.weights()),
        fitted: of(quantities, factors),
    });
    Ok(Calibration { points: points.collect(), device, passed_over, factors, predicted: said(real, &predictor) })
}

fn said(board: &Board, predictor: &Predictor) -> String {
    format!("{}: {}", board.name, predictor.error())
}

/// Whether a device takes a model.
fn has_room(device: &Introduction, model: &Model<'_>) -> bool {
    use kinglet::device::load::{needed, working};
    let about = &device.about;
    match about.flash {
        0 => needed(model) <= about.room,
        flash => model.file_len() <= flash as usize && working(model) <= about.room,
    }
}

impl Calibration {
    /// How far predictions are off, in percent, on average and at most: as they were, and with the board's own factors.
    #[must_use]
    pub fn errors(&self) -> [[f64; 2]; 2] {
        let of = |predicted: fn(&Point) -> f64| {
            let errors = self.points.iter().map(|point| 100.0 * (predicted(point) / point.measured - 1.0).abs());
            let worst = errors.clone().fold(0.0, |worst: f64, error| worst.max(error));
            [errors.sum::<f64>() / self.points.len().max(1) as f64, worst]
        };
        [of(|point| point.predicted), of(|point| point.fitted)]
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["model", "measured", "predicted", "off by, %", "fitted", "off by, %"]);
        for Point { model, measured, predicted, fitted } in &self.points {
            let off = |predicted: f64| format!("{:.1}", 100.0 * (predicted / measured - 1.0));
            let [cycles, before, after] = [measured, predicted, fitted].map(|cycles| grouped(cycles.round() as u64));
            table.row([model.clone(), cycles, before, off(*predicted), after, off(*fitted)]);
        }
        let [[mean, worst], [fitted, most]] = self.errors();
        let [core, code, data] = self.factors;
        writeln!(
            f,
            "{}, by its own clock of {} Hz; predicted for {}\n",
            self.device.board, self.device.about.frequency, self.predicted
        )?;
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "predictions are {mean:.1} % off on average and {worst:.1} % at most; with the factors below {fitted:.1} % and {most:.1} %"
        )?;
        writeln!(
            f,
            "a cycle of the core takes {core:.3}, a read of flash for code {code:.2} cycles, one for data {data:.2}"
        )?;
        if !self.passed_over.is_empty() {
            writeln!(f, "no room for {}", self.passed_over.join(", "))?;
        }
        Ok(())
    }
}
