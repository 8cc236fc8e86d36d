//! `kinglet report`: a model on one page.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::options::held_out::HeldOut;
use super::options::shipped;
use super::profile;
use crate::device::Board;
use crate::report::confusion::Confusion;
use crate::report::page::{self, Counted, Details, Errors};
use crate::{compare, files, simulate, train};

/// Images that the noise of quantization is measured on.
const NOISE_IMAGES: usize = 50;

/// How long an emulated board may take to count.
const LIMIT: Duration = Duration::from_secs(600);

/// Options of `kinglet report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl), or a model that comes with Kinglet, like cifar10-resnet8.
    #[arg(value_parser = shipped::model)]
    model: PathBuf,
    /// The page to write (.html).
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A board, by its name or its chip's: what each layer takes there.
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// An emulated board that counts each layer's instructions and the stack, in QEMU: mps2-an386 unless named.
    #[arg(long, value_name = "BOARD", num_args = 0..=1, default_missing_value = "mps2-an386")]
    qemu: Option<String>,
    #[command(flatten)]
    held_out: HeldOut,
}

/// Builds the firmware's program `profile` around the model, and runs it.
fn count(board: &str, model: &Path) -> Result<Counted> {
    let board = Board::named(board)?;
    board.in_qemu()?;
    let found = profile::count(board, model, LIMIT)?;
    let steps = found.steps.iter().map(|step| step.instructions).collect();
    Ok(Counted { board: found.board, instructions: (found.instructions, steps), stack: found.stack_bytes })
}

/// Writes the page; with `--data` or `--run` also where the model errs, with `--run` also what rounding does to each layer.
///
/// # Errors
/// Names the file that is broken, or does not fit the model.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let model = super::open_model(&args.model, &bytes)?;
    let predicted = super::predicted(args.board.as_deref(), &model)?;
    let counted = args.qemu.as_deref().map(|board| count(board, &args.model)).transpose()?;
    let images = if args.held_out.is_given() { Some(args.held_out.read(&model)?) } else { None };
    let noise = match (&images, args.held_out.float()?) {
        (Some(images), Some(trained)) => {
            Some(compare::noise(model, &trained, &images.select(&images.spaced(NOISE_IMAGES)))?)
        }
        _ => None,
    };
    let errors = match &images {
        None => None,
        Some(images) => {
            let outputs = super::eval::outputs(model, images)?;
            let answers = simulate::classes(&outputs);
            let classes: Vec<String> = (0..model.output().shape.len() as usize)
                .map(|class| model.label(class).map_or_else(|| class.to_string(), str::to_owned))
                .collect();
            let label = |image: usize| usize::from(images.labels[image]);
            let score = |image: usize, class: usize| i32::from(outputs[(image, class)]);
            let margin = |image: usize| score(image, answers[image]) - score(image, label(image));
            let mut wrong: Vec<usize> = (0..answers.len()).filter(|&image| answers[image] != label(image)).collect();
            wrong.sort_by_key(|&image| std::cmp::Reverse(margin(image)));
            let shape = model.input().shape;
            let shape = [shape.h, shape.w, shape.c].map(|extent| extent as usize);
            Some(Errors {
                confusion: Confusion::new(&classes, &images.labels, &answers),
                accuracy: 100.0 * (answers.len() - wrong.len()) as f64 / answers.len().max(1) as f64,
                worst: train::sheet(shape, wrong.iter().map(|&image| images.image(image).to_vec()))?,
            })
        }
    };
    files::save(&args.output, page::page(&model, &Details { errors, noise, predicted, counted })?)?;
    println!("{}", args.output.display());
    Ok(ExitCode::SUCCESS)
}
