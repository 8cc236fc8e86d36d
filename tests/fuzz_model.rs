//! The fuzz target of model files, on stable Rust: the committed corpus, and changes of the selftest's models by their structure.
//!
//! What becomes of each is written down, so that every build (debug, release, Miri, sanitizers) shows to give the same.
//! `KINGLET_BLESS=1` writes `fuzz/corpus/model.txt` anew; `KINGLET_FUZZ_ROUNDS=N` makes N changes of each model.

#[path = "../fuzz/harness/model.rs"]
mod model;
#[path = "../fuzz/harness/mutate.rs"]
mod mutate;
#[path = "../fuzz/harness/random.rs"]
mod random;
#[path = "../fuzz/harness/seeds.rs"]
mod seeds;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kinglet::Fault;
use model::Verdict;
use random::Random;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The committed files, by name.
fn committed() -> Vec<(String, Vec<u8>)> {
    let folder = fs::read_dir(corpus().join("model")).expect("fuzz/corpus/model");
    let mut files: Vec<_> = folder
        .map(|entry| {
            let entry = entry.expect("an entry");
            (entry.file_name().into_string().expect("UTF-8"), fs::read(entry.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_corpus_gives_the_same_in_every_build() {
    let mut table = String::new();
    let mut files = committed();
    if cfg!(miri) {
        files.retain(|(_, bytes)| bytes.len() < 700);
    }
    for (name, bytes) in files.into_iter().step_by(if cfg!(miri) { 9 } else { 1 }) {
        writeln!(table, "{name}: {:?}", model::check(&bytes)).expect("text");
    }
    let path = corpus().join("model.txt");
    if std::env::var_os("KINGLET_BLESS").is_some() {
        fs::write(&path, &table).expect("the disk has room");
    }
    let expected = fs::read_to_string(&path).expect("fuzz/corpus/model.txt");
    let expected: BTreeSet<&str> = expected.lines().collect();
    let missing: Vec<&str> = table.lines().filter(|line| !expected.contains(line)).collect();
    assert!(missing.is_empty(), "not in {}: {missing:#?}", path.display());
    assert!(cfg!(miri) || expected.len() == table.lines().count(), "{} names files that are not there", path.display());
}

/// As [`model::check`]; a file that breaks a promise is kept, for the corpus.
fn check(file: &[u8]) -> Verdict {
    std::panic::catch_unwind(|| model::check(file)).unwrap_or_else(|panic| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken.kgl");
        fs::write(&path, file).expect("the disk has room");
        eprintln!("the file is kept as {}", path.display());
        std::panic::resume_unwind(panic)
    })
}

/// Each model changed again and again: what is accepted is changed further.
#[test]
fn changed_models_are_refused_or_run() {
    let rounds = random::rounds(if cfg!(miri) { 1 } else { 40 });
    let (mut faults, mut ran, mut refused) = (Vec::new(), 0, 0);
    for index in (0..seeds::count()).step_by(if cfg!(miri) { 31 } else { 1 }) {
        let seed = seeds::model(index);
        assert!(matches!(model::check(seed), Verdict::Ran(_)), "model {index} of the selftest");
        let mut random = Random::new(index as u32);
        let mut file = seed.to_vec();
        for _ in 0..rounds {
            let mut changed = file.clone();
            mutate::mutate(&mut changed, &mut random);
            match check(&changed) {
                Verdict::Refused(fault) => {
                    refused += 1;
                    faults.push(fault);
                }
                Verdict::Ran(_) => {
                    ran += 1;
                    file = changed;
                }
                Verdict::Large => {}
            }
        }
    }
    if cfg!(miri) {
        return;
    }
    println!("{ran} run, {refused} refused");
    // The changes reach what lies behind the checksum: most kinds of fault, and models that run.
    let kinds: BTreeSet<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
    assert!(kinds.len() >= 20, "{kinds:?}");
    assert!(ran * 10 > refused, "{ran} run, {refused} are refused");
    assert!(faults.iter().filter(|fault| **fault == Fault::Checksum).count() * 20 < refused, "checksums");
}
