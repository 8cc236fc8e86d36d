//! Devices against whatever comes over their line: noise, frames of nonsense and of extremes, model files that are not what they seem,
//! more than anybody asked for. Afterwards the next good question is answered, and an inference gives the host's bytes.
//!
//! The device's side runs here, and on emulated boards where QEMU is. `KINGLET_FLOODS=N` floods N times as often; `cargo xtask faults` does so.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/flash.rs"]
mod flash;
mod needs;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Block, arena, seal};
use flash::{ERASE, Flash, SLOT};
use kinglet::device::frame::{self, Decoder, PAYLOAD};
use kinglet::device::link::{self, CHUNK, Server};
use kinglet::device::load::{Loader, needed};
use kinglet::device::{Clock, Lap, Mlperf};
use kinglet::format::crc32;
use kinglet::slots::Slots;
use kinglet::{Model, Pixels, Session};
use kinglet_tools::device::client::{self, Client};
use kinglet_tools::device::{Board, Build, Emulated, Program};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How many floods there are of a device here, and on an emulated board.
fn floods(few: u64) -> u64 {
    few * std::env::var("KINGLET_FLOODS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Numbers that code gets wrong.
const EXTREMES: [u32; 10] = [0, 1, 2, 122, 128, 4096, 1 << 16, i32::MAX as u32, 1 << 31, u32::MAX];

fn question(number: u8, command: u8, arguments: &[&[u8]]) -> Vec<u8> {
    let (mut bytes, head) = (Vec::new(), [number, command]);
    let parts = [&[&head[..]], arguments].concat();
    frame::send(&mut bytes, &parts).unwrap();
    bytes
}

/// The questions that send a model file.
fn sent(file: &[u8]) -> Vec<u8> {
    let check = crc32(0, file).to_le_bytes();
    let mut bytes = question(1, link::LOAD, &[&(file.len() as u32).to_le_bytes(), &check]);
    for (index, chunk) in file.chunks(CHUNK).enumerate() {
        bytes.extend(question(2, link::PART, &[&((index * CHUNK) as u32).to_le_bytes(), chunk]));
    }
    bytes.extend(question(3, link::START, &[&check]));
    bytes
}

fn noise(rng: &mut ChaCha8Rng, most: usize) -> Vec<u8> {
    let len = rng.random_range(0..=most);
    (0..len).map(|_| rng.random()).collect()
}

/// One piece of what a device has to bear.
fn nonsense(rng: &mut ChaCha8Rng, model: &[u8]) -> Vec<u8> {
    let extreme = |rng: &mut ChaCha8Rng| EXTREMES[rng.random_range(0..EXTREMES.len())].to_le_bytes();
    match rng.random_range(0..8) {
        0 => noise(rng, 400),
        1 => question(rng.random(), rng.random(), &[&noise(rng, PAYLOAD - 2)]),
        // Every command with every extreme.
        2 | 3 => {
            let words = [extreme(rng), extreme(rng)];
            question(rng.random(), rng.random_range(0..10), &[&words[0], &words[1], &noise(rng, PAYLOAD - 10)])
        }
        // Too few arguments.
        4 => question(rng.random(), rng.random_range(0..10), &[&noise(rng, 7)]),
        // Too long, and end marks and escapes without end.
        5 => question(rng.random(), rng.random(), &[&noise(rng, 1000)]),
        6 => (0..rng.random_range(0..600)).map(|_| [0xC0, 0xDB, 0xDC, 0xDD, 0][rng.random_range(0..5)]).collect(),
        // A model file with a word that says something else, well sealed; sometimes cut off, so that what comes next is taken for parts of it.
        _ => {
            let mut file = model.to_vec();
            let at = 4 * rng.random_range(4..file.len() / 4);
            file[at..at + 4].copy_from_slice(&extreme(rng));
            seal(&mut file);
            let mut bytes = sent(&file);
            if rng.random_bool(0.3) {
                bytes.truncate(rng.random_range(0..bytes.len()));
            }
            bytes
        }
    }
}

fn flood(rng: &mut ChaCha8Rng, model: &[u8]) -> Vec<u8> {
    (0..40).flat_map(|_| nonsense(rng, model)).collect()
}

/// A line that delivers so much, and then fails.
#[derive(Default)]
struct Line {
    comes: VecDeque<u8>,
    goes: Vec<u8>,
}

impl embedded_io::ErrorType for &mut Line {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::Read for &mut Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        bytes[0] = self.comes.pop_front().ok_or(embedded_io::ErrorKind::ConnectionReset)?;
        Ok(1)
    }
}

impl embedded_io::Write for &mut Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.goes.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Still;

impl Clock for Still {
    fn ticks(&mut self) -> u64 {
        0
    }

    fn frequency(&self) -> u32 {
        1_000_000
    }
}

/// Pixels, and the output that a model gives for them.
fn expected(file: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let model = Model::new(file).unwrap();
    let pixels: Vec<u8> = (0..model.input().shape.len()).map(|at| (at * 37 % 251) as u8).collect();
    let mut memory = Vec::new();
    let mut session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
    let output = session.infer(Pixels(&pixels)).unwrap().bytes().to_vec();
    (pixels, output)
}

/// Floods a device that `serve` makes of a line, then runs the model on it, which is sent first if it is not built in.
fn bears(file: &[u8], is_sent: bool, mut serve: impl FnMut(&mut Line)) {
    let (pixels, output) = expected(file);
    let mut good = question(0, link::HELLO, &[]);
    if is_sent {
        good.extend(sent(file));
    }
    for (index, chunk) in pixels.chunks(CHUNK).enumerate() {
        good.extend(question(4, link::WRITE, &[&((index * CHUNK) as u32).to_le_bytes(), chunk]));
    }
    good.extend(question(5, link::RUN, &[&crc32(0, &pixels).to_le_bytes()]));
    good.extend(question(6, link::OUTPUT, &[&[0; 4]]));
    for seed in 0..floods(60) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let comes = [flood(&mut rng, file), good.clone()].concat().into();
        let mut line = Line { comes, ..Line::default() };
        serve(&mut line);
        let mut decoder = Decoder::default();
        let last = line.goes.iter().filter_map(|&byte| decoder.push(byte).map(<[u8]>::to_vec)).last();
        let some = &output[..output.len().min(PAYLOAD - 2)];
        assert_eq!(last.unwrap(), [&[6, link::OUTPUT], some].concat(), "seed {seed}");
    }
}

