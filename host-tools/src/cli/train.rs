//! `kinglet train`: from a recipe to a run folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::options;
use super::options::bits::Bits;
use super::options::json::Json;
use super::options::shipped;
use crate::data::{Dataset, Source};
use crate::graph::{self, Graph, NetworkRecipe, Shape};
use crate::report::table::grouped;
use crate::train::{self, Distill, Recipe, RunFolder, Schedule, Start, Trained, Trainer, bar, recipe_from};
use crate::{deploy, export, files};

/// Percent of ones own training images that judge the epochs.
const VALIDATION: usize = 10;

/// The most classes that are told one by one.
const TOLD: usize = 20;

/// Options of `kinglet train`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["recipe", "network", "qat", "resume"])))]
pub struct Args {
    /// A training in TOML.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// A network of the zoo, with its default training: on the images of `--data`, a folder with one folder for each class or an
    /// archive of it, or else on the embedded digits.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Height and width that images are resized to for `--network`, in pixels; the network's own unless given.
    #[arg(long, value_name = "PIXELS", requires = "data", conflicts_with_all = ["recipe", "qat", "resume"])]
    size: Option<u32>,
    /// A trained network to start from, whose classifier alone is made anew: a run folder, or a model that comes with
    /// Kinglet, like cifar10-resnet8.
    #[arg(long, value_name = "RUN", value_parser = shipped::run, conflicts_with_all = ["qat", "resume"])]
    from: Option<PathBuf>,
    /// With `--from`: so many of its first blocks keep their weights.
    #[arg(long, value_name = "BLOCKS", requires = "from", default_value_t = 0)]
    freeze: usize,
    /// Stops after so many epochs without a better accuracy, instead of the recipe's number.
    #[arg(long, value_name = "EPOCHS", conflicts_with_all = ["qat", "resume"])]
    patience: Option<usize>,
    /// A run folder, or a model that comes with Kinglet, whose network is trained on in int8, as its recipe says under `qat`.
    #[arg(long, value_name = "RUN", value_parser = shipped::run)]
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
    #[arg(long, value_name = "RUN", value_parser = shipped::run, conflicts_with = "resume")]
    teacher: Option<PathBuf>,
    /// Start of all random numbers, instead of the recipe's.
    #[arg(long, conflicts_with = "qat")]
    seed: Option<u64>,
    /// Passes over the training images, instead of the recipe's; with `--qat` those in int8.
    #[arg(long)]
    epochs: Option<usize>,
    /// Keeps so many percent of the training images, at random, from training: they judge the epochs instead of the images that are
    /// held out.
    #[arg(long, value_name = "PERCENT", conflicts_with = "resume")]
    validation: Option<usize>,
    /// With `--qat`: bits of the weights, 4 for all layers but the first and the last, or LAYER=4 and LAYER=8 by the names that
    /// `kinglet quantize` lists; what the recipe says unless given.
    #[arg(long, value_name = "LAYER=4", value_delimiter = ',', requires = "qat")]
    bits: Vec<Bits>,
    /// Leave out broken image files, instead of stopping at the first one.
    #[arg(long)]
    skip_bad: bool,
    /// Writes a sheet of augmented training images as PNG, and does not train.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    preview: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
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
            // Before images are read, which takes long.
            recipe.network.known()?;
            if let Some(path) = &args.data {
                recipe.data.set_path(path);
                if args.network.is_some() {
                    suit(&mut recipe, args.size)?;
                }
            }
            if let Some(run) = &args.from {
                recipe.start = Some(Start { freeze: args.freeze, ..Start::from(run) });
            }
            recipe.patience = args.patience.or(recipe.patience);
            if let Some(teacher) = &args.teacher {
                recipe.distill.get_or_insert_with(|| Distill::from(teacher)).teacher.clone_from(teacher);
            }
            recipe.seed = args.seed.unwrap_or(recipe.seed);
            recipe.validation = args.validation.or(recipe.validation);
            let mut name = recipe.network.name().to_owned();
            if args.qat.is_some() {
                let qat = recipe.qat.get_or_insert_default();
                qat.epochs = args.epochs.or(qat.epochs);
                for Bits { layer, bits } in &args.bits {
                    match layer {
                        Some(layer) => _ = qat.layer_bits.insert(layer.clone(), *bits),
                        None => qat.bits = *bits,
                    }
                }
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
    let data = options::load(&recipe.data)?;
    let seen = recipe.seen(&data);
    if let Some(path) = &args.preview {
        files::write(path, &train::preview(&recipe, &data)?)?;
        println!("augmented images in {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let _claim = folder.claim()?;
    let mut trainer = match (&args.resume, &args.qat) {
        (Some(_), _) => folder.resume(&seen)?,
        (None, Some(run)) => {
            let run = RunFolder::new(run);
            let model = graph::load(&run.file("weights.safetensors"))?;
            Trainer::tune(&recipe, &seen, &model, run.history()?)?
        }
        (None, None) => Trainer::new(&recipe, &seen)?,
    };
    // As large as the images, whatever the recipe said.
    let Graph { input: Shape { h, w, c }, preprocess, .. } = trainer.graph();
    let merged = NetworkRecipe { input: Some([*h, *w, *c]), ..recipe.network.merged() };
    let graph = merged.build(&data.classes, preprocess)?;
    eprintln!(
        "{}: {} parameters, {} MACs; {}: {} images, {} to judge epochs by, {} held out; {} MB of memory",
        graph.name,
        graph.trainable_len(),
        graph.macs(),
        data.name,
        seen.train.len(),
        seen.test.len(),
        data.test.len(),
        trainer.memory().div_ceil(1_000_000)
    );
    if args.resume.is_none() {
        folder.clear()?;
    }
    trainer.train(Some(&folder), bar(recipe.network.name()))?;
    let trained = trainer.finish();
    let path = folder.finish(&trained)?;
    let figures = summarize(&trained, &folder, &data)?;
    println!("weights in {}", path.display());
    args.json.print(&figures)?;
    Ok(ExitCode::SUCCESS)
}

/// Has images of ones own take the network's size, and keeps some to judge epochs by.
fn suit(recipe: &mut Recipe, size: Option<u32>) -> Result<()> {
    let input = recipe.network.input()?;
    let Source::Images(images) = &mut recipe.data else {
        ensure!(size.is_none(), "--size is for folders and archives of pictures: these images have a size");
        return Ok(());
    };
    images.size = Some(size.map_or([input.h, input.w], |size| [size, size]));
    images.gray = input.c == 1;
    // Collections of ones own are small.
    (recipe.validation, recipe.batch) = (Some(VALIDATION), 32);
    recipe.schedule = Schedule::Cosine { peak: 0.05, warm_up: 0.1 };
    Ok(())
}

/// `folder`, or with the first number behind it that makes it one without a run.
fn unused(folder: &Path, force: bool) -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("{}-{number}", folder.display())));
    let mut all = std::iter::once(folder.to_path_buf()).chain(numbered);
    all.find(|folder| force || !RunFolder::new(folder).is_taken()).unwrap_or_default()
}

