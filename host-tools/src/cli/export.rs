//! `kinglet export`: from a run folder to a model file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::budgets::{Budgets, cost};
use super::quantization::Quantization;
use crate::import::tflite;
use crate::report::table::grouped;
use crate::train::RunFolder;
use crate::{deploy, export, files, graph};

/// Options of `kinglet export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run folder that `kinglet train` wrote: its weights, and the recipe that names its data.
    run: PathBuf,
    /// The file to write; by default `model.kgl` or `model.tflite` in the run folder.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// What to write: a model file for the runtime, or a TensorFlow Lite file for other tools.
    #[arg(long, value_enum, default_value_t = Format::Kgl)]
    format: Format,
    /// Held-in images to choose ranges by.
    #[arg(long, default_value_t = deploy::CALIBRATION_IMAGES)]
    calibration_images: usize,
    #[command(flatten)]
    quantization: Quantization,
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
    let folder = RunFolder::new(&args.run);
    let recipe = folder.recipe()?;
    let model = graph::load(&folder.file("weights.safetensors"))?;
    let data = recipe.data.load()?;
    let quantization = deploy::Options { images: args.calibration_images, quantize: args.quantization.options() };
    let network = deploy::quantize(&model.graph, &model.params, &data.train, &quantization)?;
    if args.format == Format::Tflite {
        let path = args.output.clone().unwrap_or_else(|| folder.file("model.tflite"));
        let bytes = tflite::to_bytes(&network)?;
        files::write(&path, &bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        println!("{}: {} bytes", path.display(), grouped(bytes.len() as u64));
        return Ok(ExitCode::SUCCESS);
    }
    let exported = export::to_bytes(&network, &args.budgets.options())?;
    let path = args.output.clone().unwrap_or_else(|| folder.file("model.kgl"));
    files::write(&path, &exported.bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    println!("{}: {}", path.display(), cost(&exported));
    Ok(ExitCode::SUCCESS)
}
