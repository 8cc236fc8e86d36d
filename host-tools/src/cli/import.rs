//! `kinglet import`: makes a model file of a TensorFlow Lite or ONNX file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use super::budgets::{Budgets, cost};
use super::quantization::{Dtype, Quantization};
use crate::graph::Preprocess;
use crate::import::{self, ImportError, Imported, ImportedFloat, Model, Options, RoundingMode, calibration};
use crate::{deploy, export, files, quantize};

/// Options of `kinglet import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model: TensorFlow Lite (.tflite) or ONNX (.onnx).
    model: PathBuf,
    /// The model file to write (.kgl).
    #[arg(short, long)]
    output: PathBuf,
    /// How scaled sums are rounded: twice (as microcontrollers do), as TensorFlow Lite's desktop reference kernels, or
    /// once. By default as the file says, else twice.
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
    /// the images give those that it lacks.
    #[arg(long)]
    calibration: Option<PathBuf>,
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
    budgets: Budgets,
}

/// Runs the command.
///
/// # Errors
/// Lists everything in the model that is not supported; nothing is written then.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let labels = match &args.labels {
        Some(path) => labels(&files::read(path)?).with_context(|| format!("`{}`", path.display()))?,
        None => Vec::new(),
    };
    let name = args.name.clone().unwrap_or_else(|| import::name_of(&args.model));
    let options = Options { name, rounding: args.rounding, labels };
    let model = import::read(&bytes, &options).with_context(|| format!("`{}`", args.model.display()))?;
    let imported = match model {
        Model::Int8(imported) => {
            ensure!(args.dtype == Dtype::Int8, "the model is quantized: --dtype is for float models");
            imported
        }
        Model::Float(model) => quantized(model, args)?,
    };
    let network = &imported.network;
    let classes = network.tensors[network.output].shape.len() as usize;
    ensure!(
        network.labels.is_empty() || network.labels.len() == classes,
        "{} labels for {classes} outputs",
        network.labels.len()
    );
    let exported = export::to_file(network, &args.budgets.options(), &args.output)?;
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    println!("{}: {} operators, {}", args.output.display(), network.nodes.len(), cost(&exported));
    Ok(ExitCode::SUCCESS)
}

/// The network of a float model: in float16, in 16x8, or in int8 with the scales that the file gives, and for the rest with scales from
/// calibration images.
fn quantized(mut model: ImportedFloat, args: &Args) -> Result<Imported> {
    let channels = model.graph.input.c as usize;
    let spread = |given: &[f32], default: f32| match given {
        [] => vec![default; channels],
        [one] => vec![*one; channels],
        list => list.to_vec(),
    };
    let preprocess = Preprocess { mean: spread(&args.mean, 0.0), std: spread(&args.std, 1.0) };
    ensure!(preprocess.is_valid(channels), "--mean and --std need one number, or {channels}; deviations are positive");
    model.graph.preprocess = preprocess;
    let has_scales = !model.quants.is_empty();
    ensure!(
        !(has_scales && args.dtype == Dtype::Wide),
        "the model has scales for int8: --dtype 16x8 is for models without"
    );
    let mut network = match &args.calibration {
        calibration if args.dtype == Dtype::F16 => {
            ensure!(calibration.is_none(), "float16 needs no calibration images");
            deploy::float16(&model.graph, &model.params)?
        }
        None if has_scales => import::given::quantize(&model)?,
        None => return Err(ImportError::Float.into()),
        Some(path) => {
            let images = calibration::load(path, &model)?;
            let (batches, options) = (calibration::batches(images.view()), args.quantization.options(args.dtype)?);
            if has_scales {
                import::given::quantize_on(&model, batches, &options)?
            } else if args.dtype == Dtype::Wide {
                quantize::int16(&model.graph, &model.params, batches, &options)?
            } else {
                quantize::quantize(&model.graph, &model.params, batches, &options)?
            }
        }
    };
    if let Some(mode) = args.rounding {
        network.nodes.iter_mut().for_each(|node| node.rounding = mode.of(&node.op));
    }
    if model.channels_first {
        model.notes.push("the model's input is height x width x channels now".into());
    }
    Ok(Imported { network, notes: model.notes })
}

/// The lines of a text file that are not empty.
fn labels(bytes: &[u8]) -> Result<Vec<String>> {
    let text = std::str::from_utf8(bytes).context("not a text file in UTF-8")?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
