//! `kinglet quantize`: what int8 costs a trained network, and where.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ndarray::Axis;

use super::quantization::Dtype;
use super::trained::{Opened, Trained};
use crate::quantize::report::{self, Report};
use crate::report::noise;
use crate::report::table::Table;
use crate::{deploy, files, quantize};

/// Options of `kinglet quantize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trained: Trained,
    /// Held-out images to measure on, evenly spaced.
    #[arg(long, default_value_t = 200)]
    images: usize,
    /// Writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the signal to noise ratio of every layer as SVG, the worst ones marked.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Prints the table, worst layer last; writes JSON and picture when asked.
///
/// # Errors
/// Names the file or the node that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Opened { model, data, quantization, .. } = args.trained.open(Dtype::Int8)?;
    let prepared = deploy::prepare(&model.graph, &model.params, &data.train, &quantization)?;
    let some = data.test.select(&data.test.spaced(args.images.max(1)));
    let reals = quantize::reals(&model.graph.preprocess, some.images.view())?;
    let images: Vec<Vec<f32>> = reals.axis_iter(Axis(0)).map(|image| image.iter().copied().collect()).collect();
    let report = report::measure(&prepared, &images, &some.labels);
    print(&report);
    if let Some(path) = &args.json {
        files::save(path, serde_json::to_string_pretty(&report)?)?;
    }
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
        "{} images: {:.2} % right in float, {:.2} % with all layers rounded to int8",
        report.images, report.accuracy_float, report.accuracy_int8
    );
    let worst = report.layers.iter().min_by(|a, b| a.output_decibels.total_cmp(&b.output_decibels));
    if let Some(worst) = worst {
        println!("worst layer: {}, which alone leaves {:.1} dB at the output", worst.name, worst.output_decibels);
    }
}
