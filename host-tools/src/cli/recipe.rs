//! `kinglet recipe`: what a recipe may say, and recipes for other machines.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::files;
use crate::train::{document, manual, pytorch, recipe_from};

/// Options of `kinglet recipe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A training in TOML, for `--pytorch`. Without it a recipe with every key, its default and its meaning is written.
    #[arg(requires = "pytorch")]
    recipe: Option<PathBuf>,
    /// Writes a self-contained PyTorch script: one machine, or several by `torchrun`. Its run folder is what quantize, export,
    /// publish and train --qat take.
    #[arg(long, requires_all = ["recipe", "output"])]
    pytorch: bool,
    /// Writes `models/RECIPES.md`: the recipe with every key, as a page.
    #[arg(long, conflicts_with = "pytorch")]
    document: bool,
    /// The file to write; standard output unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the recipe or the script.
///
/// # Errors
/// When the recipe is wrong, or asks for what the script cannot do.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Some(path) = &args.recipe else {
        let text = if args.document { document() } else { manual() };
        match &args.output {
            Some(output) => files::save(output, text)?,
            None => print!("{text}"),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let (recipe, output) = (recipe_from(path)?, args.output.as_ref().context("--pytorch needs --output")?);
    files::save(output, pytorch(&recipe)?)?;
    println!("python {} --data IMAGES --out RUN", output.display());
    if recipe.qat.is_some() {
        println!("then, for quantization-aware training: kinglet train --qat RUN --data IMAGES");
    }
    Ok(ExitCode::SUCCESS)
}
