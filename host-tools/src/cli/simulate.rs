//! `kinglet simulate`: runs inputs through a model, on the host or on an emulated board, and compares bytes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kinglet::kernels::Active;
use kinglet::{DType, Port, Tensor};
use ndarray::{Array2, ArrayD};
use ndarray_npy::WriteNpyExt;
use serde_json::json;

use super::options::json::Json;
use super::options::shipped;
use crate::compare;
use crate::device::{self, Board};
use crate::files::{self, IntArray};
use crate::layout::Layout;
use crate::simulate::{self, Images};

/// Options of `kinglet simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
    #[arg(value_parser = shipped::model)]
    model: PathBuf,
    /// Inputs, N x H x W x C (.npy): int8 or int16 elements, uint8 pixels, which go through the model's table, or float32 numbers,
    /// which are quantized, or rounded to float16 (also N x C x H x W). Of a model with several inputs once for each, in the model's order or
    /// as NAME=FILE. A model with states takes the images as one sequence.
    #[arg(long, required = true, value_name = "[NAME=]FILE")]
    input: Vec<PathBuf>,
    /// The order of dimensions of inputs whose sizes do not tell it.
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Outputs to compare with, int8, int16 or uint8 (int8 plus 128), one row per image (.npy), or float32, of which only the best
    /// classes are compared; exits with 1 when not all are equal. Of a model with several outputs as `--input`.
    #[arg(long, value_name = "[NAME=]FILE")]
    expect: Vec<PathBuf>,
    /// Where to write the outputs, int8 or int16, or float32 of a float16 model, N x classes (.npy); likewise.
    #[arg(short, long, value_name = "[NAME=]FILE")]
    output: Vec<PathBuf>,
    /// Intermediate results of the first image to compare with, int8 or int16, named like the steps (.npz); exits with 1 and names
    /// the first step that differs.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Run on this emulated board instead of the host, for example `mps2-an386`.
    #[arg(long)]
    board: Option<String>,
    /// Seconds that the board may take.
    #[arg(long, default_value_t = 600)]
    time_limit: u64,
    #[command(flatten)]
    json: Json,
}

