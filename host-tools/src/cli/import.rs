//! `kinglet import`: makes a model file of a TensorFlow Lite or ONNX file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::check;
use super::options::budgets::{Room, cost, figures};
use super::options::json::Json;
use super::options::quantization::{Dtype, Quantization};
use crate::graph::Preprocess;
use crate::import::{
    self, ImportError, Imported, ImportedFloat, Model, Options, Relu6, RoundingMode, calibration, foreign,
};
use crate::layout::Layout;
use crate::quantize::Prepared;
use crate::{deploy, files};

/// Options of `kinglet import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model: TensorFlow Lite (.tflite) or ONNX (.onnx); with `--check` any number of them.
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// The model file to write (.kgl).
    #[arg(short, long, required_unless_present = "check")]
    out: Option<PathBuf>,
    /// A tensor to begin the network at, by its name, instead of the file's inputs; may be given several times.
    #[arg(long = "input", value_name = "NAME")]
    inputs: Vec<String>,
    /// A tensor to end the network at, by its name, instead of the file's outputs; may be given several times.
    #[arg(long = "output", value_name = "NAME")]
    outputs: Vec<String>,
    /// Only says which of the models can be imported, and what the others lack.
    #[arg(long, conflicts_with = "out")]
    check: bool,
    #[command(flatten)]
    json: Json,
    /// How scaled sums are rounded: twice, as TensorFlow Lite Micro does since October 2026 or as it did before; as TensorFlow
    /// Lite's desktop reference kernels; or once. By default as the file says, else as TensorFlow Lite Micro.
    #[arg(long, value_enum)]
    rounding: Option<RoundingMode>,
    /// The classes' names: a text file with one on each line.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// The model's name; by default that of the file.
    #[arg(long)]
    name: Option<String>,
    /// Images to quantize a float model with: a folder of PNG or JPEG pictures, or an array (.npy) of the model's float32
    /// inputs or of uint8 pixels. A model that has scales (ONNX with QuantizeLinear and DequantizeLinear) keeps them, and
    /// the images give those that it lacks. Of a model with several inputs an array for each, in the model's order or as NAME=FILE.
    #[arg(long, value_name = "[NAME=]FILE")]
    calibration: Vec<PathBuf>,
    /// The order of dimensions of a calibration array whose sizes do not tell it.
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// What a quantized model's RELU6 does that stands alone, where input and output have different scales.
    #[arg(long, value_enum, default_value_t)]
    relu6: Relu6,
    /// What a float model's input is of pixels: `(pixel / 255 - mean) / std`, one mean for each channel or for all.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    mean: Vec<f32>,
    /// See `--mean`; 0.00392157 for models that take pixels from 0 to 255 as they are.
    #[arg(long, value_delimiter = ',')]
    std: Vec<f32>,
    /// What weights and activations of a float model become.
    #[arg(long, value_enum, default_value_t = Dtype::Int8)]
    dtype: Dtype,
    #[command(flatten)]
    quantization: Quantization,
    #[command(flatten)]
    room: Room,
}

/// Runs the command.
///
/// # Errors
/// Lists everything in the model that is not supported; nothing is written then.
pub fn run(args: &Args) -> Result<ExitCode> {
    let ([model], Some(output)) = (&args.models[..], &args.out) else {
        ensure!(args.check, "one model at a time is imported; --check judges any number of them");
        return check::run(&args.models, args.json);
    };
    if let Some(advice) = foreign::advice(model) {
        bail!("{advice}");
    }
    let bytes = files::read(model)?;
    let labels = match &args.labels {
        Some(path) => labels(&files::read(path)?).with_context(|| format!("`{}`", path.display()))?,
        None => Vec::new(),
    };
    let name = args.name.clone().unwrap_or_else(|| import::name_of(model));
    let folder = model.parent().map(Path::to_path_buf);
    let (inputs, outputs) = (args.inputs.clone(), args.outputs.clone());
    let (rounding, relu6) = (args.rounding, args.relu6);
    let options = Options { name, rounding, relu6, labels, folder, inputs, outputs, constants: None };
    let read = import::read(&bytes, &options).with_context(|| format!("`{}`", model.display()))?;
    let imported = match read {
        Model::Int8(imported) => {
            ensure!(args.dtype == Dtype::Int8, "the model is quantized: --dtype is for float models");
            imported
        }
        Model::Float(model) => quantized(model, args)?,
    };
    let network = &imported.network;
    let classes = network.output().shape.len() as usize;
    ensure!(
        network.labels.is_empty() || network.labels.len() == classes,
        "{} labels for {classes} outputs",
        network.labels.len()
    );
    let (exported, left) = args.room.export(network)?;
    files::save(output, &exported.bytes)?;
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    println!("{}: {} operators, {}", output.display(), network.nodes.len(), cost(&exported));
    left.iter().for_each(|left| println!("{left}"));
    args.json.print(&serde_json::json!({
        "file": output, "operators": network.nodes.len(), "notes": imported.notes,
        "takes": figures(&exported), "board": left,
    }))?;
    Ok(ExitCode::SUCCESS)
}

