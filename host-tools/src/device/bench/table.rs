//! The table of what was measured: its rows, how they are kept, compared and shown.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{REFRESH, real};
use crate::boards::{self, Board};
use crate::cycles::{Prediction, Timing};
use crate::files;
use crate::report::table::grouped;

/// A line of the table: a layer, or a model as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The model's name; `kernels` for single kernels.
    pub model: String,
    /// The layer, or `total` for the model.
    pub layer: String,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Executed instructions.
    pub instructions: u64,
    /// Cycles that it is predicted to take: on the board itself, or on the real one that the bench has for an emulated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Reads of that board's flash past its caches, for code and for data: their waiting is in the cycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_reads: Option<[u64; 2]>,
    /// Those of CMSIS-NN for the same geometry on the same core, where they were counted.
    pub peer_instructions: Option<u64>,
    /// Bytes, of totals.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub bytes: Option<Bytes>,
}

/// What a model takes on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Of arena.
    pub arena: u32,
    /// Of stack, in an inference.
    pub stack: u32,
    /// Of the runtime's code and constants, without the model, start-up and logging.
    pub code: u32,
    /// Of weights and tables.
    pub weights: u32,
}

/// `rows` with those of a board and model replaced by `fresh` ones, board by board in the order of [`super::boards()`].
#[must_use]
pub fn merged(rows: Vec<Row>, fresh: Vec<Row>) -> Vec<Row> {
    let replaced: HashSet<_> = fresh.iter().map(|row| (row.board.clone(), row.model.clone())).collect();
    let kept = rows.into_iter().filter(|row| !replaced.contains(&(row.board.clone(), row.model.clone())));
    let mut all: Vec<_> = kept.collect();
    all.extend(fresh);
    all.sort_by_key(|row| super::boards().position(|board| board == row.board));
    all
}

/// What has become worse than in `committed` by more than 1 % of instructions or 2 % of predicted cycles, or is not in it although its board is: an error per row.
#[must_use]
pub fn rises(fresh: &[Row], committed: &[Row]) -> Vec<String> {
    let is_known = |row: &&Row| committed.iter().any(|other| other.board == row.board);
    let key = |row: &Row| (row.board.clone(), row.model.clone(), row.layer.clone());
    let known: BTreeMap<_, _> = committed.iter().map(|row| (key(row), row)).collect();
    let mut errors = Vec::new();
    for row in fresh.iter().filter(is_known) {
        let name = format!("{}, {}, {}", row.board, row.model, row.layer);
        match known.get(&key(row)) {
            None => errors.push(format!("{name}: not in the committed table; `{REFRESH}` refreshes it")),
            Some(before) => {
                let mut rise = |what: &str, now: u64, before: u64, percent: u64| {
                    if now * 100 > before * (100 + percent) {
                        errors.push(format!(
                            "{name}: {now} {what}, {before} in the committed table; if that is meant, `{REFRESH}` refreshes it"
                        ));
                    }
                };
                rise("instructions", row.instructions, before.instructions, 1);
                if let (Some(now), Some(before)) = (row.cycles, before.cycles) {
                    rise("predicted cycles", now, before, 2);
                }
            }
        }
    }
    errors
}

/// The rows of the table that is committed, or of the file at `path` where that is not in a repository.
///
/// # Errors
/// When they are no such table.
pub fn committed(path: &Path) -> Result<Vec<Row>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let shown = Command::new("git").arg("-C").arg(folder).args(["show", &format!("HEAD:./{name}")]).output();
    match shown {
        Ok(shown) if shown.status.success() => {
            serde_json::from_slice(&shown.stdout).with_context(|| format!("{} as it is committed", path.display()))
        }
        _ if path.exists() => read(path),
        _ => Ok(Vec::new()),
    }
}

