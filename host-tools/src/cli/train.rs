//! `kinglet train`: from a recipe to a run folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::train::{self, Distill, Recipe, RunFolder, Trainer, bar, recipe_from};
use crate::{files, graph};

/// Options of `kinglet train`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["recipe", "network", "qat", "resume"])))]
pub struct Args {
    /// A training in TOML.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// A network of the zoo, with its default training on the embedded digits.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// A run folder, or a folder of `models/`, whose network is trained on in int8, as its recipe says under `qat`.
    #[arg(long, value_name = "RUN")]
    qat: Option<PathBuf>,
    /// A run folder whose training goes on from its last checkpoint.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "seed", "epochs"])]
    resume: Option<PathBuf>,
    /// The run folder; `target/kinglet/runs/NAME` unless given, or `NAME-qat` there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The images, if they lie elsewhere than the recipe says.
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    data: Option<PathBuf>,
    /// The run folder of a larger network to learn from, if it lies elsewhere than the recipe says, or it says nothing.
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    teacher: Option<PathBuf>,
    /// Start of all random numbers, instead of the recipe's.
    #[arg(long, conflicts_with = "qat")]
    seed: Option<u64>,
    /// Passes over the training images, instead of the recipe's; with `--qat` those in int8.
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
            let mut recipe = match (&args.recipe, &args.qat, &args.network) {
                (Some(path), ..) => recipe_from(path)?,
                (_, Some(run), _) => RunFolder::new(run).recipe()?,
                (.., name) => Recipe::for_network(name.as_deref().unwrap_or_default()),
            };
            if let Some(path) = &args.data {
                recipe.data.set_path(path);
            }
            if let Some(teacher) = &args.teacher {
                recipe.distill.get_or_insert_with(|| Distill::from(teacher)).teacher.clone_from(teacher);
            }
            recipe.seed = args.seed.unwrap_or(recipe.seed);
            let mut name = recipe.network.name().to_owned();
            if args.qat.is_some() {
                let qat = recipe.qat.get_or_insert_default();
                qat.epochs = args.epochs.or(qat.epochs);
                name += "-qat";
            } else {
                recipe.epochs = args.epochs.unwrap_or(recipe.epochs);
            }
            let default = || PathBuf::from("target/kinglet/runs").join(name);
            let out = args.out.clone().unwrap_or_else(default);
            if let Some(run) = &args.qat {
                let same = std::fs::canonicalize(run).ok() == std::fs::canonicalize(&out).ok();
                ensure!(!same, "`{}` is the run to start from: its files would be replaced", out.display());
            }
            (recipe, RunFolder::new(&out))
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
    let mut trainer = match (&args.resume, &args.qat) {
        (Some(_), _) => folder.resume(&data)?,
        (None, Some(run)) => {
            let run = RunFolder::new(run);
            let model = graph::load(&run.file("weights.safetensors"))?;
            Trainer::tune(&recipe, &data, &model, run.history()?)?
        }
        (None, None) => Trainer::new(&recipe, &data)?,
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
    let accuracy = 100.0 * trained.accuracy();
    match trained.float_accuracy() {
        Some(float) => print!("held-out accuracy {accuracy:.2} % in int8 after {:.2} % in float", 100.0 * float),
        None => print!("held-out accuracy {accuracy:.2} %"),
    }
    println!(", weights in {}", path.display());
    Ok(ExitCode::SUCCESS)
}