#[test]
fn a_device_with_a_model_bears_floods() {
    let file = Block::in_place().to_bytes();
    bears(&file, false, |line| {
        let model = Model::new(&file).unwrap();
        let mut memory = Vec::new();
        let session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
        let (mut input, mut sums) = (vec![0; model.input().shape.len() as usize], [0; 3]);
        Server::new(line, Still, session, &mut input, &mut sums, "here").serve();
    });
}

#[test]
fn a_device_that_takes_models_bears_floods() {
    let file = Block::in_place().to_bytes();
    let room = needed(&Model::new(&file).unwrap()) as usize;
    bears(&file, true, |line| {
        let (mut memory, mut sums) = (Vec::new(), [0; 16]);
        Loader::new(line, Still, arena(&mut memory, room + 100), &mut sums, "here").serve();
    });
}

#[test]
fn a_device_that_keeps_models_bears_floods() {
    let file = Block::in_place().to_bytes();
    bears(&file, true, |line| {
        let (mut memory, mut sums, mut flash) = (Vec::new(), [0; 16], Flash::<4>::new());
        let slots = Slots::new(&mut flash, ERASE as u32, SLOT).unwrap();
        Loader::new(line, Still, arena(&mut memory, 1 << 16), &mut sums, "here").keep(slots).serve();
    });
}

