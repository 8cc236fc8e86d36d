//! `kinglet export`: from a run folder to a model file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::budgets::Budgets;
use crate::report::table::grouped;
use crate::train::RunFolder;
use crate::{deploy, files, graph};

/// Options of `kinglet export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run folder that `kinglet train` wrote: its weights, and the recipe that names its data.
    run: PathBuf,
    /// The model file to write (.kgl); by default `model.kgl` in the run folder.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Held-in images to choose ranges by.
    #[arg(long, default_value_t = deploy::CALIBRATION_IMAGES)]
    calibration_images: usize,
    #[command(flatten)]
    budgets: Budgets,
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
    let options = args.budgets.options();
    let exported = deploy::deploy(&model.graph, &model.params, &data.train, args.calibration_images, &options)?;
    let path = args.output.clone().unwrap_or_else(|| folder.file("model.kgl"));
    files::write(&path, &exported.bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    let [flash, arena, bound] =
        [exported.bytes.len() as u64, exported.plan.arena_len.into(), exported.plan.lower_bound.into()].map(grouped);
    println!("{}: {flash} bytes of model, {arena} bytes of arena (lower bound {bound})", path.display());
    Ok(ExitCode::SUCCESS)
}
