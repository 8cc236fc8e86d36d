//! `kinglet export`: from a run folder to a model file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::budgets::{Budgets, cost};
use super::trained::{Opened, Trained};
use crate::import::tflite;
use crate::report::table::grouped;
use crate::{deploy, export, files};

/// Options of `kinglet export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trained: Trained,
    /// The file to write; by default `model.kgl` or `model.tflite` in the run folder.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// What to write: a model file for the runtime, or a TensorFlow Lite file for other tools.
    #[arg(long, value_enum, default_value_t = Format::Kgl)]
    format: Format,
    #[command(flatten)]
    budgets: Budgets,
}

/// The kind of file to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Kinglet's model file.
    Kgl,
    /// TensorFlow Lite, int8; `kinglet import` makes the same model file of it.
    Tflite,
}

/// Quantizes, plans and writes the model; the runtime has accepted it before it gets its name.
///
/// # Errors
/// Names the file or the node that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Opened { folder, model, data, quantization, .. } = args.trained.open()?;
    let network = deploy::quantize(&model.graph, &model.params, &data.train, &quantization)?;
    if args.format == Format::Tflite {
        let path = args.output.clone().unwrap_or_else(|| folder.file("model.tflite"));
        let bytes = tflite::to_bytes(&network)?;
        files::save(&path, &bytes)?;
        println!("{}: {} bytes", path.display(), grouped(bytes.len() as u64));
        return Ok(ExitCode::SUCCESS);
    }
    let exported = export::to_bytes(&network, &args.budgets.options())?;
    let path = args.output.clone().unwrap_or_else(|| folder.file("model.kgl"));
    files::save(&path, &exported.bytes)?;
    println!("{}: {}", path.display(), cost(&exported));
    Ok(ExitCode::SUCCESS)
}
