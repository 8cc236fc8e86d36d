//! `kinglet export`: from a run folder to a model file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::options::budgets::{Room, cost};
use super::options::quantization::Dtype;
use super::options::trained::{Opened, Trained};
use crate::import::tflite;
use crate::quantize::emit::{self, Kept};
use crate::report::table::grouped;
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
    #[command(flatten)]
    room: Room,
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
    let prepared = || {
        let Opened { folder, model, data, quantization, .. } = args.trained.open(args.dtype)?;
        Ok::<_, anyhow::Error>((folder, deploy::prepare(&model.graph, &model.params, &data.train, &quantization)?))
    };
    let (folder, network) = match args.dtype {
        Dtype::Int8 => {
            let kept = Kept { float16: args.keep_f16.clone(), int16: args.keep_16x8.clone() };
            let (folder, prepared) = prepared()?;
            (folder, emit::mixed(&prepared, &kept)?)
        }
        Dtype::Int16 => {
            let (folder, prepared) = prepared()?;
            (folder, prepared.int16()?)
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
