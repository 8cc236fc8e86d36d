//! `kinglet new`: a firmware project around a model.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::template::{Project, Runtime, boards};

/// Options of `kinglet new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to make; it must be empty if it is there.
    folder: PathBuf,
    /// The board: mps2-an386 (QEMU), nrf52840-dk, nucleo-f446re, nucleo-h743zi or pico2; or its chip, like nrf52840.
    #[arg(long)]
    board: String,
    /// The model file; it is copied into the project.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The package's name; the folder's unless given.
    #[arg(long)]
    name: Option<String>,
    /// A checkout of Kinglet to take the runtime from, instead of the published crate.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

/// Makes the project and says what comes next.
///
/// # Errors
/// As [`Project::create`].
pub fn run(args: &Args) -> Result<ExitCode> {
    let board = boards::named(&args.board)?;
    let runtime = args.path.clone().map_or(Runtime::Version, Runtime::Path);
    let (folder, name) = (args.folder.as_path(), args.name.as_deref());
    Project { folder, name, board, model: &args.model, runtime }.create()?;
    println!("{}: a project for {}; its README.md says more", folder.display(), board.title);
    println!("    cd {} && cargo run --release", folder.display());
    Ok(ExitCode::SUCCESS)
}
