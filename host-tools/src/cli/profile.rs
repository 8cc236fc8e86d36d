//! `kinglet profile`: what each layer of a model takes on a board.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::ProgressBar;

use super::flash;
use super::options::json::Json;
use super::options::line::Line;
use super::options::shipped;
use crate::device::steps;
use crate::device::{self, Board, Measurements, Program};
use crate::files;
use crate::progress::{styled, waiting};
use crate::report::table::{Table, grouped};

/// Options of `kinglet profile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
    #[arg(value_parser = shipped::model)]
    model: PathBuf,
    /// The board: in QEMU instructions are counted, on a board cycles, once probe-rs has flashed it. `kinglet device boards` lists them.
    #[arg(long, value_name = "NAME", default_value = "mps2-an386")]
    board: String,
    /// A board's serial port instead, like /dev/ttyACM0 or COM3, with the firmware's program `serve`, `receive` or `keep` flashed: each
    /// step's ticks by the board's own clock, without flashing anew.
    #[arg(long, value_name = "PORT", conflicts_with_all = ["board", "limit"])]
    port: Option<String>,
    /// The port's speed.
    #[arg(long, default_value_t = 115_200, requires = "port")]
    baud: u32,
    /// In QEMU: ends it after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
    #[command(flatten)]
    json: Json,
}

/// Builds the firmware's program `profile` around the model, runs it, and prints a row for each layer.
///
/// # Errors
/// When there is no such board, the model does not fit it, or QEMU, probe-rs or the Rust target is missing.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(port) = &args.port {
        return over_line(&Line::at(port.clone(), args.baud), args);
    }
    let board = Board::named(&args.board)?;
    ensure!(
        !(args.json.is_asked() && board.chip.is_some()),
        "--json: over RTT a board logs text; `--port` gives figures"
    );
    if let Some(chip) = board.chip {
        return flash::onto(board, chip, Program::Profile, Some(&args.model));
    }
    let measured = count(board, &args.model, Duration::from_secs(args.limit))?;
    if args.json.is_asked() {
        let mut table = Table::new(["step", "operator", "layer", "instructions", "MACs"]);
        for step in &measured.steps {
            let [instructions, macs] = [step.instructions, step.macs].map(grouped);
            table.row([step.index.to_string(), step.op.clone(), step.name.clone(), instructions, macs]);
        }
        args.json.print(&serde_json::json!({
            "board": measured.board, "model": measured.model, "instructions": measured.instructions,
            "stack": measured.stack_bytes, "arena": measured.arena_bytes, "steps": table.to_json(),
        }))?;
    } else {
        println!("{measured}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts the instructions of each layer in QEMU.
pub(super) fn count(board: &'static Board, model: &Path, limit: Duration) -> Result<Measurements> {
    let elf = flash::build(board, Program::Profile, Some(model))?;
    let bar = waiting(format!("counting instructions on {} in QEMU", board.name));
    let measured = device::count(&elf, limit);
    bar.finish_and_clear();
    measured
}

/// Asks the board at the other end of a serial line.
fn over_line(line: &Line, args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let model = super::open_model(&args.model, &bytes)?;
    let device = line.open(Program::Receive, &args.model)?;
    let bar = styled(ProgressBar::new(model.step_count() as u64), "{bar:30} {pos} of {len} steps | ready in {eta}");
    let times = steps::measure(device, model, || bar.inc(1));
    bar.finish_and_clear();
    let times = times?;
    match args.json.is_asked() {
        true => args.json.print(&times.figures())?,
        false => println!("{times}"),
    }
    Ok(ExitCode::SUCCESS)
}
