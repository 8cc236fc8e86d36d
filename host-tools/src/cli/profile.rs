//! `kinglet profile`: what each layer of a model takes on a board.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::device::{self, Board, Build, Measurements, Program};
use crate::report::table::{Table, grouped};

/// Options of `kinglet profile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl).
    model: PathBuf,
    /// The board: in QEMU instructions are counted, on a board cycles, once probe-rs has flashed it. `kinglet device boards` lists them.
    #[arg(long, value_name = "NAME", default_value = "mps2-an386")]
    board: String,
    /// In QEMU: ends it after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
    /// In QEMU: print the table as JSON.
    #[arg(long)]
    json: bool,
}

/// Builds the firmware's program `profile` around the model, runs it, and prints a row for each layer.
///
/// # Errors
/// When there is no such board, the model does not fit it, or QEMU, probe-rs or the Rust target is missing.
pub fn run(args: &Args) -> Result<ExitCode> {
    let board = Board::named(&args.board)?;
    eprintln!("building the firmware for {}: slow the first time, then seconds", board.name);
    let (model, program) = (Some(&*args.model), Program::Profile);
    let elf = Build { board, program, model, images: None, small: false }.run()?;
    if let Some(chip) = board.chip {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &elf.bytes)?;
        let status = device::flash(file.path(), chip)?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let run = device::run(&elf, Path::new("."), Duration::from_secs(args.limit), |_| {})?;
    run.success()?;
    let measured = Measurements::read(&run.log)?;
    if args.json {
        let mut table = Table::new(["step", "operator", "layer", "instructions", "MACs"]);
        for step in &measured.steps {
            let [instructions, macs] = [step.instructions, step.macs].map(grouped);
            table.row([step.index.to_string(), step.op.clone(), step.name.clone(), instructions, macs]);
        }
        let all = serde_json::json!({
            "board": measured.board, "model": measured.model, "instructions": measured.instructions,
            "stack": measured.stack_bytes, "arena": measured.arena_bytes, "steps": table.to_json(),
        });
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        println!("{measured}");
    }
    Ok(ExitCode::SUCCESS)
}
