//! The firmware on emulated boards computes the host's bytes, and counts the same on every run.
//!
//! Needs QEMU and the boards' Rust targets; runs with `KINGLET_DEVICE_TESTS=1`, as `cargo xtask test` sets it.

#[path = "../../tests/common/mod.rs"]
mod common;
mod needs;

use std::time::Duration;

use common::{Block, arena};
use kinglet::{Model, Observer, Pixels, Session, StepEvent};
use kinglet_tools::device::{self, Board, Build, DeviceReport, Measurements, Program, emulated_boards};
use kinglet_tools::elements;
use kinglet_tools::simulate::Images;
use ndarray::Array4;
use ndarray_npy::WriteNpyExt;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LIMIT: Duration = Duration::from_secs(120);

/// Checksums of each step.
#[derive(Default)]
struct Checksums(Vec<u32>);

impl Observer for Checksums {
    fn end(&mut self, event: &StepEvent<'_>) {
        self.0.resize(self.0.len().max(event.index() + 1), 0);
        let before = if event.rows().start == 0 { 0 } else { self.0[event.index()] };
        self.0[event.index()] = event.checksum(before);
    }
}

/// Runs pixels on the host and on the board and compares outputs and the first image's step checksums.
fn compare(board: &str, bytes: &[u8], images: usize) -> DeviceReport {
    let model = Model::new(bytes).unwrap();
    let shape = model.input().shape;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let dim = (images, shape.h as usize, shape.w as usize, shape.c as usize);
    let pixels = Array4::from_shape_simple_fn(dim, || rng.random::<u8>());

    let report =
        device::evaluate(Board::named(board).unwrap(), bytes, &[Images::Pixels(pixels.clone())], LIMIT).unwrap();

    let mut memory = Vec::new();
    let mut session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
    for (index, (image, output)) in pixels.outer_iter().zip(report.outputs.outer_iter()).enumerate() {
        let mut checksums = Checksums::default();
        let inference = session.start(Pixels(image.as_slice().unwrap())).unwrap();
        let host = inference.observe(&mut checksums).finish().unwrap();
        let host = elements::to_elements(host.bytes(), model.output().dtype);
        assert_eq!(host, output.as_slice().unwrap(), "{board}: image {index}");
        if index == 0 {
            let device: Vec<_> = report.measured.steps.iter().map(|step| step.checksum).collect();
            assert_eq!(checksums.0, device, "{board}: checksums of the steps");
        }
    }
    assert_eq!(report.measured.board, board);
    assert_eq!(report.measured.arena_bytes as usize, model.arena_len());
    assert_eq!(report.measured.macs, model.macs());
    assert_eq!(report.model_bytes as usize, bytes.len());
    report
}

#[test]
fn outputs_are_the_hosts_on_every_board() {
    if needs::devices() {
        for board in emulated_boards() {
            check(&compare(board.name, &Block::in_place().to_bytes(), 16));
        }
        check(&compare("mps2-an386", &Block::streamed().to_bytes(), 16));
    }
}

/// The arena in tightly coupled memory and another, on boards that have both, and in one memory on one that has not.
#[test]
fn a_split_arena_gives_the_same_bytes() {
    if needs::devices() {
        let mut block = Block::in_place();
        block.fast_len = 2 * common::MAP;
        for board in ["mps2-an500", "mps3-an547", "mps2-an386"] {
            check(&compare(board, &block.to_bytes(), 4));
        }
    }
}

fn check(report: &DeviceReport) {
    let steps: u64 = report.measured.steps.iter().map(|step| step.instructions).sum();
    assert!(steps > 0 && steps <= report.measured.instructions, "steps are parts of the whole");
    assert!(report.measured.stack_bytes > 0 && report.measured.stack_bytes < report.sizes.stack);
}

