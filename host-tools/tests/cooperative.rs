//! A control loop of 1 kHz keeps its deadline beside a network, in an interrupt and as a task of embassy-executor: the examples of
//! `firmware/cooperative`, on the emulated board, print what is kept beside them.
//!
//! `KINGLET_BLESS=1` writes the expected output anew.

mod needs;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kinglet_tools::device::{self, Elf};

/// Measured: they depend on the compiler. Percent and instructions by which they may differ from what was kept; the latest more than
/// others, because it depends on where in a piece the ticks fall.
const MEASURED: [(&str, u64); 5] = [("longest", 5), ("runs", 5), ("late", 5), ("latest", 15), ("jitter", 5)];
const INSTRUCTIONS: u64 = 4;

/// Builds an example and runs it; its log.
fn run(example: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = "thumbv7em-none-eabihf";
    let folder = root.join("target/firmware");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--release", "--package", "kinglet-cooperative", "--bin", example]);
    cargo.args(["--target", target, "--target-dir"]).arg(&folder).current_dir(root.join("firmware"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "KINGLET_MODEL"] {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let elf = Elf::parse(fs::read(folder.join(target).join("release").join(example)).unwrap()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let run = device::run(&elf, place.path(), Duration::from_secs(60), |_| {}).unwrap();
    run.success().unwrap();
    run.log.into_iter().map(|line| line.text).collect()
}

/// The number behind `key=` in a line.
fn number(line: &str, key: &str) -> Option<u64> {
    line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

/// The numbers behind `key=` in all lines that have one.
fn numbers(log: &[String], key: &str) -> Vec<u64> {
    log.iter().filter_map(|line| number(line, key)).collect()
}

/// Whether a word is the kept one, or a measurement that is near it.
fn agrees(found: &str, kept: &str) -> bool {
    let measured = |word: &str| {
        let (key, value) = word.split_once('=')?;
        let (_, percent) = MEASURED.iter().find(|(name, _)| *name == key)?;
        Some((value.parse::<u64>().ok()?, percent))
    };
    match (measured(found), measured(kept)) {
        (Some((found, _)), Some((kept, percent))) => found.abs_diff(kept) <= kept * percent / 100 + INSTRUCTIONS,
        _ => found == kept,
    }
}

fn check(example: &str) -> Vec<String> {
    let log = run(example);
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/cooperative/expected").join(format!("{example}.txt"));
    if env::var_os("KINGLET_BLESS").is_some() {
        fs::write(&path, log.join("\n") + "\n").unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(log.len(), kept.lines().count(), "{log:#?}");
    for (found, kept) in log.iter().zip(kept.lines()) {
        let (found, kept) = (words(found), words(kept));
        let same = found.len() == kept.len() && found.iter().zip(&kept).all(|(found, kept)| agrees(found, kept));
        assert!(same, "{}: {found:?} is not {kept:?}", path.display());
    }
    // Whatever is kept: no deadline is missed, and the loop is never late by more than some instructions.
    let missed = numbers(&log, "missed");
    assert!(!missed.is_empty() && missed.iter().all(|&missed| missed == 0), "{log:#?}");
    assert!(numbers(&log, "runs").iter().all(|&runs| runs > 0), "{log:#?}");
    log
}

#[test]
fn the_interrupt_keeps_its_deadline_and_the_rest_waits_for_a_piece() {
    if !needs::devices() {
        return;
    }
    let log = check("control");
    // From the whole inference down to a row, everything else waits less and less.
    let longest = numbers(&log, "longest");
    assert!(longest.is_sorted_by(|a, b| a > b), "{log:#?}");
    assert!(longest[0] > 10 * longest[longest.len() - 1], "{log:#?}");
}

#[test]
fn tasks_keep_theirs() {
    if !needs::devices() {
        return;
    }
    let log = check("tasks");
    let (longest, latest) = (numbers(&log, "longest"), numbers(&log, "latest"));
    assert!(latest.is_sorted_by(|a, b| a > b), "{log:#?}");
    // What shares the network's executor waits for two pieces at most: the executor begins with what was woken last.
    for (piece, late) in longest.iter().zip(&latest) {
        assert!(*late < 2 * piece + piece / 10 + 1000, "{log:#?}");
    }
}
