//! MLPerf Tiny's monitor on emulated STM32F405 boards, over their USART, driven as the official runner drives a device.
//!
//! Needs QEMU and the boards' Rust targets; runs with `KINGLET_DEVICE_TESTS=1`, as `cargo xtask test` sets it.

#[path = "../../tests/common/mod.rs"]
mod common;
mod needs;

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use kinglet::{Model, Pixels, Session};
use kinglet_tools::data::Dataset;
use kinglet_tools::device::{Board, Build, Emulated, Program};

/// Bytes in a `db` command, as in the runner's `device_under_test.py`.
const PIECE: usize = 31;

/// The runner's side of the line.
struct Runner(Emulated);

impl Runner {
    fn connect(board: &'static Board, model: &Path) -> (Self, Vec<String>) {
        let elf = Build { model: Some(model), ..Build::new(board, Program::Mlperf) };
        let line = Emulated::start(&elf.run().unwrap()).unwrap();
        line.set_timeout(Duration::from_secs(30)).unwrap();
        let mut runner = Self(line);
        let greeting = runner.lines();
        (runner, greeting)
    }

    /// Lines until the device is ready, without `m-ready`.
    fn lines(&mut self) -> Vec<String> {
        let (mut lines, mut text) = (Vec::new(), Vec::new());
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {lines:?}"));
            match byte {
                [b'\r' | 0] => {}
                [b'\n'] => match String::from_utf8(std::mem::take(&mut text)).unwrap() {
                    ready if ready == "m-ready" => return lines,
                    line => lines.push(line),
                },
                [other] => text.push(other),
            }
        }
    }

    fn send(&mut self, command: &str) -> Vec<String> {
        self.0.write_all(format!("{command}%").as_bytes()).unwrap();
        self.lines()
    }

    fn load(&mut self, data: &[u8]) {
        assert_eq!(self.send(&format!("db load {}", data.len())), [format!("m-[Expecting {} bytes]", data.len())]);
        let pieces = data.len().div_ceil(PIECE);
        for (index, piece) in data.chunks(PIECE).enumerate() {
            let digits: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
            let expected: &[&str] = if index + 1 == pieces { &["m-load-done"] } else { &[] };
            assert_eq!(self.send(&format!("db {digits}")), expected);
        }
    }

    /// Results and microseconds.
    fn infer(&mut self, count: u32, warm_up: u32) -> (String, u32) {
        let lines = self.send(&format!("infer {count} {warm_up}"));
        let [start, done, begin, before, after, end, results] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!([start, done], [&format!("m-warmup-start-{warm_up}"), "m-warmup-done"]);
        assert_eq!([begin, end], [&format!("m-infer-start-{count}"), "m-infer-done"]);
        let micros = |line: &str| line.strip_prefix("m-lap-us-").and_then(|n| n.parse::<u32>().ok()).expect("a lap");
        (results.clone(), micros(after).wrapping_sub(micros(before)))
    }
}

#[test]
fn a_session_of_the_official_runner() {
    if !needs::devices() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits-resnet/digits-resnet.kgl");
    let bytes = std::fs::read(&path).unwrap();
    let model = Model::new(&bytes).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let digits = Dataset::digits().unwrap().test;
    // A board for each kind of serial line, and both with a HAL.
    for board in ["mps2-an386", "lm3s6965evb", "microbit", "olimex-stm32-h405", "netduinoplus2"] {
        let board = Board::named(board).unwrap();
        let (mut runner, greeting) = Runner::connect(board, &path);
        assert_eq!(greeting[0], "m-timestamp-mode-performance");
        assert_eq!(greeting.last().unwrap(), "m-init-done");
        assert_eq!(runner.send("name"), [format!("m-name-dut-[{}]", board.name)]);
        assert_eq!(runner.send("profile"), ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[ic01]"]);
        // Accuracy mode.
        for image in (0..digits.len()).step_by(digits.len() / 5).map(|index| digits.image(index)) {
            let output = session.infer(Pixels(image)).unwrap();
            let classes: Vec<_> = (0..10).map(|class| format!("{:.3}", output.probability(class).unwrap())).collect();
            runner.load(image);
            assert_eq!(runner.infer(1, 0).0, format!("m-results-[{}]", classes.join(",")), "{}", board.name);
        }
        // Performance mode: emulated, time is instructions, and so proportional.
        let (one, ten) = (runner.infer(1, 1).1, runner.infer(10, 0).1);
        assert!(one > 100 && ten.abs_diff(10 * one) < one, "{one} us for one inference, {ten} for ten");
        // After errors it goes on.
        assert_eq!(runner.send("db load 0"), ["e-[Command 'db load' must be >0 bytes]"]);
        assert_eq!(runner.send("infer 0"), ["e-[Inference iterations must be >0]"]);
        assert_eq!(runner.send("who are you"), ["e-[Unknown command: who]"]);
        let again = runner.infer(1, 0).1;
        // When the line's bytes arrive is the host's affair, and moves the laps by some microseconds.
        assert!(again.abs_diff(one) < one / 10, "{one} us for one inference, {again} after errors");
    }
}
