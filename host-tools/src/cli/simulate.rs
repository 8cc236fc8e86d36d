//! `kinglet simulate`: runs inputs through a model, on the host or on an emulated board, and compares bytes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kinglet::{DType, Model};
use ndarray::{Array2, ArrayD};
use ndarray_npy::WriteNpyExt;

use crate::compare;
use crate::device::{self, Board};
use crate::files::{self, IntArray};
use crate::simulate::{self, Images};

/// Options of `kinglet simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl).
    model: PathBuf,
    /// Inputs, N x H x W x C (.npy): int8 or int16 elements, uint8 pixels, which go through the model's table, or float32 numbers,
    /// which are quantized, or rounded to float16 (also N x C x H x W).
    #[arg(long)]
    input: PathBuf,
    /// Outputs to compare with, int8, int16 or uint8 (int8 plus 128), one row per image (.npy), or float32, of which only the best
    /// classes are compared; exits with 1 when not all are equal.
    #[arg(long)]
    expect: Option<PathBuf>,
    /// Where to write the outputs, int8 or int16, or float32 of a float16 model, N x classes (.npy).
    #[arg(short, long)]
    output: Option<PathBuf>,
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
}

/// Runs the command.
///
/// # Errors
/// Names the file that is broken or does not fit the model.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let model = super::open_model(&args.model, &bytes)?;
    let images = match floats(&args.input)? {
        Some(reals) => Images::quantize(reals, &model),
        None => Images::new(IntArray::read(&args.input)?, &model),
    }
    .with_context(|| args.input.display().to_string())?;
    let expected = args.expect.as_ref().map(|path| expected(path, &model, images.len())).transpose()?;

    let begin = Instant::now();
    let (outputs, whereabouts) = match &args.board {
        None => (simulate::run(model, &images)?, "the host".to_owned()),
        Some(name) => {
            let limit = Duration::from_secs(args.time_limit);
            let report = device::evaluate(Board::named(name)?, &bytes, images.view(), limit)?;
            let instructions = report.measured.instructions;
            (report.outputs, format!("{name}, {instructions} instructions per inference"))
        }
    };
    let (count, elapsed) = (images.len(), begin.elapsed());
    let rate = count as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    println!("{}: {count} inferences on {whereabouts} in {elapsed:.1?}, {rate:.0} a second", model.name());

    if let Some(path) = &args.output {
        let mut file = Vec::new();
        match model.output().dtype {
            DType::I8 => outputs.mapv(|element| element as i8).write_npy(&mut file),
            DType::F16 => outputs.mapv(|element| model.output().real(element)).write_npy(&mut file),
            _ => outputs.write_npy(&mut file),
        }
        .with_context(|| path.display().to_string())?;
        files::save(path, &file)?;
    }
    let mut exit = ExitCode::SUCCESS;
    if let Some(path) = &args.compare {
        let comparison = compare::with_layers(model, &images, path)?;
        println!("{comparison}");
        if !comparison.different.is_empty() {
            exit = ExitCode::FAILURE;
        }
    }
    let Some(expected) = expected else { return Ok(exit) };
    let expected = match expected {
        Expected::Elements(expected) => expected,
        Expected::Classes(classes) => {
            let equal = simulate::classes(&outputs).iter().zip(&classes).filter(|(a, b)| a == b).count();
            println!("{equal} of {} classes are equal", images.len());
            return Ok(if equal == images.len() { exit } else { ExitCode::FAILURE });
        }
    };
    let (equal, first) = simulate::equal_rows(&outputs, &expected);
    println!("{equal} of {} outputs are equal", images.len());
    let Some(row) = first else { return Ok(exit) };
    println!("first difference in image {row}:\n  expected {}\n  got      {}", expected.row(row), outputs.row(row));
    Ok(ExitCode::from(1))
}

/// What to compare outputs with.
enum Expected {
    /// Every element.
    Elements(Array2<i16>),
    /// The best class of float outputs, which integers cannot equal.
    Classes(Vec<usize>),
}

/// The outputs to compare with: one row for each of `count` images.
fn expected(path: &Path, model: &Model<'_>, count: usize) -> Result<Expected> {
    let classes = model.output().shape.len() as usize;
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
