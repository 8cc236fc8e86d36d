//! `kinglet device`: the boards, and running firmware images on emulated ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::device::{self, BOARDS, Elf, Measurements};

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
            println!("{:<12} {:<32} {:<28} {:>8} {:>8}", "board", "core", "target", "flash", "RAM");
            for board in BOARDS {
                let kb = |bytes: u32| format!("{} KB", bytes / 1024);
                let (flash, ram) = (kb(board.flash), kb(board.ram));
                println!("{:<12} {:<32} {:<28} {flash:>8} {ram:>8}", board.name, board.core, board.target);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { elf, limit } => run_image(elf, Duration::from_secs(*limit)),
    }
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
