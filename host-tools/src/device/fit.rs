//! What the firmware's programs take of each board's memories, and whether they fit.

use std::path::Path;

use anyhow::{Context, Result};

use super::firmware::TOO_LARGE;
use super::{Board, Build, Elf, Memories, Program, Sizes};
use crate::report::table::{Table, grouped};

/// A program on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The board.
    pub board: &'static str,
    /// The program.
    pub program: Program,
    /// The model that is built in, for programs that hold one.
    pub model: Option<String>,
    /// What it takes, of what there is; `None` when it does not fit.
    pub taken: Option<(Sizes, Memories)>,
}

/// Builds programs for a board with a model, which must fit and start.
///
/// # Errors
/// When one cannot be built, does not fit, or would not start.
pub fn measure(board: &'static Board, programs: &[Program], model: &Path) -> Result<Vec<Fit>> {
    let programs: Vec<_> = programs.iter().copied().filter(|program| program.is_for(board)).collect();
    // Of all operators, 256 KB of flash hold only what is built for size.
    let (all, some): (Vec<_>, Vec<_>) = programs.into_iter().partition(|program| {
        matches!(program, Program::Selftest | Program::Receive) && board.flash.bytes() <= 256 * 1024
    });
    let mut fits = Vec::new();
    for (programs, small) in [(some, false), (all, true)] {
        if let Some(&program) = programs.first() {
            let elves = Build { model: Some(model), small, ..Build::new(board, program) }.run_all(&programs)?;
            for (program, elf) in programs.into_iter().zip(&elves) {
                fits.push(fit(program, model, elf).with_context(|| format!("{} for {}", program.name(), board.name))?);
            }
        }
    }
    Ok(fits)
}

/// As [`measure`], for the program that classifies images, with a model that need not fit.
///
/// # Errors
/// When it cannot be built for another reason, or would not start.
pub fn infer(board: &'static Board, model: &Path) -> Result<Fit> {
    let program = Program::Infer;
    match (Build { model: Some(model), ..Build::new(board, program) }).run() {
        Ok(elf) => fit(program, model, &elf),
        Err(error) if format!("{error:#}").contains(TOO_LARGE) => {
            Ok(Fit { board: board.name, program, model: Some(name(model)), taken: None })
        }
        Err(error) => Err(error),
    }
}

fn fit(program: Program, model: &Path, elf: &Elf) -> Result<Fit> {
    elf.check_starts()?;
    let (sizes, memories) = (elf.sizes()?, elf.memories()?);
    let model = program.holds_a_model().then(|| name(model));
    Ok(Fit { board: elf.board.name, program, model, taken: Some((sizes, memories)) })
}

/// The file's name, without what all model files end with.
fn name(model: &Path) -> String {
    model.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A row for each.
#[must_use]
pub fn to_table(fits: &[Fit]) -> Table {
    let heading =
        ["board", "program", "model", "flash", "of", "RAM", "of which stack", "of RAM", "second RAM", "of it"];
    let mut table = Table::new(heading);
    for Fit { board, program, model, taken } in fits {
        let [board, program, model] = [*board, program.name(), model.as_deref().unwrap_or("")].map(str::to_owned);
        let [flash, of_flash, ram, stack, of_ram, slow, of_slow] = match taken {
            Some((used, has)) => {
                let ram = used.statics + used.stack;
                let slow = if has.slow == 0 { [None; 2] } else { [Some(used.slow), Some(has.slow)] };
                let [used_slow, has_slow] = slow;
                [Some(used.flash), Some(has.flash), Some(ram), Some(used.stack), Some(has.ram), used_slow, has_slow]
                    .map(|bytes| bytes.map_or_else(String::new, |bytes| grouped(bytes.into())))
            }
            None => ["does not fit", "", "", "", "", "", ""].map(str::to_owned),
        };
        table.row([board, program, model, flash, of_flash, ram, stack, of_ram, slow, of_slow]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_is_taken_and_what_does_not_fit() {
        let sizes = Sizes { flash: 70_000, statics: 9_000, stack: 1_000, slow: 0 };
        let memories = Memories { flash: 524_288, ram: 131_072, slow: 0 };
        let fit = |model: &str, taken| Fit { board: "b", program: Program::Infer, model: Some(model.into()), taken };
        let two = Some((Sizes { slow: 300, ..sizes }, Memories { slow: 4096, ..memories }));
        let table = to_table(&[fit("one", Some((sizes, memories))), fit("two", two), fit("three", None)]).to_markdown();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| b | infer | one | 70,000 | 524,288 | 10,000 | 1,000 | 131,072 |  |  |",
                "| b | infer | two | 70,000 | 524,288 | 10,000 | 1,000 | 131,072 | 300 | 4,096 |",
                "| b | infer | three | does not fit |  |  |  |  |  |  |",
            ]
        );
        assert!(table.lines().all(|line| line.matches('|').count() == 11), "{table}");
    }

    #[test]
    fn programs_are_for_boards_that_can_run_them() {
        let is_for = |program: Program, board| program.is_for(Board::named(board).unwrap());
        assert!(is_for(Program::Eval, "microbit") && !is_for(Program::Eval, "pico2"));
        assert!(is_for(Program::Receive, "lm3s6965evb") && !is_for(Program::Receive, "microbit"));
        assert!(is_for(Program::Keep, "nucleo-f446re") && !is_for(Program::Keep, "olimex-stm32-h405"));
        assert!(Program::ALL.iter().all(|&program| Program::named(program.name()).unwrap() == program));
    }
}
