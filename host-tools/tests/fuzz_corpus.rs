//! The fuzz targets' seeds, replayed: small files of ours, and mutations of them, never make an importer panic, and what it
//! accepts as an integer network exports or is refused.
//!
//! `KINGLET_BLESS=1` writes `fuzz/corpus/import` anew.

mod import_util;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use import_util::{small_onnx, tiny_network, widened};
use kinglet::{Model as Runtime, Session};
use kinglet_tools::export;
use kinglet_tools::import::{Model, Options, read, tflite};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/import")
}

/// Whole files, by name.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("int8.tflite", tflite::to_bytes(&tiny_network()).unwrap()),
        ("int16.tflite", tflite::to_bytes(&widened(tiny_network())).unwrap()),
        ("float.onnx", small_onnx()),
    ]
}

/// Some bytes of a file replaced by extremes, or its end cut off.
fn mutated(bytes: &[u8], seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let mut copy = bytes.to_vec();
    for _ in 0..1 + next(6) {
        let at = next(copy.len());
        copy[at] = [0, 1, 0x7f, 0x80, 0xff, next(256) as u8][next(6)];
    }
    if seed.is_multiple_of(4) {
        copy.truncate(next(copy.len()));
    }
    copy
}

/// Whether the file is accepted; if so, everything that follows works too.
fn replay(bytes: &[u8]) -> bool {
    match read(bytes, &Options::default()) {
        Ok(Model::Int8(imported)) => {
            if let Ok(exported) = export::to_bytes(&imported.network, &export::Options::default()) {
                let model = Runtime::new(&exported.bytes).expect("what the exporter wrote is valid");
                let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
                Session::new(model, bytemuck::cast_slice_mut(&mut arena)).unwrap().run();
            }
            true
        }
        Ok(Model::Float(_)) => true,
        Err(_) => false,
    }
}

#[test]
fn seeds_are_accepted_and_mutations_do_no_harm() {
    let folder = corpus();
    if env::var_os("KINGLET_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds() {
            fs::write(folder.join(name), &bytes).unwrap();
            for seed in 0..3 {
                fs::write(folder.join(format!("mutated-{seed}-{name}")), mutated(&bytes, seed)).unwrap();
            }
        }
    }
    for (name, _) in seeds() {
        assert!(replay(&fs::read(folder.join(name)).unwrap()), "{name} is refused");
    }
    let mut refused = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        refused += usize::from(!replay(&fs::read(entry.unwrap().path()).unwrap()));
    }
    assert!(refused > 3, "only {refused} mutations are refused");
}

/// More mutations than are committed.
#[test]
fn mutations_of_the_seeds_do_no_harm() {
    for (_, bytes) in seeds() {
        for seed in 0..400 {
            replay(&mutated(&bytes, seed));
        }
    }
}