/// The rows of a table that [`to_json`] wrote.
///
/// # Errors
/// When the file cannot be read or is no such table.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// A list of rows, one a line.
///
/// # Errors
/// Never, for rows are numbers and text.
pub fn to_json(rows: &[Row]) -> Result<String> {
    let lines: Vec<_> = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// The same for people.
#[must_use]
pub fn to_markdown(rows: &[Row]) -> String {
    let mut text = format!(
        "# Executed instructions and predicted cycles\n\n\
         Written by `{REFRESH}`; `bench.json` holds the same rows. Counted by QEMU (`-icount`), the same on every run. CMSIS-NN: July 2026,\n\
         `arm-none-eabi-gcc` 12.2, counted alike. Code is the runtime's, without model, start-up and logging. On mps2-an385 the code is Armv6-M's. Shipped\n\
         models are packed for the M4, also where they run on others. Cycles, and what\n\
         follows from them, are predicted from what QEMU executes:\n\n{}\n\
         ## Models\n\n\
         | board | model | instructions | per MAC | predicted cycles | ms | µJ | CMSIS-NN | times faster | arena | stack | code | weights |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        predicted_for(rows)
    );
    let per_mac = |row: &Row| match row.macs {
        0 => String::new(),
        macs => format!("{:.2}", row.instructions as f64 / macs as f64),
    };
    let cycles = |row: &Row| row.cycles.map_or(String::new(), grouped);
    let peer = |row: &Row| match row.peer_instructions {
        Some(peer) => (grouped(peer), format!("{:.2}", peer as f64 / row.instructions as f64)),
        None => Default::default(),
    };
    for row in rows {
        let Some(bytes) = row.bytes else { continue };
        let (peer, ratio) = peer(row);
        let [arena, stack, code, weights] =
            [bytes.arena, bytes.stack, bytes.code, bytes.weights].map(|bytes| grouped(bytes.into()));
        let (instructions, per_mac, cycles) = (grouped(row.instructions), per_mac(row), cycles(row));
        let [ms, energy] = time_and_energy(row);
        let _ = writeln!(
            text,
            "| {} | {} | {instructions} | {per_mac} | {cycles} | {ms} | {energy} | {peer} | {ratio} | {arena} | {stack} | {code} | {weights} |",
            row.board, row.model
        );
    }
    let mut heading = String::new();
    for row in rows.iter().filter(|row| row.bytes.is_none()) {
        let this = format!("{} on {}", row.model, row.board);
        if this != heading {
            let _ = write!(
                text,
                "\n## {this}\n\n| layer | MACs | instructions | per MAC | predicted cycles | CMSIS-NN | times faster |\n|---|---|---|---|---|---|---|\n"
            );
            heading = this;
        }
        let (peer, ratio) = peer(row);
        let (macs, instructions, per_mac) = (grouped(row.macs), grouped(row.instructions), per_mac(row));
        let cycles = cycles(row);
        let _ = writeln!(text, "| {} | {macs} | {instructions} | {per_mac} | {cycles} | {peer} | {ratio} |", row.layer);
    }
    text
}

/// The real board that a row's cycles are predicted for.
fn predicted(row: &Row) -> Option<&'static Board> {
    real(boards::all().iter().find(|board| board.name == row.board)?)
}

/// The boards that the cycles of these rows are predicted for, and how well.
fn predicted_for(rows: &[Row]) -> String {
    let mut boards: Vec<&Board> = Vec::new();
    for board in rows.iter().filter_map(predicted) {
        if !boards.contains(&board) {
            boards.push(board);
        }
    }
    let lines = boards.iter().filter_map(|board| {
        Some(format!("- {}, {}: {}.\n", board.title, board.core, Timing::of(board).ok()?.evidence(board)))
    });
    lines.collect()
}

/// Milliseconds and microjoules of a row's predicted cycles.
fn time_and_energy(row: &Row) -> [String; 2] {
    let speed = predicted(row).and_then(|board| board.speed.as_ref());
    let Some((speed, cycles)) = speed.zip(row.cycles) else { return Default::default() };
    let prediction = Prediction::of_cycles(cycles, speed);
    let microjoules = prediction.microjoules.map_or(String::new(), |energy| format!("{energy:.0}"));
    [format!("{:.2}", prediction.ms), microjoules]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(layer: &str, instructions: u64) -> Row {
        let (board, model) = ("b".to_owned(), "m".to_owned());
        let bytes = (layer == "total").then_some(Bytes { arena: 1, stack: 2, code: 3, weights: 4 });
        Row {
            board,
            model,
            layer: layer.to_owned(),
            macs: 10,
            instructions,
            cycles: Some(2 * instructions),
            flash_reads: None,
            peer_instructions: None,
            bytes,
        }
    }

    #[test]
    fn a_rise_of_more_than_a_hundredth_is_found() {
        let committed = [row("a", 1000), row("total", 1000)];
        assert!(rises(&[row("a", 1010), row("total", 900)], &committed).is_empty());
        let errors = rises(&[row("a", 1011), row("b", 1)], &committed);
        assert_eq!(errors.len(), 2);
        let slower = Row { cycles: Some(2041), ..row("a", 1000) };
        assert!(rises(&[slower], &committed)[0].contains("2041 predicted cycles, 2000 "));
        assert!(errors.iter().all(|error| error.contains(REFRESH)), "{errors:?}");
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let rows = vec![row("a", 5), row("total", 6)];
        assert_eq!(serde_json::from_str::<Vec<Row>>(&to_json(&rows).unwrap()).unwrap(), rows);
        assert!(to_markdown(&rows).contains("| b | m | 6 | 0.60 | 12 |"));
        assert_eq!(merged(rows.clone(), vec![row("a", 7)]), [row("a", 7)]);
    }
}
