//! `kinglet eval`: how many of a data set's held-out images models get right, in the runtime on the host.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use kinglet::Model;
use ndarray::{Array2, Axis, concatenate};

use super::options::held_out::HeldOut;
use super::options::json::Json;
use super::options::shipped;
use crate::data::Split;
use crate::files;
use crate::progress::styled;
use crate::report::printable;
use crate::report::table::{Table, grouped};
use crate::simulate::{self, Images};
use crate::train;

/// Images between two looks at the progress bar.
const BATCH: usize = 64;

/// Options of `kinglet eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model files (.kgl), or models that come with Kinglet, like cifar10-resnet8, all for the same images.
    #[arg(required = true, value_name = "MODEL", value_parser = shipped::model)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    held_out: HeldOut,
    #[command(flatten)]
    json: Json,
}

/// Prints each model's accuracy, beside that of the network it was exported from when `--run` names it.
///
/// # Errors
/// Names the file that is broken, or does not fit the images.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (count, table) = measure(args)?;
    args.json.print(&serde_json::json!({ "images": count, "models": table.to_json() }))?;
    println!("{} images, held out\n{table}", grouped(count as u64));
    Ok(ExitCode::SUCCESS)
}

/// How many images there are, and a row for each model.
fn measure(args: &Args) -> Result<(usize, Table)> {
    let files = args.models.iter().map(|path| files::read(path)).collect::<Result<Vec<_>>>()?;
    let models = args.models.iter().zip(&files).map(|(path, bytes)| super::open_model(path, bytes));
    let models = models.collect::<Result<Vec<_>>>()?;
    let (first, others) = models.split_first().context("no model")?;
    for (other, path) in others.iter().zip(&args.models[1..]) {
        let same =
            (first.input().shape, first.output().shape.len()) == (other.input().shape, other.output().shape.len());
        ensure!(same, "`{}` is not for the images of `{}`", path.display(), args.models[0].display());
    }
    let images = args.held_out.read(first)?;
    let labels: Vec<usize> = images.labels.iter().map(|&label| label.into()).collect();
    let float = match args.held_out.float()? {
        Some(float) => Some(train::predictions(&float.graph, &float.params, &images)?),
        None => None,
    };
    let mut table =
        Table::new(["model", "activations", "right %", "as trained", "weights, bytes", "arena, bytes", "images/s"]);
    let share = |found: &[usize], wanted: &[usize]| {
        let same = found.iter().zip(wanted).filter(|(a, b)| a == b).count();
        100.0 * same as f64 / wanted.len().max(1) as f64
    };
    if let Some(float) = &float {
        let blank = String::new;
        let name = "as trained".to_owned();
        table.row([name, blank(), format!("{:.2}", share(float, &labels)), blank(), blank(), blank(), blank()]);
    }
    for (model, path) in models.iter().zip(&args.models) {
        let begin = Instant::now();
        let found = simulate::classes(&outputs(*model, &images)?);
        let rate = images.len() as f64 / begin.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        table.row([
            path.display().to_string(),
            model.input().dtype.name().to_owned(),
            format!("{:.2}", share(&found, &labels)),
            float.as_ref().map_or_else(String::new, |float| format!("{:.2} %", share(&found, float))),
            grouped(model.weight_bytes() as u64),
            grouped(model.arena_len() as u64),
            format!("{rate:.0}"),
        ]);
    }
    Ok((images.len(), table))
}

/// The output elements of every image, one row each, under a progress bar.
///
/// # Errors
/// When the images do not fit the model.
pub fn outputs(model: Model<'_>, images: &Split) -> Result<Array2<i16>> {
    let bar = styled(
        ProgressBar::new(images.len() as u64),
        "{msg} {bar:30} {pos} of {len} images | {per_sec} | ready in {eta}",
    )
    .with_message(printable(model.name()));
    let rows = images.images.axis_chunks_iter(Axis(0), BATCH).map(|some| {
        let rows = simulate::run(model, &Images::Pixels(some.to_owned()))?;
        bar.inc(rows.nrows() as u64);
        Ok(rows)
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    Ok(concatenate(Axis(0), &rows.iter().map(|rows| rows.view()).collect::<Vec<_>>())?)
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

    fn measured(words: &[&str]) -> Result<(usize, Vec<Vec<String>>)> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/");
        let words =
            words.iter().map(|word| if word.contains('/') { format!("{root}{word}") } else { (*word).to_owned() });
        let line = Line::try_parse_from(std::iter::once("eval".to_owned()).chain(words)).unwrap();
        let (count, table) = super::measure(&line.args)?;
        let csv = table.to_csv();
        Ok((count, csv.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()))
    }

    const RESNET: &str = "digits-resnet/digits-resnet.kgl";

    #[test]
    fn models_are_measured_beside_what_was_trained() {
        let (count, rows) = measured(&[RESNET, RESNET, "--run", "digits-resnet/"]).unwrap();
        assert_eq!((count, rows.len()), (359, 3));
        assert_eq!(rows[0][..3], ["as trained", "", "99.72"]);
        for row in &rows[1..] {
            assert_eq!(row[1..4], ["int8", "99.72", "100.00 %"]);
        }
        // Without the run the data are the embedded digits too, and there is nothing to compare with.
        let (count, rows) = measured(&[RESNET, "--images", "100"]).unwrap();
        assert_eq!((count, rows.len(), rows[0][3].as_str()), (100, 1, ""));
    }

    #[test]
    fn models_for_other_images_are_refused() {
        let signs = "signs-resnet50/signs-resnet50.kgl";
        let error = measured(&[signs]).unwrap_err().to_string();
        assert!(error.contains("[8, 8, 1]") && error.contains("[64, 64, 3]"), "{error}");
        let error = measured(&[RESNET, signs]).unwrap_err().to_string();
        assert!(error.contains("signs-resnet50.kgl` is not for the images of"), "{error}");
    }
}
