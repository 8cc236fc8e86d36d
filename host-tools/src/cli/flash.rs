//! `kinglet flash`: a program of the firmware, with a model in it, onto a board on the desk.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::options::shipped;
use crate::device::{self, Board, Build, Elf, Program};
use crate::progress::waiting;

/// Options of `kinglet flash`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8; for programs that one is built into.
    #[arg(value_parser = shipped::model)]
    model: Option<PathBuf>,
    /// The board. `kinglet device boards` lists them.
    #[arg(long, value_name = "NAME")]
    board: String,
    /// What it does there: `serve` runs the images that `kinglet device eval --port` sends, `receive` and `keep` whatever model does,
    /// `mlperf` speaks MLPerf Tiny's protocol, `profile` counts the cycles of each layer, `selftest` checks every operator.
    #[arg(long, value_name = "NAME", default_value = "serve")]
    program: String,
}

/// Builds the program, flashes it with probe-rs, and shows its log until it ends or is ended.
///
/// # Errors
/// When there is no such board or program, the model does not fit, or probe-rs or the Rust target is missing.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (board, program) = (Board::named(&args.board)?, Program::named(&args.program)?);
    ensure!(program.is_for(board), "there is no program `{}` for {}", program.name(), board.name);
    match (program.holds_a_model(), &args.model) {
        (true, None) => bail!("a model is built into the program `{}`: say which", program.name()),
        (false, Some(model)) => {
            bail!("`{}`: no model is built into the program `{}`", model.display(), program.name())
        }
        _ => {}
    }
    let chip = board.chip.with_context(|| {
        format!("{} is emulated: `kinglet profile` and `kinglet device eval --qemu` run models there", board.name)
    })?;
    onto(board, chip, program, args.model.as_deref())
}

/// The same for a board of which all is known.
pub(super) fn onto(board: &'static Board, chip: &str, program: Program, model: Option<&Path>) -> Result<ExitCode> {
    let elf = build(board, program, model)?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &elf.bytes)?;
    let status = device::flash(file.path(), chip)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds a program of the firmware; says so, for the first time takes long.
pub(super) fn build(board: &'static Board, program: Program, model: Option<&Path>) -> Result<Elf> {
    let bar = waiting(format!("building the firmware for {}: slow the first time, then seconds", board.name));
    let elf = Build { model, ..Build::new(board, program) }.run();
    bar.finish_and_clear();
    elf
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_cannot_be_flashed_is_said_before_anything_is_built() {
        for (words, said) in [
            (&["digits-resnet", "--board", "mps2-an386"][..], "is emulated: `kinglet profile`"),
            (&["digits-resnet", "--board", "nucleo-f446rx"], "nucleo-f446re"),
            (&["--board", "nucleo-f446re"], "say which"),
            (&["digits-resnet", "--board", "nucleo-f446re", "--program", "keep"], "no model is built into"),
            (&["--board", "pico2", "--program", "keep"], "no program `keep` for pico2"),
            (&["--board", "pico2", "--program", "blink"], "no program called `blink`"),
        ] {
            let words = ["flash"].iter().chain(words);
            let error = run(&Line::try_parse_from(words).unwrap().args).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
