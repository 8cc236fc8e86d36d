//! `kinglet recipe`: a recipe for other machines.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::files;
use crate::train::{pytorch, recipe_from};

/// Options of `kinglet recipe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A training in TOML.
    recipe: PathBuf,
    /// Writes a self-contained PyTorch script: one machine, or several by `torchrun`. Its run folder is what quantize, export,
    /// publish and train --qat take.
    #[arg(long, required = true)]
    pytorch: bool,
    /// The script to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Writes the script.
///
/// # Errors
/// When the recipe is wrong, or asks for what the script cannot do.
pub fn run(args: &Args) -> Result<ExitCode> {
    let recipe = recipe_from(&args.recipe)?;
    files::save(&args.output, pytorch(&recipe)?)?;
    println!("python {} --data IMAGES --out RUN", args.output.display());
    if recipe.qat.is_some() {
        println!("then, for quantization-aware training: kinglet train --qat RUN --data IMAGES");
    }
    Ok(ExitCode::SUCCESS)
}
