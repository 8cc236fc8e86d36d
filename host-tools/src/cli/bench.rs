//! `kinglet bench`: how fast training is, alone or beside PyTorch.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::options::json::Json;
use super::peer::{Peer, Reply};
use crate::files;
use crate::graph::{NetworkRecipe, Params, Preprocess};
use crate::layers::{Mode, Net, Targets};
use crate::train::{Memory, Optimizer};

/// Options of `kinglet bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Networks of the zoo.
    #[arg(long, value_name = "NAME", default_values_t = ["resnet8", "resnet20", "inception-small"].map(String::from))]
    network: Vec<String>,
    /// Multiplies every filter count.
    #[arg(long, default_value_t = 1.0)]
    width: f32,
    /// Images of one step.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Threads; all cores unless given.
    #[arg(long)]
    threads: Option<usize>,
    /// Measured steps; one more warms up.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Runs the same networks in PyTorch too, by turns, with this Python.
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, require_equals = true, default_missing_value = "python3")]
    peer: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
    /// Writes the figures to a file, as JSON.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Measures forward, backward and update on made-up images, and prints images per second.
///
/// # Errors
/// When a network is unknown, or the file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut peer = args.peer.as_deref().map(Peer::start).transpose()?;
    let mut rows = Vec::new();
    for name in &args.network {
        let mut training = Training::new(name, args.width, args.batch)?;
        let request = json!({
            "network": name, "batch": args.batch, "threads": threads, "steps": 1,
            "parameters": training.net.graph().trainable_len(),
        });
        pool.install(|| training.step());
        let (mut ours, mut theirs, mut version) = (Vec::new(), Vec::new(), None);
        let mut asked = true;
        // By turns, one step each: what else the machine does slows both down alike.
        for _ in 0..args.steps.max(1) {
            ours.push(pool.install(|| training.step()));
            match peer.as_mut().filter(|_| asked).map(|peer| peer.ask(&request)).transpose()? {
                Some(Reply::Seconds(seconds, of)) => {
                    theirs.extend(seconds);
                    version = Some(of);
                }
                Some(Reply::No(reason)) => {
                    eprintln!("{name}: {reason}");
                    asked = false;
                }
                Some(Reply::Missing(reason)) => {
                    eprintln!("{reason}");
                    peer = None;
                }
                None => {}
            }
        }
        let [rate, other] = [ours, theirs].map(|times| median(times).map(|seconds| args.batch as f64 / seconds));
        let rate = rate.unwrap_or_default();
        let ratio = other.map(|other| rate / other);
        let beside = match (other, ratio, &version) {
            (Some(other), Some(ratio), Some(version)) => {
                format!(", PyTorch {version} channels-last: {other:>6.0}, ratio {ratio:.2}")
            }
            _ => String::new(),
        };
        println!("{name:<18} batch {:>4}, {threads} threads: {rate:>6.0} images/s{beside}", args.batch);
        rows.push(json!({
            "network": name, "batch": args.batch, "threads": threads, "images_per_second": rate,
            "peer": version.map(|version| format!("PyTorch {version}, channels-last")),
            "peer_images_per_second": other, "ratio": ratio,
        }));
    }
    if let Some(path) = &args.output {
        files::save(path, serde_json::to_string_pretty(&rows)?)?;
    }
    args.json.print(&rows)?;
    Ok(ExitCode::SUCCESS)
}

/// The median: other programs can only make a step slower.
fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// A network in training on made-up images.
struct Training {
    net: Net<f32>,
    memory: Memory,
    classes: Vec<u8>,
}

impl Training {
    fn new(name: &str, width: f32, batch: usize) -> Result<Self> {
        let recipe = NetworkRecipe { width: Some(width), ..NetworkRecipe::zoo(name) };
        let labels: Vec<String> = (0..10).map(|class| class.to_string()).collect();
        let graph = recipe.build(&labels, &Preprocess::unit(recipe.input()?.c as usize))?;
        let net = Net::new(&graph, &Params::init(&graph, 1), batch)?;
        Ok(Self { net, memory: Memory::default(), classes: (0..batch).map(|image| (image % 10) as u8).collect() })
    }

    /// Seconds of one step.
    fn step(&mut self) -> f64 {
        let start = Instant::now();
        self.net.forward(self.classes.len(), Mode::Train, |image, out| {
            for (at, x) in out.iter_mut().enumerate() {
                *x = ((at * 31 + image * 17) % 101) as f32 / 50.0 - 1.0;
            }
        });
        self.net.loss(Targets::of(&self.classes));
        self.net.backward();
        // Made-up images cannot make it diverge at this rate; if they did, the time would be the same.
        let _ = self.memory.step(&Optimizer::default(), self.net.slots(), 1e-3);
        start.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(peer: Option<PathBuf>) -> Result<serde_json::Value> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("rows.json");
        let network = vec!["digits-resnet".to_string()];
        let (json, output) = (Json::default(), Some(path.clone()));
        run(&Args { network, width: 0.25, batch: 8, threads: Some(1), steps: 1, peer, json, output })?;
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    #[test]
    fn rows_have_every_column() {
        let rows = rows(None).unwrap();
        let row = &rows[0];
        assert_eq!((&row["network"], &row["batch"], &row["threads"]), (&json!("digits-resnet"), &json!(8), &json!(1)));
        assert!(row["images_per_second"].as_f64().unwrap() > 0.0);
        for column in ["peer", "peer_images_per_second", "ratio"] {
            assert!(row.as_object().unwrap()[column].is_null());
        }
    }

    #[test]
    fn a_missing_python_is_named() {
        let error = rows(Some("kinglet-no-such-python".into())).unwrap_err().to_string();
        assert!(error.contains("kinglet-no-such-python"), "{error}");
    }

    /// Stands in for Python: answers every request with `answer`.
    #[cfg(unix)]
    fn script(folder: &std::path::Path, answer: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("python");
        std::fs::write(&path, format!("#!/bin/sh\nwhile read request; do echo '{answer}'; done\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    #[cfg(unix)]
    fn the_peer_fills_its_columns_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let row = rows(Some(script(folder.path(), r#"{"seconds": [0.5], "version": "9"}"#))).unwrap();
        assert_eq!(row[0]["peer_images_per_second"], json!(16.0));
        assert_eq!(row[0]["peer"], json!("PyTorch 9, channels-last"));
        let (ratio, rate) = (row[0]["ratio"].as_f64().unwrap(), row[0]["images_per_second"].as_f64().unwrap());
        assert!((ratio - rate / 16.0).abs() < 1e-9 * rate);
        for answer in [r#"{"error": "no torch", "missing": true}"#, r#"{"error": "no twin"}"#] {
            let row = rows(Some(script(folder.path(), answer))).unwrap();
            assert!(row[0]["ratio"].is_null() && row[0]["images_per_second"].is_number());
        }
    }
}
