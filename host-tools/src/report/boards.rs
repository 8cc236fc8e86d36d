//! What a model takes on every board whose speed is known, and whether it fits.

use kinglet::Model;

use super::table::{Table, grouped};
use crate::boards::{self, Board};
use crate::cycles::{Predicted, Predictor};

/// The boards side by side, and each step on each of them in milliseconds.
pub fn tables(model: &Model<'_>) -> [Table; 2] {
    let known = |board: &'static Board| Some((board, Predictor::of(board).ok()?.model(model)));
    let known: Vec<(&Board, Predicted)> = boards::all().iter().filter_map(known).collect();
    let mut all = Table::new(["board", "core", "MHz", "cycles", "ms", "\u{b5}J", "flash and RAM"]);
    for (board, predicted) in &known {
        let mhz = board.speed.as_ref().map_or_else(String::new, |speed| speed.mhz.to_string());
        let [cycles, ms, energy] = predicted.total.cells();
        let room = match board.fit(model.file_len(), model.arena_len()) {
            Ok(fit) => {
                let [flash, ram] = [fit.flash_left, fit.ram_left].map(|bytes| grouped(bytes.into()));
                format!("{flash} and {ram} bytes are left")
            }
            Err(_) => "does not fit".to_owned(),
        };
        all.row([board.name.to_owned(), board.core.to_owned(), mhz, cycles, ms, energy, room]);
    }
    let names = known.iter().map(|(board, _)| board.name);
    let mut steps = Table::new(["step", "layer"].into_iter().chain(names));
    for step in model.steps() {
        let ms = known.iter().map(|(_, predicted)| predicted.steps[step.index].cells()[1].clone());
        steps.row([step.index.to_string(), step.name.to_owned()].into_iter().chain(ms));
    }
    [all, steps]
}
