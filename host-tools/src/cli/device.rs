//! `kinglet device`: the boards, and running firmware images on emulated ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::device::bench::{self, Subject};
use crate::device::{self, BOARDS, Board, Elf, Measurements};
use crate::files;

/// Options of `kinglet device`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the boards that the firmware is built for.
    Boards,
    /// Count the instructions of models and single kernels on every board, and write `firmware/BENCH.md` and `firmware/bench.json`.
    Bench {
        /// Measures this model file instead, and prints its table.
        #[arg(long, value_name = "FILE")]
        model: Vec<PathBuf>,
        /// The boards to measure on; all of the bench unless given. The tables keep the rows of other boards.
        #[arg(long, value_name = "NAME")]
        board: Vec<String>,
    },
    /// Run a firmware image in QEMU and show its log; the exit code is the firmware's. What `cargo run` in firmware/ calls.
    Run {
        /// The image: an ELF file.
        elf: PathBuf,
        /// End it after this many seconds.
        #[arg(long, default_value_t = 600)]
        limit: u64,
    },
}

/// Runs the command.
///
/// # Errors
/// When the image is not Kinglet's firmware, or QEMU is missing, or the time is up.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Boards => {
            println!("{:<18} {:<32} {:<28} {:>8} {:>8}", "board", "core", "target", "flash", "RAM");
            for board in BOARDS {
                let kb = |bytes: u32| format!("{} KB", bytes / 1024);
                let (flash, ram) = (kb(board.flash), kb(board.ram));
                println!("{:<18} {:<32} {:<28} {flash:>8} {ram:>8}", board.name, board.core, board.target);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench { model, board } => measure(model, board),
        Command::Run { elf, limit } => run_image(elf, Duration::from_secs(*limit)),
    }
}

/// Measures the models on the boards, or refreshes the tables.
fn measure(models: &[PathBuf], boards: &[String]) -> Result<ExitCode> {
    let names: Vec<&str> =
        if boards.is_empty() { bench::boards().collect() } else { boards.iter().map(String::as_str).collect() };
    if models.is_empty() {
        let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent folder")?.join("firmware");
        let [json, markdown] = ["bench.json", "BENCH.md"].map(|name| firmware.join(name));
        let mut rows = if json.exists() { bench::read(&json)? } else { Vec::new() };
        // Board by board, so that what was measured is kept when another one fails.
        for name in names {
            rows = bench::merged(rows, bench::all(name, |what| eprintln!("{what}"))?);
            for (path, text) in [(&json, bench::to_json(&rows)?), (&markdown, bench::to_markdown(&rows))] {
                files::save(path, &text)?;
            }
        }
        println!("{}\n{}", json.display(), markdown.display());
        return Ok(ExitCode::SUCCESS);
    }
    let subjects = models.iter().map(|path| Subject::read(path)).collect::<Result<Vec<_>>>()?;
    let (mut rows, mut exit) = (Vec::new(), ExitCode::SUCCESS);
    for name in names {
        let board = Board::named(name)?;
        for subject in &subjects {
            match bench::measure(board, subject) {
                Ok(measured) => rows.extend(measured),
                // Not every model fits every board.
                Err(error) => {
                    eprintln!("error: {} on {name}: {error:#}", subject.name);
                    exit = ExitCode::FAILURE;
                }
            }
        }
    }
    println!("{}", bench::to_markdown(&rows));
    Ok(exit)
}

fn run_image(path: &Path, limit: Duration) -> Result<ExitCode> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let elf = Elf::parse(bytes).with_context(|| path.display().to_string())?;
    let run = device::run(&elf, Path::new("."), limit, |line| println!("{line}"))?;
    let measured = Measurements::read(&run.log)?;
    if !measured.steps.is_empty() {
        println!("\n{measured}");
    }
    if let Err(error) = run.success() {
        eprintln!("error: the firmware on {} {}", elf.board.name, error.to_string().lines().next().unwrap_or_default());
        return Ok(run.code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    Ok(ExitCode::SUCCESS)
}
