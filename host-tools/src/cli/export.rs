//! `kinglet export`: from a run folder to a model file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use ndarray::Axis;
use serde_json::json;

use super::options::bits::Bits;
use super::options::budgets::{Room, cost, figures};
use super::options::json::Json;
use super::options::quantization::Dtype;
use super::options::trained::{Opened, Trained};
use crate::export::{ExportError, Exported, StoredAs};
use crate::import::tflite;
use crate::network::Network;
use crate::quantize::emit::{self, Kept};
use crate::quantize::{self, Prepared};
use crate::report::chart::{self, Line, Panel};
use crate::report::table::{Table, grouped};
use crate::tradeoff::{Bench, Measured};
use crate::{confidence, deploy, files};

/// Options of `kinglet export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trained: Trained,
    /// The file to write; by default `model.kgl` or `model.tflite` in the run folder.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// What to write: a model file for the runtime, or a TensorFlow Lite file for other tools.
    #[arg(long, value_enum, default_value_t = Format::Kgl)]
    format: Format,
    /// What weights and activations are.
    #[arg(long, value_enum, default_value_t = Dtype::Int8)]
    dtype: Dtype,
    /// Layers that stay in float16 in an int8 network, by the names that `kinglet quantize` lists.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', conflicts_with = "dtype")]
    keep_f16: Vec<String>,
    /// Layers with int16 activations in an int8 network.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', conflicts_with = "dtype")]
    keep_16x8: Vec<String>,
    /// Has the model say where it does not know: a probability below which an answer counts as unknown is chosen such that at least
    /// this percentage of the other answers is right, on the images that judged the epochs. They calibrate its probabilities, too.
    #[arg(long, value_name = "PERCENT")]
    unknown: Option<f64>,
    /// Layers whose weights have 4 bits, as LAYER=4 by the names that `kinglet quantize` lists; 4 alone for all that have weights.
    /// Without it those get 4 bits that lose least, measured on the calibration images, where the network would not keep to `--flash` and
    /// `--cycles` in 8.
    #[arg(long, value_name = "LAYER=4", value_delimiter = ',')]
    bits: Vec<Bits>,
    /// Draws what is lost for the bytes that 4 bits save, where they are chosen, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    room: Room,
    #[command(flatten)]
    json: Json,
}

/// The layers of 4 bits; what is said of one layer counts more than what is said of all, and that more than how it was trained.
fn nibbles(Args { bits, keep_f16, .. }: &Args, prepared: &Prepared) -> Vec<String> {
    let trained = |name: &str| prepared.nibbles.iter().any(|n| n == name) && !keep_f16.iter().any(|n| n == name);
    let of = |name: &str| bits.iter().rev().find(|said| said.layer.as_deref() == Some(name));
    let all = bits.iter().rev().find(|said| said.layer.is_none());
    let weighted = prepared.weighted().filter(|name| of(name).or(all).map_or(trained(name), |said| said.bits == 4));
    // Names that are no layer's are found out when the network is made.
    let unknown =
        bits.iter().filter_map(|said| said.layer.as_deref()).filter(|name| !prepared.weighted().any(|n| n == *name));
    weighted.chain(unknown).map(str::to_owned).collect()
}

/// The kind of file to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Kinglet's model file.
    Kgl,
    /// TensorFlow Lite, int8 or 16x8; `kinglet import` makes the same model file of it.
    Tflite,
}

