//! `kinglet export`: from a run folder to a model file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Result, ensure};
use ndarray::Axis;

use super::options::budgets::{Room, cost};
use super::options::quantization::Dtype;
use super::options::trained::{Opened, Trained};
use crate::export::ExportError;
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
    /// Without it those get 4 bits that lose least, measured on the calibration images, where the file would not fit `--flash` in 8.
    #[arg(long, value_name = "LAYER=4", value_delimiter = ',')]
    bits: Vec<Bits>,
    /// Draws what is lost for the bytes that 4 bits save, where they are chosen, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    room: Room,
}

/// Bits of the weights of a layer, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits {
    layer: Option<String>,
    bits: u32,
}

impl FromStr for Bits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (layer, bits) = match text.rsplit_once('=') {
            Some((layer, bits)) => (Some(layer.to_owned()), bits),
            None => (None, text),
        };
        match bits {
            "4" => Ok(Self { layer, bits: 4 }),
            "8" => Ok(Self { layer, bits: 8 }),
            _ => Err(format!("`{text}` is not LAYER=4 or LAYER=8, nor 4 or 8 for all layers")),
        }
    }
}

/// The layers of 4 bits; what is said of one layer counts more than what is said of all.
fn nibbles(bits: &[Bits], prepared: &Prepared) -> Vec<String> {
    let of = |name: &str| bits.iter().rev().find(|said| said.layer.as_deref() == Some(name));
    let all = bits.iter().rev().find(|said| said.layer.is_none());
    let weighted = prepared.weighted().filter(|name| of(name).or(all).is_some_and(|said| said.bits == 4));
    // Names that are no layer's are found out when the network is made.
    let unknown =
        bits.iter().filter_map(|said| said.layer.as_deref()).filter(|name| !prepared.weighted().any(|n| n == *name));
    weighted.chain(unknown).map(str::to_owned).collect()
}

/// How far a budget of flash is from what a network takes.
fn is_too_large(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ExportError::Flash { .. }))
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
    let (folder, network) = match args.dtype {
        Dtype::Int8 => {
            let (opened, prepared) = prepared()?;
            let nibbles = nibbles(&args.bits, &prepared);
            let kept = Kept { float16: args.keep_f16.clone(), int16: args.keep_16x8.clone(), nibbles };
            let network = emit::mixed(&prepared, &kept)?;
            let network = if args.bits.is_empty() && args.format == Format::Kgl {
                narrowed(args, &opened, &prepared, &kept, network)?
            } else {
                network
            };
            (opened.folder, network)
        }
        Dtype::Int16 => {
            let (opened, prepared) = prepared()?;
            (opened.folder, prepared.int16()?)
        }
        Dtype::F16 => {
            let (folder, model) = args.trained.weights()?;
            (folder, deploy::float16(&model.graph, &model.params)?)
        }
    };
    if args.format == Format::Tflite {
        let path = args.output.clone().unwrap_or_else(|| folder.file("model.tflite"));
        let bytes = tflite::to_bytes(&network)?;
        files::save(&path, &bytes)?;
        println!("{}: {} bytes", path.display(), grouped(bytes.len() as u64));
        return Ok(ExitCode::SUCCESS);
    }
    let (mut exported, left) = args.room.export(&network)?;
    if let Some(percent) = args.unknown {
        let confidence;
        (exported.bytes, confidence) =
            confidence::calibrate(&exported.bytes, &args.trained.judging()?, percent / 100.0)?;
        println!("{confidence}");
    }
    let path = args.output.clone().unwrap_or_else(|| folder.file("model.kgl"));
    files::save(&path, &exported.bytes)?;
    println!("{}: {}", path.display(), cost(&exported));
    left.into_iter().for_each(|left| println!("{left}"));
    Ok(ExitCode::SUCCESS)
}

/// Held-in images that the loss of 4 bits is measured on.
const MEASURED_IMAGES: usize = 200;

/// `network`, or where it is too large for the budget of flash, the same with 4 bits in the layers that lose least by it.
fn narrowed(args: &Args, opened: &Opened, prepared: &Prepared, kept: &Kept, network: Network) -> Result<Network> {
    match args.room.export(&network) {
        Err(error) if is_too_large(&error) => {}
        _ => return Ok(network),
    }
    let Opened { model, data, .. } = opened;
    let some = data.train.select(&data.train.spaced(MEASURED_IMAGES));
    let reals = quantize::reals(&model.graph.preprocess, some.images.view())?;
    let images: Vec<Vec<f32>> = reals.axis_iter(Axis(0)).map(|image| image.iter().copied().collect()).collect();
    let halves = |name: &&str| !kept.float16.iter().any(|half| half == name);
    let layers: Vec<String> = prepared.weighted().filter(halves).map(str::to_owned).collect();
    let steps = Bench::new(prepared, &some, &images).narrowed(&layers)?;
    println!("8 bits are too many for the flash; with 4 in more and more layers, on {} images:", images.len());
    println!("{}", frontier(&steps));
    if let Some(path) = &args.plot {
        files::save(path, picture(&model.graph.name, &steps)?)?;
    }
    let mut last = network;
    for Measured { kept: nibbles, .. } in steps.into_iter().skip(1) {
        last = emit::mixed(prepared, &Kept { nibbles: nibbles.clone(), ..kept.clone() })?;
        match args.room.export(&last) {
            Err(error) if is_too_large(&error) => {}
            _ => {
                println!("4 bits in {} of {} layers: {}", nibbles.len(), layers.len(), nibbles.join(", "));
                break;
            }
        }
    }
    Ok(last)
}

/// What is lost for the bytes that are saved.
fn frontier(steps: &[Measured]) -> Table {
    let mut table =
        Table::new(["weights in 4 bits", "accuracy %", "dB at the output", "weights, bytes", "arena, bytes"]);
    for step in steps {
        table.row([
            step.name.clone(),
            format!("{:.2}", step.accuracy),
            format!("{:.1}", step.output_decibels),
            grouped(step.weight_bytes as u64),
            grouped(step.arena_bytes as u64),
        ]);
    }
    table
}

/// The same as SVG.
fn picture(name: &str, steps: &[Measured]) -> Result<String> {
    let line = |name: &str, y: fn(&Measured) -> f64| Line {
        name: name.to_owned(),
        points: steps.iter().map(|step| [step.weight_bytes as f64, y(step), 0.0]).collect(),
    };
    let panel = |title: String, axis: &str, line: Line| Panel {
        title,
        axes: ["weights and tables (bytes)".to_owned(), axis.to_owned()],
        logarithmic: false,
        lines: vec![line],
    };
    chart::lines(&[
        panel(format!("{name}: 4 bits in more and more layers"), "right (%)", line("accuracy", |step| step.accuracy)),
        panel(String::new(), "signal to noise (dB)", line("at the output", |step| step.output_decibels)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_of_a_layer_or_of_all() {
        let of = |text: &str| text.parse::<Bits>().map(|said| (said.layer, said.bits));
        assert_eq!(of("a/b=4"), Ok((Some("a/b".into()), 4)));
        assert_eq!(of("8"), Ok((None, 8)));
        assert!(of("a=5").unwrap_err().contains("LAYER=4"));
    }
}