/// Commands of the monitor with extremes, and noise; at last a name is asked for.
fn commands(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let words: [&[u8]; 12] = [
        b"db",
        b"load",
        b"print",
        b"infer",
        b"results",
        b"profile",
        b"%",
        b"%",
        b"-1",
        b"2147483647",
        b"4294967296",
        b"ab",
    ];
    let mut bytes = Vec::new();
    for _ in 0..200 {
        bytes.extend(words[rng.random_range(0..words.len())]);
        bytes.push(b' ');
        if rng.random_bool(0.05) {
            bytes.extend(noise(rng, 100));
        }
    }
    bytes.extend(b"%name%");
    bytes
}

#[test]
fn the_monitor_bears_floods() {
    let file = Block::in_place().to_bytes();
    let model = Model::new(&file).unwrap();
    let len = model.input().shape.len() as usize;
    for seed in 0..floods(60) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut memory, mut input) = (Vec::new(), vec![0; len]);
        // An input is there, so that inferences are run.
        let whole = format!("db load {len}%db {}%", "00".repeat(len.min(30)));
        let rest = format!("db {}%", "00".repeat(30)).repeat(len.div_ceil(30));
        let comes = [whole.into_bytes(), rest.into_bytes(), commands(&mut rng)].concat().into();
        let mut line = Line { comes, ..Line::default() };
        let session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
        Mlperf::new(&mut line, Lap(Still), session, &mut input, "here", "ic01").serve();
        let said = String::from_utf8_lossy(&line.goes).into_owned();
        assert!(said.ends_with("m-name-dut-[here]\r\nm-ready\r\n"), "seed {seed}: {said}");
        assert!(said.contains("m-load-done"), "{said}");
    }
}

/// Writes bytes to an emulated board, and lets it say what it wants.
fn pour(line: &mut Emulated, bytes: &[u8]) -> Vec<u8> {
    let (mut heard, mut some) = (Vec::new(), [0; 4096]);
    for chunk in bytes.chunks(64) {
        line.write_all(chunk).unwrap();
        match line.read(&mut some) {
            Ok(len) => heard.extend(&some[..len]),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
    }
    heard
}

/// Waits until a board has said all that it has to say of a flood.
fn calm(line: &mut Emulated) {
    let (begin, mut last, mut some) = (Instant::now(), Instant::now(), [0; 4096]);
    while last.elapsed() < Duration::from_millis(500) {
        assert!(begin.elapsed() < Duration::from_secs(60), "it goes on and on");
        if line.read(&mut some).is_ok_and(|len| len > 0) {
            last = Instant::now();
        }
    }
}

fn board(program: Program, model: &Path) -> Emulated {
    let board = Board::named("mps2-an386").unwrap();
    let model = program.holds_a_model().then_some(model);
    let line = Emulated::start(&Build { model, ..Build::new(board, program) }.run().unwrap()).unwrap();
    line.set_timeout(Duration::from_millis(2)).unwrap();
    line
}

#[test]
fn emulated_boards_bear_floods() {
    if !needs::devices() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.kgl");
    let file = Block::in_place().to_bytes();
    std::fs::write(&path, &file).unwrap();
    let (pixels, output) = expected(&file);
    let model = Model::new(&file).unwrap();
    for program in [Program::Serve, Program::Receive] {
        let mut line = board(program, &path);
        for seed in 0..floods(3) {
            pour(&mut line, &flood(&mut ChaCha8Rng::seed_from_u64(seed), &file));
            calm(&mut line);
            let mut client = Client::new(&mut line);
            let about = client.hello().unwrap();
            if about.about.model != model.checksum() {
                client::load(&mut client, &about, model, |_| {}).unwrap();
            }
            assert_eq!(client.infer(&pixels, output.len()).unwrap().output, output, "seed {seed}");
        }
    }
    let mut line = board(Program::Mlperf, &path);
    for seed in 0..floods(3) {
        let mut heard = pour(&mut line, &commands(&mut ChaCha8Rng::seed_from_u64(seed)));
        let begin = Instant::now();
        while !heard.ends_with(b"m-name-dut-[mps2-an386]\r\nm-ready\r\n") {
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", String::from_utf8_lossy(&heard));
            heard.extend(pour(&mut line, b" "));
        }
    }
}
