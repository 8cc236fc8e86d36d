//! Every field, every extreme: each word of each record of every shipped model, of the selftest's and of the corpus is set to
//! extremes, records are aliased, repeated and spliced, and the checksum is put right. What is accepted runs as promised.
//!
//! `cargo xtask mutate` makes a million changes or what `KINGLET_MUTATIONS` says, two at a time where a file has no more single ones;
//! here it is some thousands of them.

#[path = "../fuzz/harness/extremes.rs"]
mod extremes;
#[path = "../fuzz/harness/model.rs"]
mod model;
#[path = "../fuzz/harness/mutate.rs"]
#[allow(dead_code)]
mod mutate;
#[path = "../fuzz/harness/random.rs"]
#[allow(dead_code)]
mod random;
#[path = "../fuzz/harness/seeds.rs"]
mod seeds;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use model::Verdict;
use random::Random;

/// Files above this take part with fewer changes when not all are made.
const LARGE: usize = 1 << 16;

/// All model files in a folder and its folders.
fn models_in(folder: &Path, files: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            models_in(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "kgl") {
            files.push(fs::read(path).expect("a file"));
        }
    }
}

#[test]
fn every_field_and_every_extreme_is_refused_or_runs() {
    let wanted = std::env::var("KINGLET_MUTATIONS").ok().and_then(|number| number.parse().ok());
    let wanted: usize = wanted.unwrap_or(if cfg!(miri) { 1 } else { 10_000 });
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<Vec<u8>> = (0..seeds::count()).map(|index| seeds::model(index).to_vec()).collect();
    models_in(&root.join("fuzz/corpus/model"), &mut files);
    models_in(&root.join("models"), &mut files);
    files
        .retain(|file| mutate::is_model(&file[..file.len().min(mutate::MAX_LEN)]) && (!cfg!(miri) || file.len() < 700));
    let (mut ran, mut refused, mut large, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (index, file) in files.iter().enumerate().step_by(if cfg!(miri) { 29 } else { 1 }) {
        let other = &files[(index + 1) % files.len()];
        let changes = extremes::changes(file, other);
        let share =
            if file.len() > LARGE && wanted < 1_000_000 { wanted / files.len() / 20 } else { wanted / files.len() };
        let stride = (changes.len() / share.max(1)).max(1);
        let mut random = Random::new(index as u32);
        let single = changes.iter().skip(index % stride).step_by(stride).map(|&change| (change, None));
        let pairs = (changes.len()..share).map(|_| {
            let mut any = || changes[random.below(changes.len())];
            (any(), Some(any()))
        });
        for (change, also) in single.chain(pairs) {
            let mut changed = extremes::changed(file, other, change);
            if let Some(also) = also {
                changed = extremes::changed(&changed, other, also);
            }
            let started = Instant::now();
            let verdict = std::panic::catch_unwind(|| model::check(&changed));
            slowest = slowest.max(started.elapsed());
            match verdict {
                Ok(Verdict::Ran(_)) => ran += 1,
                Ok(Verdict::Refused(_)) => refused += 1,
                Ok(Verdict::Large) => large += 1,
                Err(panic) => {
                    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutated.kgl");
                    fs::write(&path, &changed).expect("the disk has room");
                    eprintln!("file {index}, {change:?}, {also:?}: kept as {}", path.display());
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
    println!(
        "{} files: {ran} run, {refused} refused, {large} too large to be run; the slowest took {slowest:?}",
        files.len()
    );
    assert!(cfg!(miri) || (ran > wanted / 50 && refused > wanted / 4), "{ran} run, {refused} refused");
}