/// Quantizes or rounds, plans and writes the model; the runtime has accepted it before it gets its name.
///
/// # Errors
/// Names the file or the node that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    ensure!(
        args.unknown.is_none_or(|percent| percent > 0.0 && percent <= 100.0),
        "--unknown takes a percentage above 0"
    );
    ensure!(
        args.unknown.is_none() || args.format == Format::Kgl,
        "--unknown: a TensorFlow Lite file has no place for it"
    );
    ensure!(
        args.bits.is_empty() || args.dtype == Dtype::Int8,
        "--bits goes with int8; --keep-16x8 makes layers of it 16x8"
    );
    let prepared = || {
        let opened = args.trained.open(args.dtype)?;
        let Opened { model, data, quantization, .. } = &opened;
        let prepared = deploy::prepare(&model.graph, &model.params, &data.train, quantization)?;
        Ok::<_, anyhow::Error>((opened, prepared))
    };
    let (folder, opened, network) = match args.dtype {
        Dtype::Int8 => {
            let (opened, prepared) = prepared()?;
            let nibbles = nibbles(args, &prepared);
            let kept = Kept { float16: args.keep_f16.clone(), int16: args.keep_16x8.clone(), nibbles };
            let network = emit::mixed(&prepared, &kept)?;
            let network = if args.bits.is_empty() && args.format == Format::Kgl {
                narrowed(args, &opened, &prepared, &kept, network)?
            } else {
                network
            };
            (opened.folder.clone(), Some(opened), network)
        }
        Dtype::Int16 => {
            let (opened, prepared) = prepared()?;
            (opened.folder.clone(), Some(opened), prepared.int16()?)
        }
        Dtype::F16 => {
            let (folder, model) = args.trained.weights()?;
            (folder, None, deploy::float16(&model.graph, &model.params)?)
        }
    };
    if args.format == Format::Tflite {
        let path = args.output.clone().unwrap_or_else(|| folder.file("model.tflite"));
        let bytes = tflite::to_bytes(&network)?;
        files::save(&path, &bytes)?;
        println!("{}: {} bytes", path.display(), grouped(bytes.len() as u64));
        args.json.print(&json!({ "file": path, "file_bytes": bytes.len() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut exported, left) = args.room.export(&network)?;
    let confidence = match args.unknown {
        Some(percent) => {
            let judging = args.trained.judging(opened)?;
            let (bytes, confidence) = confidence::calibrate(&exported.bytes, &judging, percent / 100.0)?;
            exported.bytes = bytes;
            println!("{confidence}");
            Some(confidence)
        }
        None => None,
    };
    let path = args.output.clone().unwrap_or_else(|| folder.file("model.kgl"));
    files::save(&path, &exported.bytes)?;
    println!("{}: {}", path.display(), cost(&exported));
    if !exported.stored.is_empty() {
        println!("{}", choices(&args.room, &exported.stored));
    }
    left.iter().for_each(|left| println!("{left}"));
    args.json.print(&json!({ "file": path, "takes": figures(&exported), "board": left, "unknown": confidence, "stored": exported.stored }))?;
    Ok(ExitCode::SUCCESS)
}

/// Held-in images that the loss of 4 bits is measured on.
const MEASURED_IMAGES: usize = 200;

/// A network with 4 bits in some layers, under the budgets.
struct Narrowed {
    measured: Measured,
    /// What the file takes, or what is in its way.
    exported: Result<Exported, ExportError>,
}

impl Narrowed {
    /// Bytes of the file, or of the smallest that there is under the budget of RAM.
    fn file_bytes(&self) -> Option<u64> {
        match &self.exported {
            Ok(exported) => Some(exported.bytes.len() as u64),
            Err(ExportError::Flash { needed, .. }) => Some((*needed).into()),
            Err(_) => None,
        }
    }
}

/// `network`, or where it is too large for the budget of flash, or too slow in it for that of cycles, the same with 4 bits in the layers
/// that lose least by it: bytes that they save are spent on faster algorithms, too.
fn narrowed(args: &Args, opened: &Opened, prepared: &Prepared, kept: &Kept, network: Network) -> Result<Network> {
    // What other budgets stand in the way of is told when the file is made.
    let Err(error @ (ExportError::Flash { .. } | ExportError::Cycles { .. })) = args.room.exported(&network)? else {
        ensure!(args.plot.is_none(), "--plot draws what 4 bits lose: the network fits with 8, or --flash is not given");
        return Ok(network);
    };
    let Opened { model, data, .. } = opened;
    let some = data.train.select(&data.train.spaced(MEASURED_IMAGES));
    let reals = quantize::reals(&model.graph.preprocess, some.images.view())?;
    let images: Vec<Vec<f32>> = reals.axis_iter(Axis(0)).map(|image| image.iter().copied().collect()).collect();
    let taken = |name: &&str| kept.float16.iter().chain(&kept.nibbles).any(|other| other == name);
    let layers: Vec<String> = prepared.weighted().filter(|name| !taken(name)).map(str::to_owned).collect();
    let mut steps = Vec::new();
    for measured in Bench::new(prepared, &some, &images).narrowed(kept, &layers)? {
        let exported = args.room.exported(&measured.network)?;
        steps.push(Narrowed { measured, exported });
    }
    let chosen = steps.iter().position(|step| step.exported.is_ok());
    println!("{error}; with 4 bits in more and more layers, on {} images:", images.len());
    println!("{}", frontier(&args.room, &steps, chosen));
    if let Some(path) = &args.plot {
        files::save(path, picture(&model.graph.name, &steps, chosen)?)?;
    }
    let Some(chosen) = chosen else {
        return Err(steps.pop().and_then(|all| all.exported.err()).unwrap_or(error).into());
    };
    let Measured { kept: nibbles, network, .. } = steps.swap_remove(chosen).measured;
    println!("4 bits in {} of {} layers: {}", nibbles.len(), layers.len(), nibbles.join(", "));
    Ok(network)
}

/// What is lost for the bytes that are saved.
fn frontier(room: &Room, steps: &[Narrowed], chosen: Option<usize>) -> Table {
    let mut table = Table::new([
        "weights in 4 bits",
        "accuracy %",
        "dB at the output",
        "file, bytes",
        "arena, bytes",
        "cycles, predicted",
        "within the budgets",
    ]);
    for (index, step) in steps.iter().enumerate() {
        let arena =
            step.exported.as_ref().map_or_else(|_| String::new(), |exported| grouped(exported.plan.arena_len.into()));
        let fits = match &step.exported {
            Ok(_) if chosen == Some(index) => "yes: chosen",
            Ok(_) => "yes",
            Err(ExportError::Ram { .. }) => "no: RAM",
            Err(ExportError::Cycles { .. }) => "no: cycles",
            Err(_) => "no: flash",
        };
        table.row([
            step.measured.name.clone(),
            format!("{:.2}", step.measured.accuracy),
            format!("{:.1}", step.measured.output_decibels),
            step.file_bytes().map_or_else(String::new, grouped),
            arena,
            room.cycles(&step.exported).map_or_else(String::new, grouped),
            fits.to_owned(),
        ]);
    }
    table
}

/// The same as SVG.
fn picture(name: &str, steps: &[Narrowed], chosen: Option<usize>) -> Result<String> {
    let panel = |title: String, axis: &str, y: fn(&Measured) -> f64| {
        let point = |step: &Narrowed| Some([step.file_bytes()? as f64, y(&step.measured), 0.0]);
        let all = Line { name: "4 bits in more layers".to_owned(), points: steps.iter().filter_map(point).collect() };
        let chosen = chosen
            .map(|chosen| Line { name: "chosen".to_owned(), points: point(&steps[chosen]).into_iter().collect() });
        let axes = ["file (bytes)".to_owned(), axis.to_owned()];
        Panel { title, axes, logarithmic: false, lines: std::iter::once(all).chain(chosen).collect() }
    };
    chart::lines(&[
        panel(format!("{name}: 4 bits in more and more layers"), "right (%)", |step| step.accuracy),
        panel(String::new(), "signal to noise (dB)", |step| step.output_decibels),
    ])
}

/// What weights take in each way to store them, where there are several.
fn choices(room: &Room, stored: &[StoredAs]) -> Table {
    let cost = if room.has_board() { "cycles" } else { "instructions" };
    let mut table = Table::new(["layer", "weights", "algorithm", "bytes", "scratch, bytes", cost, ""]);
    for of in stored {
        table.row([
            of.layer.clone(),
            of.weights.clone(),
            of.algorithm.clone(),
            grouped(of.bytes as u64),
            grouped(of.scratch as u64),
            grouped(of.cost),
            (if of.is_chosen { "chosen" } else { "" }).to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use kinglet::Model;
    use kinglet::ops::Encoding;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn four_bits_are_chosen_under_all_budgets() {
        let place = tempfile::tempdir().unwrap();
        let [file, plot] = ["four.kgl", "frontier.svg"].map(|name| place.path().join(name));
        let export = |budgets: &[&str]| {
            let run = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits-resnet");
            let [file, plot] = [&file, &plot].map(|path| path.to_str().unwrap());
            let words = ["export", run, "-o", file, "--plot", plot].into_iter().chain(budgets.iter().copied());
            super::run(&Line::try_parse_from(words).unwrap().args)
        };
        let error = export(&["--ram", "8K"]).unwrap_err().to_string();
        assert!(error.contains("--plot"), "{error}");
        export(&["--ram", "8K", "--flash", "20K"]).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let model = Model::new(&bytes).unwrap();
        assert!(
            bytes.len() <= 20 << 10
                && model.arena_len() <= 8 << 10
                && model.uses().encodings.has(Encoding::Nibbles.code())
        );
        // The chosen file is on the line that is drawn: a point of its own on that of each panel.
        assert_eq!(std::fs::read_to_string(&plot).unwrap().matches("chosen").count(), 2);
        // Weights that are widened take more RAM than this.
        let error = export(&["--ram", "3008", "--flash", "16K"]).unwrap_err().to_string();
        assert!(error.contains("16384 bytes of flash"), "{error}");
    }
}
