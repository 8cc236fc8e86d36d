//! `kinglet quantize`: what rounding costs a trained network, and where; and what it gains and costs to leave the worst layers
//! out of int8.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use ndarray::Axis;
use serde::Serialize;

use super::options::json::Json;
use super::options::quantization::Dtype;
use super::options::trained::{Opened, Trained};
use crate::quantize::report::{self, Report};
use crate::report::noise;
use crate::report::table::{Table, grouped};
use crate::tradeoff::{Bench, Fix, Measured};
use crate::{deploy, files, quantize};

/// Options of `kinglet quantize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trained: Trained,
    /// Held-out images to measure on, evenly spaced.
    #[arg(long, default_value_t = 200)]
    images: usize,
    /// What weights and activations are.
    #[arg(long, value_enum, default_value_t = Dtype::Int8)]
    dtype: Dtype,
    /// Measures what it gains and costs to leave the worst layers out of int8: worst:3 for the three that alone make the most noise
    /// at the output.
    #[arg(long, value_name = "worst:K", conflicts_with = "dtype")]
    fix: Option<Fix>,
    /// What those layers are then.
    #[arg(long, value_enum, default_value_t = Dtype::F16, requires = "fix")]
    with: Dtype,
    #[command(flatten)]
    json: Json,
    /// Writes the figures to a file, as JSON.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draws the signal to noise ratio of every layer as SVG, the worst ones marked.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What is written as JSON.
#[derive(Serialize)]
struct Figures<'f> {
    #[serde(flatten)]
    report: &'f Report,
    /// Exported models, measured in the runtime.
    exported: &'f [Measured],
}

/// Prints the tables; writes JSON and picture when asked.
///
/// # Errors
/// Names the file, the option or the node that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.with != Dtype::Int8, "--with int8: the other layers are that; f16 or 16x8");
    let Opened { model, data, quantization, .. } = args.trained.open(args.dtype)?;
    let prepared = deploy::prepare(&model.graph, &model.params, &data.train, &quantization)?;
    let some = data.test.select(&data.test.spaced(args.images.max(1)));
    let reals = quantize::reals(&model.graph.preprocess, some.images.view())?;
    let images: Vec<Vec<f32>> = reals.axis_iter(Axis(0)).map(|image| image.iter().copied().collect()).collect();
    let dtype = args.dtype.activations();
    let report = report::measure(&prepared, dtype, &images, &some.labels);
    print(&report);
    let bench = Bench::new(&prepared, &some, &images);
    let mut exported = vec![bench.whole(dtype)?];
    if let Some(fix) = args.fix {
        let wider = args.with.activations();
        exported.extend(bench.fixed(&report, fix, wider)?);
        exported.push(bench.whole(wider)?);
    }
    compare(&exported);
    if args.dtype == Dtype::Int8 {
        suggest(args, &report, &exported);
    }
    let figures = Figures { report: &report, exported: &exported };
    if let Some(path) = &args.output {
        files::save(path, serde_json::to_string_pretty(&figures)?)?;
    }
    args.json.print(&figures)?;
    if let Some(path) = &args.plot {
        files::save(path, noise::picture(&model.graph.name, &report)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report) {
    let mut table =
        Table::new(["layer", "dB", "dB at the output, alone", "saturated %", "range used %", "accuracy alone %"]);
    for layer in &report.layers {
        table.row([
            layer.name.clone(),
            format!("{:.1}", layer.decibels),
            format!("{:.1}", layer.output_decibels),
            format!("{:.3}", layer.saturated_percent),
            format!("{:.1}", layer.range_used_percent),
            format!("{:.2}", layer.accuracy_alone),
        ]);
    }
    println!("{table}");
    println!(
        "{} images: {:.2} % right in float, {:.2} % with all layers rounded to {}",
        report.images, report.accuracy_float, report.accuracy_rounded, report.activations
    );
    if let Some(worst) = report.worst().first() {
        println!("worst layer: {}, which alone leaves {:.1} dB at the output", worst.name, worst.output_decibels);
    }
}

/// Exported models beside each other.
fn compare(exported: &[Measured]) {
    let mut table = Table::new([
        "exported",
        "accuracy %",
        "dB at the output",
        "weights, bytes",
        "arena, bytes",
        "MACs int8",
        "MACs wider",
    ]);
    for model in exported {
        table.row([
            model.name.clone(),
            format!("{:.2}", model.accuracy),
            format!("{:.1}", model.output_decibels),
            grouped(model.weight_bytes as u64),
            grouped(model.arena_bytes as u64),
            grouped(model.macs_int8),
            grouped(model.macs_wider),
        ]);
    }
    println!("\nin the runtime:\n{table}");
}

/// What to do about the noise: how to keep the layers that were measured, or which are worth measuring.
fn suggest(args: &Args, report: &Report, exported: &[Measured]) {
    let run = args.trained.folder().display();
    // The last one is the network with all layers kept.
    if let (Some(_), [.., last, _]) = (args.fix, exported) {
        let option = if args.with == Dtype::F16 { "--keep-f16" } else { "--keep-16x8" };
        println!("to keep them: kinglet export {run} {option} {}", last.kept.join(","));
    } else if let Some((count, percent)) = report.suggestion() {
        let names: Vec<&str> = report.worst().iter().take(count).map(|layer| layer.name.as_str()).collect();
        println!(
            "suggestion: {count} of {} layers make {percent:.0} % of the noise at the output ({}): kinglet quantize {run} \
             --fix worst:{count} shows what it gains and costs to keep them in float16, or --with 16x8",
            report.worst().len(),
            names.join(", ")
        );
    }
}
