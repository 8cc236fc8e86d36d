//! Commands that are killed at any moment leave whole files or none, and training goes on as if nothing had happened.
//!
//! `KINGLET_KILLS=N` kills N times as often.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kinglet::Model;

const EPOCHS: &str = "4";

fn kinglet(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinglet"));
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs to the end; gives how long that took.
fn whole(words: &[&str]) -> Duration {
    let start = Instant::now();
    assert!(kinglet(words).status().unwrap().success(), "{words:?}");
    start.elapsed()
}

/// Runs and kills after `limit`, unless it has ended before; tells whether it had.
fn cut(words: &[&str], limit: Duration) -> bool {
    let start = Instant::now();
    let mut child = kinglet(words).spawn().unwrap();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{words:?}");
            return true;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Kills `command -o output` at `times` moments between start and end. Whenever there is an output, it is the whole one.
fn leaves_whole_files(words: &[&str], output: &Path, times: u32) {
    let times = times * more();
    let mut took = whole(words);
    let expected = std::fs::read(output).unwrap();
    std::fs::remove_file(output).unwrap();
    let mut killed = 0;
    for time in 0..times {
        // Most moments near the end, where files are written.
        let share = 1.0 - (f64::from(time) / f64::from(times)).powi(2) * 0.9;
        let start = Instant::now();
        let ended = cut(words, took.mul_f64(share));
        killed += u32::from(!ended);
        if ended {
            // The machine has less to do than before.
            took = took.min(start.elapsed()).mul_f64(0.95);
        }
        if let Ok(found) = std::fs::read(output) {
            assert!(found == expected, "{words:?}: {} bytes of {}", found.len(), expected.len());
            std::fs::remove_file(output).unwrap();
        }
    }
    assert!(killed * 5 > times, "{killed} of {times} were killed");
    whole(words);
    assert_eq!(hidden(output.parent().unwrap()), 0, "parts of files are left");
}

/// Files with hidden names in a folder.
fn hidden(folder: &Path) -> usize {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    std::fs::read_dir(folder).unwrap().map(name).filter(|name| name.to_string_lossy().starts_with('.')).count()
}

/// How many times as often commands are killed as they are by themselves.
fn more() -> u32 {
    std::env::var("KINGLET_KILLS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// A short training that ran to its end.
fn trained(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    whole(&["train", "--network", "digits-resnet", "--epochs", EPOCHS, "--out", text(&run)]);
    run
}

#[test]
fn exports_and_imports_are_whole_or_not_there() {
    let place = tempfile::tempdir().unwrap();
    let run = trained(place.path());
    let (model, tflite, imported) =
        (place.path().join("m.kgl"), place.path().join("m.tflite"), place.path().join("i.kgl"));
    leaves_whole_files(&["export", text(&run), "-o", text(&model)], &model, 60);
    leaves_whole_files(&["export", text(&run), "--format", "tflite", "-o", text(&tflite)], &tflite, 40);
    leaves_whole_files(&["import", text(&tflite), "-o", text(&imported)], &imported, 60);
    assert!(Model::<'_>::new(&std::fs::read(imported).unwrap()).is_ok());
    let json = place.path().join("q.json");
    leaves_whole_files(&["quantize", text(&run), "--images", "5", "-o", text(&json)], &json, 40);
    let public = place.path().join("public");
    let words = ["publish", text(&run), "-o", text(&public)];
    leaves_whole_files(&words, &public.join("public.kgl"), 40);
}

#[test]
fn a_training_that_is_killed_again_and_again_ends_the_same() {
    let place = tempfile::tempdir().unwrap();
    let run = trained(place.path());
    let expected = std::fs::read(run.join("weights.safetensors")).unwrap();
    let kills: u32 =
        (0..more()).map(|time| killed_training(&expected, &place.path().join(format!("often-{time}")))).sum();
    println!("killed {kills} times");
}

/// Kills and resumes a training in `often` until it has ended; how many times.
fn killed_training(expected: &[u8], often: &Path) -> u32 {
    let start = ["train", "--network", "digits-resnet", "--epochs", EPOCHS, "--out", text(often)];
    let resume = ["train", "--resume", text(often)];
    let mut kills = 0;
    for round in 0.. {
        assert!(round < 400, "it gets nowhere");
        // Longer and longer, so that it reaches the next checkpoint at last.
        let limit = Duration::from_millis(20 + 29 * (round % 60) * (1 + round / 60));
        let words: &[&str] = if often.join("checkpoint.safetensors").exists() { &resume } else { &start };
        if cut(words, limit) {
            break;
        }
        kills += 1;
        let there = |name: &str| often.join(name).exists();
        assert!(there("recipe.toml") || !there("checkpoint.safetensors"), "a checkpoint without its recipe");
    }
    assert_eq!(hidden(often), 0, "parts of files are left");
    assert!(kills >= 5, "{kills} kills");
    assert!(std::fs::read(often.join("weights.safetensors")).unwrap() == expected, "after {kills} kills");
    kills
}
