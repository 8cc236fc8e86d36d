//! `kinglet publish`: from a run folder to a folder that can be shipped: recipe, weights, model file, card.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use kinglet::Model;
use ndarray::s;

use super::eval;
use super::options::budgets::Budgets;
use super::options::json::Json;
use super::options::quantization::Dtype;
use super::options::trained::{Opened, Trained};
use crate::card::Card;
use crate::data::Dataset;
use crate::device::{self, Board};
use crate::graph::FloatModel;
use crate::network::Network;
use crate::quantize::{self, Calibration, Method};
use crate::simulate::{self, Images};
use crate::train::Distill;
use crate::{deploy, export, files};

/// Options of `kinglet publish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trained: Trained,
    /// The folder to write; its last part is the model's name.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// What the network is, for the card.
    #[arg(long, default_value = "")]
    about: String,
    /// What the images are and where they come from, for the card.
    #[arg(long, value_name = "TEXT")]
    data_note: Option<String>,
    /// Counts the instructions of an inference on this emulated board.
    #[arg(long)]
    board: Option<String>,
    #[command(flatten)]
    budgets: Budgets,
    #[command(flatten)]
    json: Json,
}

/// Exports, measures on all held-out images, and writes the files, each as a whole; the card comes last.
///
/// # Errors
/// Names the file or the node that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    let name = args.output.file_name().context("the output folder needs a name")?.to_string_lossy();
    let Opened { folder, mut recipe, model, data, quantization } = args.trained.open(Dtype::Int8)?;
    let options = args.budgets.options();
    let exported = deploy::deploy(&model.graph, &model.params, &data.train, &quantization, &options)?;
    let mut card = Card::measure(&name, &recipe, &folder.history()?, &model, &exported.bytes, &data)?;
    card.about.clone_from(&args.about);
    card.options = args.trained.quantization_words();
    if let Some(note) = &args.data_note {
        card.data.clone_from(note);
    }
    card.wider = wider(&model, &data, &quantization, &options)?;
    if let Some(board) = &args.board {
        card.instructions = Some(instructions(board, &exported, &data)?);
    }
    // Users have the images elsewhere; the file's name says which ones.
    recipe.data.forget_folder();
    recipe.distill.iter_mut().for_each(Distill::forget_folder);
    let recipe = toml::to_string(&recipe)?;
    for (file, bytes) in [
        ("recipe.toml", recipe.into_bytes()),
        ("weights.safetensors", files::read(&folder.file("weights.safetensors"))?),
        ("metrics.csv", files::read(&folder.file("metrics.csv"))?),
        (&format!("{name}.kgl"), exported.bytes),
        ("card.md", card.to_string().into_bytes()),
    ] {
        files::save(&args.output.join(file), bytes)?;
    }
    println!("{card}");
    args.json.print(&card)?;
    Ok(ExitCode::SUCCESS)
}