/// The programs of real boards: images built in, predictions and a profile logged.
#[test]
fn infer_and_profile_run_on_embedded_images() {
    if !needs::devices() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = Block::in_place().to_bytes();
    let (model, images) = (folder.path().join("model.kgl"), folder.path().join("images.npy"));
    std::fs::write(&model, &bytes).unwrap();
    let pixels = Array4::from_shape_fn((3, 8, 8, 4), |(n, y, x, c)| (n * 90 + y * 31 + x * 7 + c * 13) as u8);
    pixels.write_npy(std::fs::File::create(&images).unwrap()).unwrap();
    let run = |program| {
        let board = Board::named("mps2-an386").unwrap();
        let build = Build { model: Some(&model), images: Some(&images), small: true, ..Build::new(board, program) };
        let run = device::run(&build.run().unwrap(), folder.path(), LIMIT, |_| {}).unwrap();
        run.success().unwrap();
        run.log
    };

    let parsed = Model::new(&bytes).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(parsed, arena(&mut memory, parsed.arena_len())).unwrap();
    let mut expected = Vec::new();
    let mut first = None;
    for (index, image) in pixels.outer_iter().enumerate() {
        let mut checksums = Checksums::default();
        let inference = session.start(Pixels(image.as_slice().unwrap())).unwrap();
        let output = inference.observe(&mut checksums).finish().unwrap();
        first.get_or_insert(checksums.0);
        for (rank, best) in output.top_k::<3>().iter().enumerate() {
            let score = output.elements::<i8>().unwrap()[best.class];
            expected.push(format!("image={index} rank={rank} class={} score={score} ", best.class));
        }
    }
    let log = run(Program::Infer);
    let found: Vec<_> = log.iter().filter_map(|line| line.text.strip_prefix("prediction ")).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected), "{found} is not {expected}");
    }
    let measured = Measurements::read(&run(Program::Profile)).unwrap();
    assert_eq!(Some(measured.steps.iter().map(|step| step.checksum).collect()), first);
    assert_eq!(measured.macs, parsed.macs());
}

#[test]
fn two_runs_measure_the_same() {
    if needs::devices() {
        let bytes = Block::in_place().to_bytes();
        let [first, second] = [(); 2].map(|()| compare("mps2-an386", &bytes, 2));
        assert_eq!(first.measured, second.measured);
        assert_eq!((first.sizes, first.outputs), (second.sizes, second.outputs));
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let bytes = Block::in_place().to_bytes();
    let board = Board::named("mps2-an386").unwrap();
    let wrong = Array4::<i16>::zeros((1, 8, 8, 3));
    let error = device::evaluate(board, &bytes, &[Images::Quantized(wrong)], LIMIT).unwrap_err();
    assert!(error.to_string().contains("the images are 1 of 8 x 8 x 3, the model takes 1 of 8 x 8 x 4"), "{error}");
    let none = Array4::<i16>::zeros((0, 8, 8, 4));
    let none = [Images::Quantized(none)];
    assert!(device::evaluate(board, &bytes, &none, LIMIT).is_err());
    let broken = device::evaluate(board, &bytes[..100], &none, LIMIT).unwrap_err();
    assert!(broken.to_string().contains("truncated"), "{broken}");
    let error = Board::named("mps2-an521").unwrap_err();
    assert!(error.to_string().contains("mps2-an386"), "{error}");
}

/// Every way to fail ends the program with a code of its own and says what happened.
#[test]
fn faults_are_reported() {
    if !needs::devices() {
        return;
    }
    let board = Board::named("mps2-an386").unwrap();
    let elf = Build::new(board, Program::Crash).run().unwrap();
    for (way, code, says) in [
        ("p", 101, "panic at src/crash.rs"),
        ("f", 102, "HardFault at pc="),
        ("e", 103, "has no handler"),
        ("s", 104, "bytes overflowed: sp="),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("inputs.bin"), way).unwrap();
        let run = device::run(&elf, folder.path(), LIMIT, |_| {}).unwrap();
        let log: Vec<_> = run.log.iter().map(ToString::to_string).collect();
        assert_eq!(run.code, Some(code), "{way}: {log:#?} {}", run.messages);
        assert!(log.iter().any(|line| line.contains(says)), "{way}: {log:#?}");
        assert!(run.success().unwrap_err().to_string().contains(&format!("exit code {code}")));
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("inputs.bin"), "l").unwrap();
    let error = device::run(&elf, folder.path(), Duration::from_secs(1), |_| {}).unwrap_err();
    assert!(error.to_string().contains("ran for more than 1 s"), "{error}");
    if cfg!(target_os = "linux") {
        std::fs::write(folder.path().join("inputs.bin"), "c").unwrap();
        // The sandbox refuses the command, or ends QEMU.
        let _ = device::run(&elf, folder.path(), LIMIT, |_| {});
        assert!(!folder.path().join("started").exists(), "an image has started a program of the host");
    }
}
