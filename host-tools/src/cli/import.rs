//! `kinglet import`: makes a model file of a TensorFlow Lite or ONNX file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use super::budgets::Budgets;
use crate::import::{self, Options, RoundingMode};
use crate::{export, files};

/// Options of `kinglet import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model: TensorFlow Lite (.tflite) or ONNX (.onnx).
    model: PathBuf,
    /// The model file to write (.kgl).
    #[arg(short, long)]
    output: PathBuf,
    /// How scaled sums are rounded: twice (as microcontrollers do), as TensorFlow Lite's desktop reference kernels, or
    /// once. By default as the file says, else twice.
    #[arg(long, value_enum)]
    rounding: Option<RoundingMode>,
    /// The classes' names: a text file with one on each line.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// The model's name; by default that of the file.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    budgets: Budgets,
}

/// Runs the command.
///
/// # Errors
/// Lists everything in the model that is not supported; nothing is written then.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let labels = match &args.labels {
        Some(path) => labels(&files::read(path)?).with_context(|| format!("`{}`", path.display()))?,
        None => Vec::new(),
    };
    let name = args.name.clone().unwrap_or_else(|| import::name_of(&args.model));
    let options = Options { name, rounding: args.rounding, labels };
    let imported = import::import(&bytes, &options).with_context(|| format!("`{}`", args.model.display()))?;
    let network = &imported.network;
    let classes = network.tensors[network.output].shape.len() as usize;
    ensure!(
        network.labels.is_empty() || network.labels.len() == classes,
        "{} labels for {classes} outputs",
        network.labels.len()
    );
    let exported = export::to_file(network, &args.budgets.options(), &args.output)?;
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    println!(
        "{}: {} operators, {} bytes of model, {} bytes of arena",
        args.output.display(),
        network.nodes.len(),
        exported.bytes.len(),
        exported.plan.arena_len
    );
    Ok(ExitCode::SUCCESS)
}

/// The lines of a text file that are not empty.
fn labels(bytes: &[u8]) -> Result<Vec<String>> {
    let text = std::str::from_utf8(bytes).context("not a text file in UTF-8")?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
