//! `kinglet bench`: how fast training is.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use crate::files;
use crate::graph::{NetworkRecipe, Params, Preprocess};
use crate::layers::{Mode, Net};

/// Options of `kinglet bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Networks of the zoo.
    #[arg(long, value_name = "NAME", default_values_t = ["resnet8", "resnet20", "inception-small"].map(String::from))]
    network: Vec<String>,
    /// Images of one step.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Threads; all cores unless given.
    #[arg(long)]
    threads: Option<usize>,
    /// Measured steps; a quarter as many warm up.
    #[arg(long, default_value_t = 8)]
    steps: usize,
    /// Writes the rows to a JSON file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures forward, backward and update on made-up images, and prints images per second.
///
/// # Errors
/// When a network is unknown, or the file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut rows = Vec::new();
    for name in &args.network {
        let rate = pool.install(|| measure(name, args.batch, args.steps))?;
        println!("{name:<18} batch {:>4}, {threads} threads: {rate:>8.0} images/s", args.batch);
        rows.push(json!({ "network": name, "batch": args.batch, "threads": threads, "images_per_second": rate }));
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&rows)?;
        files::write(path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(name: &str, batch: usize, steps: usize) -> Result<f64> {
    let recipe = NetworkRecipe::zoo(name);
    let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let graph = recipe.build(&labels, &Preprocess::unit(recipe.input()?.c as usize))?;
    let mut net = Net::<f32>::new(&graph, &Params::init(&graph, 1), batch)?;
    let classes: Vec<u8> = (0..batch).map(|image| (image % 10) as u8).collect();
    let mut times = Vec::new();
    for step in 0..steps + steps.div_ceil(4) {
        let start = Instant::now();
        net.forward(batch, Mode::Train, |image, out| {
            out.iter_mut()
                .enumerate()
                .for_each(|(at, x)| *x = ((at * 31 + image * 17 + step) % 101) as f32 / 50.0 - 1.0);
        });
        net.loss(&classes, 0.0, &[]);
        net.backward();
        for slot in net.slots() {
            slot.weights.iter_mut().zip(slot.gradient).for_each(|(w, g)| *w -= 1e-3 * g);
        }
        times.push(start.elapsed().as_secs_f64());
    }
    // The median: other programs can only make a step slower.
    let mut measured = times.split_off(steps.div_ceil(4));
    measured.sort_by(f64::total_cmp);
    Ok(batch as f64 / measured[measured.len() / 2])
}
