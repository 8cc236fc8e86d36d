//! Makes the firmware's selftest vectors and runs the selftest on every emulated board.
//!
//! `KINGLET_BLESS=1` writes `firmware/selftest/vectors.bin` and `firmware/expected/selftest.txt` anew: after a change of the
//! model file's format or of the cases, or when the exporter has learned to choose other algorithms.

mod cases;
#[path = "../halved/mod.rs"]
mod halved;
#[path = "../needs/mod.rs"]
mod needs;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kinglet::kernels::Portable;
use kinglet::ops::{Encoding, OpKind};
use kinglet::{DType, Dynamic, Model, Raw, Session};
use kinglet_tools::device::{self, Build, Program, emulated_boards};
use kinglet_tools::network::Network;
use kinglet_tools::{elements, export, plan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What `firmware/src/selftest.rs` sets aside.
const ARENA_LEN: usize = 4096;
const OUTPUT_LEN: usize = 1024;

fn firmware(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware").join(path)
}

/// Models with their names: what the vectors are made of.
fn models() -> Vec<Vec<u8>> {
    let export = |network: Network| {
        // Widening takes scratch, which without a budget counts for more than flash.
        let ram = network.name.ends_with(" bits").then_some(ARENA_LEN as u32);
        let plan = plan::Options { ram, ..plan::Options::default() };
        export::to_bytes(&network, &export::Options { plan, ..export::Options::default() }).unwrap().bytes
    };
    cases::networks().into_iter().map(export).collect()
}

/// Random bytes of an input; halves are finite, as the device's random ones are.
fn random_input(model: &Model<'_>, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input: Vec<u8> = (0..model.input().span()).map(|_| rng.random()).collect();
    if model.input().dtype == DType::F16 {
        halved::tame(&mut input);
    }
    input
}

/// The output's bytes by the portable kernels.
fn infer(model: Model<'_>, input: &[u8]) -> Vec<u8> {
    let mut memory = vec![0u128; model.arena_len().div_ceil(16)];
    let memory = bytemuck::cast_slice_mut(&mut memory);
    let mut session = Session::<Dynamic, Portable>::open_on(model, memory).unwrap();
    session.infer(Raw(input)).unwrap().bytes().to_vec()
}

/// The file: `KVEC`, number of cases, offset and length of model, input, output of each; models at multiples of 16.
fn vectors() -> Vec<u8> {
    let models = models();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut table = [b"KVEC".as_slice(), &(models.len() as u32).to_le_bytes()].concat();
    let start = (table.len() + 24 * models.len()).next_multiple_of(16);
    let mut data = Vec::new();
    for bytes in &models {
        let model = Model::new(bytes).unwrap();
        let input = random_input(&model, &mut rng);
        let output = infer(model, &input);
        assert!(model.arena_len() <= ARENA_LEN && output.len() <= OUTPUT_LEN, "{} is too large", model.name());
        for part in [bytes.as_slice(), &input, &output] {
            data.resize(data.len().next_multiple_of(16), 0);
            table.extend(((start + data.len()) as u32).to_le_bytes());
            table.extend((part.len() as u32).to_le_bytes());
            data.extend(part);
        }
    }
    table.resize(start, 0);
    table.extend(data);
    table
}

/// Whether the committed files are to be written.
fn blessing() -> bool {
    env::var_os("KINGLET_BLESS").is_some()
}

/// A case of the committed file: model, input, output.
type Case<'v> = (&'v [u8], &'v [u8], &'v [u8]);

/// Reads what [`vectors`] writes.
fn cases(file: &[u8]) -> Vec<Case<'_>> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(&file[..4], b"KVEC");
    let part = |at: usize| &file[word(at)..word(at) + word(at + 4)];
    let case = |index| {
        let at = 8 + 24 * index;
        (part(at), part(at + 8), part(at + 16))
    };
    (0..word(4)).map(case).collect()
}

/// The committed cases, whatever exporter made them, are what this runtime computes, and no operator is missing.
#[test]
fn vectors_hold() {
    let path = firmware("selftest/vectors.bin");
    if blessing() {
        fs::write(&path, vectors()).unwrap();
    }
    // Models start at multiples of 16, of the file and so of memory.
    let file = fs::read(&path).unwrap();
    let mut memory = vec![0u128; file.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut memory)[..file.len()].copy_from_slice(&file);
    let file: &[u8] = &bytemuck::cast_slice(&memory)[..file.len()];

    let mut kinds = Vec::new();
    for (bytes, input, output) in cases(file) {
        let model = Model::new(bytes).unwrap_or_else(|error| panic!("{error}: run this test with KINGLET_BLESS=1"));
        assert_eq!(infer(model, input), output, "{}", model.name());
        let has = |encoding: Encoding| model.uses().encodings.has(encoding.code());
        assert_eq!(has(Encoding::Nibbles), model.name().ends_with(", 4 bits"), "{}", model.name());
        for bits in 2..=4 {
            let is_named = model.name().ends_with(&format!("palette of {bits} bits"));
            assert_eq!(has(Encoding::Palette { bits }), is_named, "{}", model.name());
        }
        kinds.extend(model.steps().map(|step| step.kind()));
    }
    for kind in OpKind::ALL {
        assert!(kinds.contains(kind), "no case has {}: run this test with KINGLET_BLESS=1", kind.name());
    }
}

/// The cases see what an operator does: outputs depend on the input and seldom meet the limits.
#[test]
fn cases_are_sensitive() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for bytes in models() {
        let model = Model::new(&bytes).unwrap();
        let mut output = || {
            let input = random_input(&model, &mut rng);
            let output = model.output();
            elements::to_elements(&infer(model, &input), output.dtype)
        };
        let (first, second) = (output(), output());
        assert_ne!(first, second, "{}: the output does not depend on the input", model.name());
        let dtype = model.output().dtype;
        let clamped =
            first.iter().filter(|&&element| i32::from(element) == dtype.min() || i32::from(element) == dtype.max());
        let clamped = clamped.count();
        assert!(clamped * 2 <= first.len(), "{}: {clamped} of {} are at the limits", model.name(), first.len());
    }
}

#[test]
fn passes_on_every_board() {
    if !needs::devices() {
        return;
    }
    for board in emulated_boards() {
        // All operators, on the board's kernels and on the portable ones: 256 KB of flash hold them only when built for size.
        let small = board.flash.bytes() <= 256 * 1024;
        let elf = Build { small, ..Build::new(board, Program::Selftest) }.run().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = device::run(&elf, folder.path(), Duration::from_secs(120), |_| {}).unwrap();
        run.success().unwrap_or_else(|error| panic!("{}: {error}", board.name));
        // What the board is called and how it computes comes first; all else is the same everywhere.
        let (first, rest) = run.log.split_first().unwrap();
        eprintln!("{}", first.text);
        assert!(first.text.starts_with("board ") && first.text.ends_with(board.name), "{}", first.text);
        let log: String = rest.iter().map(|line| line.text.clone() + "\n").collect();
        let path = firmware("expected/selftest.txt");
        if blessing() {
            fs::write(&path, &log).unwrap();
        }
        assert_eq!(log, fs::read_to_string(&path).unwrap(), "{}: not {}", board.name, path.display());
    }
}
