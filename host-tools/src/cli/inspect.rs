//! `kinglet inspect`: what a model file holds and costs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::options::json::Json;
use super::options::shipped;
use crate::boards::{self, Memory};
use crate::cycles::Predictor;
use crate::files;
use crate::report::inspection::Inspection;
use crate::report::plot;
use crate::report::table::grouped;
use crate::words::bytes;

/// Options of `kinglet inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
    #[arg(value_parser = shipped::model)]
    model: PathBuf,
    #[command(flatten)]
    json: Json,
    /// Draw the arena over time: offset against time slot, a box per tensor (.svg).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// The board's bytes of RAM for the arena, as 65536 or 64K: says whether the model fits; exit code 1 when it does not.
    #[arg(long, value_parser = bytes)]
    ram: Option<u32>,
    /// The board's bytes of flash for the model file, as 262144 or 256K: likewise.
    #[arg(long, value_parser = bytes)]
    flash: Option<u32>,
    /// A board, by its name or its chip's: says whether its flash and RAM hold the model beside code and stack, and, where it is known
    /// how fast it is, what an inference takes.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ram", "flash"])]
    board: Option<String>,
}

/// Whether `needed` bytes fit into the board's `size`, in words.
fn fits(what: &str, needed: usize, size: u32) -> (bool, String) {
    let (needed, size) = (needed as u64, u64::from(size));
    let words = match size.checked_sub(needed) {
        Some(rest) => format!("fits, {} bytes left", grouped(rest)),
        None => format!("does not fit, {} bytes are missing", grouped(needed - size)),
    };
    (needed <= size, format!("{what:<7} {} of the board's {} bytes: {words}", grouped(needed), grouped(size)))
}

/// Prints the model.
///
/// # Errors
/// Names the file and the field when it is not a valid model, and the picture when it cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let model = super::open_model(&args.model, &bytes)?;
    let board = args.board.as_deref().map(|name| boards::find(name, boards::all().iter(), "there are")).transpose()?;
    let mut inspection = Inspection::of(&model);
    if let Some(board) = board.filter(|board| board.speed.is_some()) {
        match Predictor::of(board) {
            Ok(predictor) => inspection = inspection.predicted(predictor.model(&model)),
            Err(error) => eprintln!("{error:#}"),
        }
    }
    match args.json.is_asked() {
        true => args.json.print(&inspection)?,
        false => print!("{inspection}"),
    }
    let mut code = ExitCode::SUCCESS;
    let (ram, flash) = match board {
        Some(board) => (board.ram.iter().map(Memory::arena_bytes).max(), Some(board.model_bytes())),
        None => (args.ram, args.flash),
    };
    let board = [("arena", inspection.arena_bytes, ram), ("flash", inspection.file_bytes, flash)];
    for (what, needed, size) in board.into_iter().filter_map(|(what, needed, size)| Some((what, needed, size?))) {
        let (fit, words) = fits(what, needed, size);
        println!("{words}");
        if !fit {
            code = ExitCode::FAILURE;
        }
    }
    if let Some(path) = &args.plot {
        let picture = plot::arena(&model)?;
        files::save(path, &picture)?;
    }
    Ok(code)
}
