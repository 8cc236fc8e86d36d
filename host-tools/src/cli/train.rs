//! `kinglet train`: from a recipe to a run folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::data::Dataset;
use crate::report::table::grouped;
use crate::train::{self, Distill, Recipe, RunFolder, Trained, Trainer, bar, recipe_from};
use crate::{deploy, export, files, graph};

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
    /// The run folder, which must not hold a run; unless given `target/kinglet/runs/NAME`, or `NAME-qat` there, with a number
    /// if that is taken.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replaces the run that is in the folder.
    #[arg(long)]
    force: bool,
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
            let out = match &args.out {
                Some(out) => out.clone(),
                None => unused(&Path::new("target/kinglet/runs").join(name), args.force),
            };
            if let Some(run) = &args.qat {
                let same = std::fs::canonicalize(run).ok() == std::fs::canonicalize(&out).ok();
                ensure!(!same, "`{}` is the run to start from: its files would be replaced", out.display());
            }
            let folder = RunFolder::new(&out);
            ensure!(
                args.force || args.preview.is_some() || !folder.is_taken(),
                "`{}` holds a run: give another --out, --force to replace it, or --resume to go on with it",
                out.display()
            );
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
    let _claim = folder.claim()?;
    let mut trainer = match (&args.resume, &args.qat) {
        (Some(_), _) => folder.resume(&data)?,
        (None, Some(run)) => {
            let run = RunFolder::new(run);
            let model = graph::load(&run.file("weights.safetensors"))?;
            Trainer::tune(&recipe, &data, &model, run.history()?)?
        }
        (None, None) => Trainer::new(&recipe, &data)?,
    };
    let graph = recipe.network.merged().build(&data.classes, &trainer.graph().preprocess)?;
    eprintln!(
        "{}: {} parameters, {} MACs; {}: {} images, {} held out; {} MB of memory",
        graph.name,
        graph.trainable_len(),
        graph.macs(),
        data.name,
        data.train.len(),
        data.test.len(),
        trainer.memory().div_ceil(1_000_000)
    );
    if args.resume.is_none() {
        folder.clear()?;
    }
    trainer.train(Some(&folder), bar(recipe.network.name()))?;
    let trained = trainer.finish();
    let path = folder.finish(&trained)?;
    summarize(&trained, &folder, &data)?;
    println!("weights in {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// `folder`, or with the first number behind it that makes it one without a run.
fn unused(folder: &Path, force: bool) -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("{}-{number}", folder.display())));
    let mut all = std::iter::once(folder.to_path_buf()).chain(numbered);
    all.find(|folder| force || !RunFolder::new(folder).is_taken()).unwrap_or_default()
}

/// Says what came out, where it errs, and what the chip will need.
fn summarize(trained: &Trained, folder: &RunFolder, data: &Dataset) -> Result<()> {
    let accuracy = 100.0 * trained.accuracy();
    match (trained.float_accuracy(), &trained.untuned) {
        (Some(float), Some(untuned)) => {
            let before = 100.0 * untuned.accuracy;
            let kept = if untuned.is_kept { "before it: it lost, and is dropped" } else { "after it" };
            println!(
                "held-out accuracy {accuracy:.2} % in int8 after {:.2} % in float; {before:.2} % without quantization-aware \
                 training; kept are the weights {kept}",
                100.0 * float
            );
        }
        _ => println!("held-out accuracy {accuracy:.2} %"),
    }
    println!("{}: confusion.svg, worst.png", folder.write_errors(trained, data)?);
    let Trained { graph, params, .. } = trained;
    let exported =
        deploy::deploy(graph, params, &data.train, &deploy::Options::default(), &export::Options::default())?;
    let [flash, ram] = [exported.bytes.len() as u64, exported.plan.arena_len.into()].map(grouped);
    println!("as an int8 model {flash} bytes of flash and {ram} bytes of RAM: kinglet export, kinglet publish");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn train(words: &[&str]) -> Result<ExitCode> {
        run(&Line::try_parse_from(["train"].iter().chain(words)).unwrap().args)
    }

    #[test]
    fn a_run_is_replaced_only_when_asked() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("run");
        let words = ["--network", "digits-resnet", "--epochs", "1", "--out", out.to_str().unwrap()];
        train(&words).unwrap();
        for file in ["weights.safetensors", "confusion.csv", "worst.png"] {
            assert!(out.join(file).exists(), "{file}");
        }
        let error = train(&words).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        assert_eq!(unused(&out, false), place.path().join("run-2"));
        assert_eq!(unused(&out, true), out);
        train(&[&words[..], &["--force", "--seed", "2"]].concat()).unwrap();
        assert_eq!(RunFolder::new(&out).recipe().unwrap().seed, 2);
    }

    #[test]
    fn data_of_ones_own_take_the_place_of_the_digits() {
        let nowhere = ["--network", "resnet8", "--data", "no/such/photos.tar", "--out", "no/such/run"];
        let error = train(&nowhere).unwrap_err().to_string();
        assert!(error.contains("photos.tar"), "{error}");
    }
}