/// Runs the command.
///
/// # Errors
/// Names the file that is broken or does not fit the model.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let model = super::open_model(&args.model, &bytes)?;
    let inputs = files_of(&args.input, model.inputs())?;
    ensure!(
        inputs.len() == model.input_count(),
        "{} of the model's {} inputs are given: {}",
        inputs.len(),
        model.input_count(),
        names(model.inputs())
    );
    let read = |(port, path): &(Port<'_>, &Path)| {
        let images = match floats(path)? {
            Some(reals) => Images::quantize(reals, &port.tensor, args.layout),
            None => Images::new(IntArray::read(path)?, &port.tensor, args.layout),
        };
        images.with_context(|| path.display().to_string())
    };
    let images = inputs.iter().map(read).collect::<Result<Vec<_>>>()?;
    let count = images.first().map_or(0, Images::len);
    let expect = |(port, path): (Port<'_>, &Path)| Ok((port.index, expected(path, &port.tensor, count)?));
    let wanted = files_of(&args.expect, model.outputs())?.into_iter().map(expect).collect::<Result<Vec<_>>>()?;

    let begin = Instant::now();
    let (rows, instructions, whereabouts) = match &args.board {
        None => (simulate::run_all::<Active>(model, &images)?, None, "the host".to_owned()),
        Some(name) => {
            let limit = Duration::from_secs(args.time_limit);
            let report = device::evaluate(Board::named(name)?, &bytes, &images, limit)?;
            let instructions = report.measured.instructions;
            (report.outputs, Some(instructions), format!("{name}, {instructions} instructions per inference"))
        }
    };
    let elapsed = begin.elapsed();
    let rate = count as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    println!("{}: {count} inferences on {whereabouts} in {elapsed:.1?}, {rate:.0} a second", model.name());

    let outputs: Vec<_> = model.outputs().zip(simulate::outputs(&model, &rows)).collect();
    let output = |port: usize| outputs.iter().find(|(other, _)| other.index == port).map(|(_, output)| output);
    for (port, path) in files_of(&args.output, model.outputs())? {
        let Some(output) = output(port.index) else { continue };
        let mut file = Vec::new();
        match port.tensor.dtype {
            DType::I8 => output.mapv(|element| element as i8).write_npy(&mut file),
            DType::F16 => output.mapv(|element| port.tensor.real(element)).write_npy(&mut file),
            _ => output.write_npy(&mut file),
        }
        .with_context(|| path.display().to_string())?;
        files::save(path, &file)?;
    }
    let comparison = args.compare.as_deref().map(|path| compare::with_layers(model, &images, path)).transpose()?;
    if let Some(comparison) = &comparison {
        println!("{comparison}");
    }
    let mut equal = Vec::new();
    for (port, wanted) in &wanted {
        equal.extend(output(*port).map(|output| count_equal(output, wanted)));
    }
    args.json.print(&json!({
        "model": model.name(), "board": args.board, "inferences": count, "seconds": elapsed.as_secs_f64(),
        "instructions": instructions, "equal_outputs": equal, "steps": comparison,
    }))?;
    let as_expected = equal.iter().all(|&equal| equal == count) && comparison.is_none_or(|c| c.different.is_empty());
    Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The ports that files are for: that of the name before a `=`, else the one at the file's place.
fn files_of<'m, 'f>(files: &'f [PathBuf], ports: impl Iterator<Item = Port<'m>>) -> Result<Vec<(Port<'m>, &'f Path)>> {
    let ports: Vec<_> = ports.collect();
    let mut found: Vec<(Port<'m>, &Path)> = Vec::new();
    for (place, file) in files.iter().enumerate() {
        let named = file.to_str().and_then(|text| text.split_once('='));
        let named =
            named.and_then(|(name, path)| Some((ports.iter().find(|port| port.name == name)?, Path::new(path))));
        let port = named.map(|(port, _)| port).or_else(|| ports.get(place));
        let Some(port) = port else { bail!("`{}` is one too many: there are {}", file.display(), names(ports)) };
        ensure!(found.iter().all(|(other, _)| other != port), "`{}` is given twice", port.name);
        found.push((*port, named.map_or(file, |(_, path)| path)));
    }
    // In the model's order.
    found.sort_by_key(|(port, _)| ports.iter().position(|other| other == port));
    Ok(found)
}

fn names<'m>(ports: impl IntoIterator<Item = Port<'m>>) -> String {
    ports.into_iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ")
}

/// How many images have the output that they should have; says so.
fn count_equal(output: &Array2<i16>, wanted: &Expected) -> usize {
    let count = output.nrows();
    let wanted = match wanted {
        Expected::Elements(wanted) => wanted,
        Expected::Classes(classes) => {
            let equal = simulate::classes(output).iter().zip(classes).filter(|(a, b)| a == b).count();
            println!("{equal} of {count} classes are equal");
            return equal;
        }
    };
    let (equal, first) = simulate::equal_rows(output, wanted);
    println!("{equal} of {count} outputs are equal");
    if let Some(row) = first {
        println!("first difference in image {row}:\n  expected {}\n  got      {}", wanted.row(row), output.row(row));
    }
    equal
}

/// What to compare outputs with.
enum Expected {
    /// Every element.
    Elements(Array2<i16>),
    /// The best class of float outputs, which integers cannot equal.
    Classes(Vec<usize>),
}

/// The outputs to compare with: one row for each of `count` images.
fn expected(path: &Path, output: &Tensor, count: usize) -> Result<Expected> {
    let classes = output.shape.len() as usize;
    if let Some(reals) = floats(path)? {
        let reals = rows(reals, count, classes).with_context(|| path.display().to_string())?;
        let best = |row: ndarray::ArrayView1<'_, f32>| {
            row.iter().enumerate().fold(0, |best, (class, &score)| if score > row[best] { class } else { best })
        };
        return Ok(Expected::Classes(reals.rows().into_iter().map(best).collect()));
    }
    let array = match IntArray::read(path)? {
        IntArray::Signed(array) => array.mapv(i16::from),
        IntArray::Wide(array) => array,
        // Outputs of a model whose last operator made uint8 of int8.
        IntArray::Unsigned(array) => array.mapv(|element| i16::from((element ^ 0x80) as i8)),
    };
    Ok(Expected::Elements(rows(array, count, classes).with_context(|| path.display().to_string())?))
}

/// An array of float32, or `None` when the file holds something else.
fn floats(path: &Path) -> Result<Option<ArrayD<f32>>> {
    Ok(files::reals(&files::read(path)?))
}

fn rows<T>(array: ArrayD<T>, count: usize, classes: usize) -> Result<Array2<T>> {
    let shape = array.shape().to_vec();
    ensure!(
        shape.first() == Some(&count) && array.len() == count * classes,
        "shape {shape:?} is not {count} x {classes}: one row for each image"
    );
    Ok(array.into_shape_with_order((count, classes))?)
}
