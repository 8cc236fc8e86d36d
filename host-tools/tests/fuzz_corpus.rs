//! The corpora of the fuzz targets `import` and `data`, on stable Rust: whole files of every kind are accepted, those that a fuzzer found
//! and changes of them do no harm. `tests/fuzz_model.rs` does the same for model files.
//!
//! `KINGLET_BLESS=1` writes the whole files, and models of many plans for the target `model`, to `fuzz/corpus` anew;
//! `KINGLET_FUZZ_ROUNDS=N` makes N changes of each.

#[path = "../../fuzz/harness/mod.rs"]
#[allow(dead_code)]
mod harness;

#[allow(dead_code)]
mod halved;
mod import_util;
mod whole_files;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use halved::halved;
use harness::data::{Desk, READERS};
use harness::random::{Random, rounds};
use harness::{data, import};
use import_util::{small_network, small_onnx, tiny_network, widened};
use kinglet::Model;
use kinglet_tools::import::tflite;
use kinglet_tools::plan::{self, Streaming};
use kinglet_tools::{export, network::Network};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Writes the files that are to be committed, if asked to.
fn bless(target: &str, files: &[(String, Vec<u8>)]) {
    if env::var_os("KINGLET_BLESS").is_some() {
        fs::create_dir_all(corpus(target)).unwrap();
        for (name, bytes) in files {
            fs::write(corpus(target).join(name), bytes).unwrap();
        }
    }
}

/// The committed files, by name.
fn committed(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Some bytes of a file replaced by extremes, or its end cut off.
fn mutated(bytes: &[u8], seed: u32) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut copy = bytes.to_vec();
    for _ in 0..1 + random.below(6) {
        let at = random.below(copy.len());
        copy[at] = [0, 1, 0x7f, 0x80, 0xff, random.word() as u8][random.below(6)];
    }
    if random.one_in(4) {
        copy.truncate(random.below(copy.len()));
    }
    copy
}

fn networks() -> Vec<(String, Vec<u8>)> {
    let files = [
        ("int8.tflite", tflite::to_bytes(&tiny_network()).unwrap()),
        ("int16.tflite", tflite::to_bytes(&widened(tiny_network())).unwrap()),
        ("float.onnx", small_onnx()),
    ];
    files.map(|(name, bytes)| (name.to_owned(), bytes)).into()
}

#[test]
fn imports_do_no_harm() {
    let whole = networks();
    let changed = whole
        .iter()
        .flat_map(|(name, bytes)| (0..3).map(move |seed| (format!("mutated-{seed}-{name}"), mutated(bytes, seed))));
    bless("import", &whole.iter().cloned().chain(changed).collect::<Vec<_>>());
    let files = committed("import");
    let refused = files.iter().filter(|(_, bytes)| !import::check(bytes)).count();
    assert!(refused > 3, "only {refused} are refused");
    for (name, bytes) in &whole {
        assert!(files.iter().any(|(file, bytes)| file == name && import::check(bytes)), "{name} is refused");
        for seed in 0..rounds(400) {
            import::check(&mutated(bytes, seed));
        }
    }
}

#[test]
fn data_do_no_harm() {
    let desk = Desk::new().unwrap();
    let whole = whole_files::all(&desk.digits);
    assert!(READERS.iter().all(|(name, _)| whole.iter().any(|(reader, _)| reader == name)), "a reader has no file");
    let tagged = |reader: &str, bytes: &[u8]| {
        let tag = READERS.iter().position(|(name, _)| *name == reader).unwrap() as u8;
        [&[tag], bytes].concat()
    };
    let named =
        |(index, (reader, bytes)): (usize, (&str, Vec<u8>))| (format!("{index:02}-{reader}"), tagged(reader, &bytes));
    let whole: Vec<_> = whole.into_iter().enumerate().map(named).collect();
    bless("data", &whole);
    let files = committed("data");
    let refused = files.iter().filter(|(_, bytes)| !data::check(&desk, bytes)).count();
    println!("{refused} of {} are refused", files.len());
    for (name, bytes) in &whole {
        assert!(files.iter().any(|(file, bytes)| file == name && data::check(&desk, bytes)), "{name} is refused");
        for seed in 0..rounds(40) {
            let mut changed = mutated(bytes, seed);
            changed.splice(..changed.len().min(1), bytes.first().copied());
            data::check(&desk, &changed);
        }
    }
}

/// A network of all operators in every element type, planned step by step, in chains, and over two memories.
#[test]
fn planned_models_are_accepted() {
    let export = |network: &Network, streaming, fast| {
        let plan = plan::Options { streaming, fast, ..plan::Options::default() };
        export::to_bytes(network, &export::Options { plan, ..export::Options::default() }).unwrap().bytes
    };
    let mut files = Vec::new();
    for (name, network) in
        [("int8", small_network()), ("int16", widened(small_network())), ("float16", halved(small_network()))]
    {
        for (mode, streaming, fast) in
            [("steps", Streaming::Off, None), ("chains", Streaming::Full, None), ("split", Streaming::Full, Some(600))]
        {
            files.push((format!("planned-{name}-{mode}.kgl"), export(&network, streaming, fast)));
        }
    }
    bless("model", &files);
    let committed = committed("model");
    for (name, _) in &files {
        let (_, bytes) = committed.iter().find(|(file, _)| file == name).unwrap();
        Model::<'_>::new(bytes).unwrap_or_else(|error| panic!("{name}: {error}: run this test with KINGLET_BLESS=1"));
    }
}
