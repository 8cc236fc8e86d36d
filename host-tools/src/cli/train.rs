//! `kinglet train`: from a recipe to a run folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::files;
use crate::train::{self, Recipe, RunFolder, Trainer, bar, recipe_from};

/// Options of `kinglet train`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["recipe", "network", "resume"])))]
pub struct Args {
    /// A training in TOML.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// A network of the zoo, with its default training on the embedded digits.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// A run folder whose training goes on from its last checkpoint.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "seed", "epochs"])]
    resume: Option<PathBuf>,
    /// The run folder; `target/kinglet/runs/NAME` unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The images, if they lie elsewhere than the recipe says.
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    data: Option<PathBuf>,
    /// Start of all random numbers, instead of the recipe's.
    #[arg(long)]
    seed: Option<u64>,
    /// Passes over the training images, instead of the recipe's.
    #[arg(long)]
    epochs: Option<usize>,
    /// Leave out broken image files, instead of stopping at the first one.
    #[arg(long)]
    skip_bad: bool,
    /// Writes a sheet of augmented training images as PNG, and does not train.
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
}

/// Trains, and writes recipe, weights and metrics.
///
/// # Errors
/// When recipe, data or run folder are wrong, or the training diverges.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (mut recipe, folder) = match &args.resume {
        Some(folder) => {
            let folder = RunFolder::new(folder);
            (folder.recipe()?, folder)
        }
        None => {
            let mut recipe = match (&args.recipe, &args.network) {
                (Some(path), _) => recipe_from(path)?,
                (None, name) => Recipe::for_network(name.as_deref().unwrap_or_default()),
            };
            if let Some(path) = &args.data {
                recipe.data.set_path(path);
            }
            recipe.seed = args.seed.unwrap_or(recipe.seed);
            recipe.epochs = args.epochs.unwrap_or(recipe.epochs);
            let default = || PathBuf::from("target/kinglet/runs").join(recipe.network.name());
            let folder = RunFolder::new(&args.out.clone().unwrap_or_else(default));
            (recipe, folder)
        }
    };
    if args.skip_bad {
        recipe.data.skip_bad();
    }
    let data = recipe.data.load()?;
    if data.skipped > 0 {
        eprintln!("{}: {} broken files skipped", data.name, data.skipped);
    }
    if let Some(path) = &args.preview {
        files::write(path, &train::preview(&recipe, &data)?)?;
        println!("augmented images in {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut trainer = match args.resume {
        Some(_) => folder.resume(&data)?,
        None => Trainer::new(&recipe, &data)?,
    };
    eprintln!(
        "{}: {} parameters, {} MACs; {}: {} images, {} held out",
        trainer.graph().name,
        trainer.graph().trainable_len(),
        trainer.graph().macs(),
        data.name,
        data.train.len(),
        data.test.len()
    );
    trainer.train(Some(&folder), bar(recipe.network.name()))?;
    let trained = trainer.finish();
    let path = folder.finish(&trained)?;
    folder.write_confusion(&trained, &data)?;
    println!("held-out accuracy {:.2} %, weights in {}", 100.0 * trained.accuracy(), path.display());
    Ok(ExitCode::SUCCESS)
}