/// The network of a float model: in float16, in 16x8, or in int8 with the scales that the file gives, and for the rest with scales from
/// calibration images.
fn quantized(mut model: ImportedFloat, args: &Args) -> Result<Imported> {
    let is_told = !(args.mean.is_empty() && args.std.is_empty());
    model.graph.preprocess = preprocess(&mut model, args)?;
    let has_scales = !model.quants.is_empty();
    ensure!(
        model.int16 || !(has_scales && args.dtype == Dtype::Int16),
        "the model has scales for int8: --dtype 16x8 is for models without"
    );
    if model.int16 && args.dtype == Dtype::Int8 {
        model.notes.push("the file's activations have 16 bits: the network is 16x8".into());
    }
    if has_scales && args.dtype == Dtype::Int8 {
        let missing = import::given::without_scale(&model)?;
        if !missing.is_empty() {
            let (count, first) = (missing.len(), missing[..missing.len().min(4)].join(", "));
            let from =
                if args.calibration.is_empty() { "what they are computed from" } else { "the calibration images" };
            model.notes.push(format!("the file gives no scale for {count} values ({first}): theirs come from {from}"));
        }
    }
    let mut network = match &args.calibration[..] {
        paths if args.dtype == Dtype::F16 => {
            if !paths.is_empty() {
                let images = calibration::load(paths, &model, args.layout)?;
                let infinite = import::calibration::infinite(&model, images.view())?;
                if let [first, ..] = &infinite[..] {
                    let count = infinite.len();
                    let limit = "reach infinity in float16, which ends at 65504";
                    model
                        .notes
                        .push(format!("{count} layers {limit} (first: `{first}`): scale the input, or use int8"));
                }
            }
            deploy::float16(&model.graph, &model.params)?
        }
        [] if has_scales => import::given::quantize(&model)?,
        [] => return Err(ImportError::Float.into()),
        paths => {
            let images = calibration::load(paths, &model, args.layout)?;
            if !is_told && let Some(note) = calibration::doubt(images.view(), &model) {
                model.notes.push(note);
            }
            let (batches, options) = (calibration::batches(images.view()), args.quantization.options(args.dtype)?);
            if has_scales {
                import::given::quantize_on(&model, batches, &options)?
            } else {
                let prepared = Prepared::new(&model.graph, &model.params, batches, &options)?;
                if args.dtype == Dtype::Int16 { prepared.int16()? } else { prepared.network() }
            }
        }
    };
    if let Some(mode) = args.rounding {
        network.nodes.iter_mut().for_each(|node| node.rounding = mode.of(&node.op));
        network.rounding = mode.source();
    }
    model.name_ends(&mut network);
    if model.channels_first {
        model
            .notes
            .push("the model's input is height x width x channels now: it was channels x height x width (nchw)".into());
    }
    Ok(Imported { network, notes: model.notes })
}

/// What pixels are to the network: as the options say, or else what the network shows.
fn preprocess(model: &mut ImportedFloat, args: &Args) -> Result<Preprocess> {
    let channels = model.graph.input.c as usize;
    let spread = |given: &[f32], default: f32| match given {
        [] => vec![default; channels],
        [one] => vec![*one; channels],
        list => list.to_vec(),
    };
    let mut std = spread(&args.std, 1.0);
    if args.mean.is_empty() && args.std.is_empty() && calibration::divides_pixels(model) {
        std.fill(1.0 / 255.0);
        model.notes.push("the network scales its pixels itself: they are taken as they are, from 0 to 255".into());
    }
    let preprocess = Preprocess { mean: spread(&args.mean, 0.0), std };
    ensure!(preprocess.is_valid(channels), "--mean and --std need one number, or {channels}; deviations are positive");
    Ok(preprocess)
}

/// The lines of a text file that are not empty.
fn labels(bytes: &[u8]) -> Result<Vec<String>> {
    let text = std::str::from_utf8(bytes).context("not a text file in UTF-8")?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