/// Says what came out, where it errs, and what the chip will need; the same for programs.
fn summarize(trained: &Trained, folder: &RunFolder, data: &Dataset) -> Result<Value> {
    let accuracy = 100.0 * trained.accuracy();
    if let (Some(float), Some(untuned)) = (trained.float_accuracy(), &trained.untuned) {
        let before = 100.0 * untuned.accuracy;
        let kept = if untuned.is_kept { "before it: it lost, and is dropped" } else { "after it" };
        println!(
            "accuracy {accuracy:.2} % in int8 after {:.2} % in float; {before:.2} % without quantization-aware training; kept are \
             the weights {kept}",
            100.0 * float
        );
    }
    let Trained { graph, params, .. } = trained;
    let held_out = 100.0 * train::accuracy(graph, params, &data.test)?;
    match trained.recipe.validation {
        Some(_) => println!("held-out accuracy {held_out:.2} %; {accuracy:.2} % of the images that judged the epochs"),
        None => println!("held-out accuracy {held_out:.2} %"),
    }
    let (errors, classes) = folder.write_errors(trained, data)?;
    println!("{errors}: confusion.svg, classes.csv, worst.png");
    if data.classes.len() <= TOLD {
        print!("{classes}");
    }
    let exported =
        deploy::deploy(graph, params, &data.train, &deploy::Options::default(), &export::Options::default())?;
    let takes = [exported.bytes.len() as u64, exported.plan.arena_len.into()];
    let [flash, ram] = takes.map(grouped);
    println!("as an int8 model {flash} bytes of flash and {ram} bytes of RAM: kinglet export, kinglet publish");
    Ok(json!({
        "run": folder.file(""), "network": graph.name, "parameters": graph.trainable_len(), "macs": graph.macs(),
        "images": { "trained_on": data.train.len(), "held_out": data.test.len() }, "epochs": trained.history,
        "held_out_percent": held_out, "judged_percent": trained.recipe.validation.map(|_| accuracy),
        "classes": classes.to_json(), "file_bytes": takes[0], "arena_bytes": takes[1],
    }))
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
        run(&Line::try_parse_from(["train"].iter().chain(words))?.args)
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
        // Without images being looked for.
        let unknown = ["--network", "resnet-8", "--data", "no/such/photos.tar"];
        let error = train(&unknown).unwrap_err().to_string();
        assert!(error.contains("did you mean resnet8?"), "{error}");
        let error = train(&["--network", "resnet8", "--from", "cifar10-resnet", "--out", "no/such/run"]).unwrap_err();
        assert!(error.to_string().contains("did you mean cifar10-resnet8?"), "{error}");
    }

    /// Four classes of stripes, with a grey, a transparent, a wide and a broken file among them.
    fn stripes(place: &Path) {
        for (class, name) in ["flat", "steep", "falling", "rising"].into_iter().enumerate() {
            let folder = place.join(name);
            std::fs::create_dir(&folder).unwrap();
            for number in 0..24u32 {
                let (width, height) = if number == 1 { (60, 30) } else { (30, 30) };
                let picture = image::RgbaImage::from_fn(width, height, |x, y| {
                    let at = [y, x, x + y, 60 + x - y][class] + number;
                    let value = if (at / 4).is_multiple_of(2) { 30 } else { 220 };
                    image::Rgba([value, value, 255 - value, if number == 2 { 180 } else { 255 }])
                });
                let path = folder.join(format!("{number}.png"));
                match number {
                    2 => picture.save(path).unwrap(),
                    3 => image::DynamicImage::from(picture).to_luma8().save(path).unwrap(),
                    _ => image::DynamicImage::from(picture).to_rgb8().save(path).unwrap(),
                }
            }
        }
        std::fs::write(place.join("flat/broken.png"), b"no picture").unwrap();
    }

    #[test]
    fn a_folder_of_pictures_is_enough_and_a_trained_network_a_better_start() {
        let place = tempfile::tempdir().unwrap();
        let (data, out) = (place.path().join("data"), place.path().join("run"));
        std::fs::create_dir(&data).unwrap();
        stripes(&data);
        let [data, out] = [&data, &out].map(|path| path.to_str().unwrap());
        let words = ["--network", "resnet8", "--data", data, "--size", "16", "--epochs", "3", "--out", out];
        let error = train(&words).unwrap_err().to_string();
        assert!(error.contains("broken.png"), "{error}");
        train(&[&words[..], &["--skip-bad", "--from", "cifar10-resnet8", "--freeze", "1"]].concat()).unwrap();
        let folder = RunFolder::new(Path::new(out));
        let recipe = folder.recipe().unwrap();
        assert_eq!((recipe.validation, recipe.start.as_ref().map(|start| start.freeze)), (Some(VALIDATION), Some(1)));
        let (new, old) = (
            graph::load(&folder.file("weights.safetensors")).unwrap(),
            graph::load(&recipe.start.unwrap().run.join("weights.safetensors")).unwrap(),
        );
        let same = |name: &str| new.params.get(name) == old.params.get(name);
        let weights: Vec<_> =
            new.params.iter().map(|(name, _)| name.to_owned()).filter(|n| n.ends_with(".weight")).collect();
        let (frozen, free): (Vec<_>, Vec<_>) = weights.iter().partition(|name| name.starts_with("b1"));
        assert!(!frozen.is_empty() && frozen.iter().all(|name| same(name)), "{frozen:?}");
        assert!(free.iter().all(|name| !same(name)), "{free:?}");
        assert_eq!(new.graph.preprocess, old.graph.preprocess);
        assert_eq!(new.graph.labels, ["falling", "flat", "rising", "steep"]);
        let classes = std::fs::read_to_string(folder.file("classes.csv")).unwrap();
        assert_eq!(classes.lines().count(), 5, "{classes}");
        // Trained from nothing it is no better after as few epochs.
        let reached = folder.history().unwrap().last().unwrap().loss;
        train(&[&words[..], &["--skip-bad", "--force"]].concat()).unwrap();
        assert!(reached < folder.history().unwrap().last().unwrap().loss);
    }
}