/// The accuracy of the network in wider activations, exported and in the runtime, on all held-out images.
fn wider(
    model: &FloatModel,
    data: &Dataset,
    quantization: &deploy::Options,
    options: &export::Options,
) -> Result<Vec<(String, f64)>> {
    let FloatModel { graph, params, .. } = model;
    // Neither takes what is for int8.
    let calibration = Calibration::Fixed(Method::MinMax);
    let quantize = quantize::Options { calibration, correct_bias: false, ..quantization.quantize };
    let prepared = deploy::prepare(graph, params, &data.train, &deploy::Options { quantize, ..*quantization })?;
    let mut all = vec![("16x8", prepared.int16()?)];
    match deploy::float16(graph, params) {
        Ok(halves) => all.insert(0, ("f16", halves)),
        Err(error) => eprintln!("float16 is not measured: {error}"),
    }
    let labels: Vec<usize> = data.test.labels.iter().map(|&label| label.into()).collect();
    let measure = |(dtype, network): (&str, Network)| {
        let exported = export::to_bytes(&network, options)?;
        let model = Model::new(&exported.bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((dtype.to_owned(), simulate::accuracy(&eval::outputs(model, &data.test)?, &labels)))
    };
    all.into_iter().map(measure).collect()
}

/// The board's core, and what an inference takes there.
fn instructions(board: &str, exported: &export::Exported, data: &Dataset) -> Result<(String, u64)> {
    let board = Board::named(board)?;
    let images = Images::Pixels(data.test.images.slice(s![..1, .., .., ..]).to_owned());
    let report = device::evaluate(board, &exported.bytes, std::slice::from_ref(&images), Duration::from_secs(300))?;
    Ok((board.core.to_string(), report.measured.instructions))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::graph;
    use crate::train::{Qat, Recipe, RunFolder, Trainer};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_run_becomes_a_folder_to_ship() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::new(&place.path().join("run"));
        let recipe = Recipe { epochs: 1, ..Recipe::for_network("digits-resnet") };
        let data = recipe.data.load().unwrap();
        let mut trainer = Trainer::new(&recipe, &data).unwrap();
        trainer.train(Some(&run), |_| {}).unwrap();
        let trained = trainer.finish();
        run.finish(&trained).unwrap();

        let output = place.path().join("small");
        let paths = [run.file("").display().to_string(), "-o".into(), output.display().to_string()];
        let words = paths.into_iter().chain(["--about", "A test.", "--calibrate", "entropy"].map(String::from));
        let line = Line::try_parse_from(std::iter::once("publish".to_owned()).chain(words)).unwrap();
        super::run(&line.args).unwrap();

        let read = |file: &str| std::fs::read(output.join(file)).unwrap();
        let bytes = read("small.kgl");
        let model = kinglet::Model::new(&bytes).unwrap();
        let card = String::from_utf8(read("card.md")).unwrap();
        for part in ["# small\n\nA test.", "1 epochs, seed 1", "359 held out", "`kinglet publish --calibrate entropy`"]
        {
            assert!(card.contains(part), "{part}: {card}");
        }
        assert!(
            card.contains(&format!("RAM, arena | {} bytes", crate::report::table::grouped(model.arena_len() as u64)))
        );
        assert!(card.contains(&format!("held out, float | {:.2} %", 100.0 * trained.accuracy())), "{card}");
        // Halves lose at most two of 359 images, and so does 16x8.
        for dtype in ["f16", "16x8"] {
            let row = format!("the same with `--dtype {dtype}` | ");
            let (_, percent) = card.split_once(&row).unwrap();
            let percent: f64 = percent.split_once(" %").unwrap().0.parse().unwrap();
            assert!((percent - 100.0 * trained.accuracy()).abs() < 0.6, "{dtype}: {card}");
        }
        assert_eq!(graph::load(&output.join("weights.safetensors")).unwrap().params, trained.params);
        // What was shipped can be published anew, from its own folder, to the same bytes.
        let again = place.path().join("again");
        let words = ["publish".to_owned(), output.display().to_string(), "-o".into(), again.display().to_string()];
        super::run(
            &Line::try_parse_from(words.into_iter().chain(["--calibrate".into(), "entropy".into()])).unwrap().args,
        )
        .unwrap();
        assert_eq!(std::fs::read(again.join("again.kgl")).unwrap(), bytes);
    }

    /// What was trained in int8 is shipped with its ranges: the model's accuracy is that of the last epoch.
    #[test]
    fn a_tuned_run_is_shipped_as_it_was_trained() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::new(&place.path().join("run"));
        let qat = Some(Qat { epochs: Some(1), fallback: false, ..Qat::default() });
        let recipe = Recipe { epochs: 1, qat, ..Recipe::for_network("digits-inception") };
        let data = recipe.data.load().unwrap();
        let data = crate::data::Dataset { train: data.train.select(&data.train.spaced(300)), ..data };
        let mut trainer = Trainer::new(&recipe, &data).unwrap();
        trainer.train(Some(&run), |_| {}).unwrap();
        let trained = trainer.finish();
        run.finish(&trained).unwrap();

        let output = place.path().join("tuned");
        let words =
            ["publish".to_owned(), run.file("").display().to_string(), "-o".into(), output.display().to_string()];
        super::run(&Line::try_parse_from(&words).unwrap().args).unwrap();
        let card = std::fs::read_to_string(output.join("card.md")).unwrap();
        let [float, int8] = [trained.float_accuracy().unwrap(), trained.accuracy()].map(|part| 100.0 * part);
        for part in [
            "1 epochs and 1 of quantization-aware training".to_string(),
            format!("float, before quantization-aware training | {float:.2} %"),
            format!("the exported model in the runtime | {int8:.2} %"),
        ] {
            assert!(card.contains(&part), "{part}: {card}");
        }
        let error = Line::try_parse_from(words.into_iter().chain(["--equalize".into()])).unwrap();
        let error = super::run(&error.args).unwrap_err().to_string();
        assert!(error.contains("--calibrate"), "{error}");
    }
}
