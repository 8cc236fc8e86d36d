//! A device worked over a line that loses, changes and adds bytes, and that is reset in the middle: everything arrives in the end.
//!
//! The device's side runs in a thread here, and on emulated boards where QEMU is.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/flash.rs"]
mod flash;
mod needs;

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use common::{Block, arena, seal};
use embedded_io::ErrorKind;
use flash::{ERASE, Flash, SLOT};
use kinglet::device::Clock;
use kinglet::device::frame;
use kinglet::device::link::{self, Refusal, Server};
use kinglet::device::load::{Loader, needed};
use kinglet::slots::Slots;
use kinglet::{Model, Observer, Pixels, Session, StepEvent};
use kinglet_tools::data::{Dataset, Split};
use kinglet_tools::device::calibrate::calibrate;
use kinglet_tools::device::client::{Client, evaluate};
use kinglet_tools::device::emulated_boards;
use kinglet_tools::device::steps::measure;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn model_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/digits-resnet/digits-resnet.kgl")
}

fn images(count: usize) -> Split {
    let test = Dataset::digits().unwrap().test;
    test.select(&test.spaced(count))
}

/// The device's end of the line.
struct DeviceEnd {
    received: Receiver<u8>,
    sent: Sender<u8>,
    /// Bytes until the device is reset.
    left: usize,
}

impl embedded_io::ErrorType for &mut DeviceEnd {
    type Error = ErrorKind;
}

impl embedded_io::Read for &mut DeviceEnd {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ErrorKind> {
        self.left = self.left.checked_sub(1).ok_or(ErrorKind::ConnectionReset)?;
        bytes[0] = self.received.recv().map_err(|_| ErrorKind::ConnectionReset)?;
        Ok(1)
    }
}

impl embedded_io::Write for &mut DeviceEnd {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.sent.send(bytes[0]).map_err(|_| ErrorKind::ConnectionReset)?;
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// The host's end, with what goes wrong on the way, in both directions.
struct HostEnd {
    received: Receiver<u8>,
    sent: Sender<u8>,
    rng: ChaCha8Rng,
    /// Faults per byte.
    rate: f64,
}

impl HostEnd {
    /// What becomes of a byte on the line.
    fn fate(&mut self, byte: u8) -> Vec<u8> {
        if !self.rng.random_bool(self.rate) {
            return vec![byte];
        }
        match self.rng.random_range(0..3) {
            0 => vec![],
            1 => vec![byte ^ 1 << self.rng.random_range(0..8)],
            _ => vec![self.rng.random(), byte],
        }
    }
}

impl Read for HostEnd {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let byte = self.received.recv_timeout(Duration::from_millis(5)).map_err(|error| match error {
                RecvTimeoutError::Timeout => io::ErrorKind::TimedOut,
                RecvTimeoutError::Disconnected => io::ErrorKind::BrokenPipe,
            })?;
            if let Some(&byte) = self.fate(byte).first() {
                bytes[0] = byte;
                return Ok(1);
            }
        }
    }
}

impl Write for HostEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            for byte in self.fate(byte) {
                self.sent.send(byte).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A clock that goes on by the second number each time it is looked at.
struct Steady(u64, u64);

impl Clock for Steady {
    fn ticks(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(self.1);
        self.0
    }

    fn frequency(&self) -> u32 {
        1_000
    }
}

/// A device in a thread, which is reset after every `reset` bytes, and the line to it. `run` is what it does from one reset to the next.
fn device_that(mut run: impl FnMut(&mut DeviceEnd) + Send + 'static, rate: f64, reset: usize) -> HostEnd {
    let (to_device, received) = channel();
    let (sent, from_device) = channel();
    thread::spawn(move || {
        let mut end = DeviceEnd { received, sent, left: 0 };
        // Until the host is gone; what arrives while it restarts waits in the channel.
        loop {
            end.left = reset;
            run(&mut end);
            if end.left > 0 {
                return;
            }
        }
    });
    HostEnd { received: from_device, sent: to_device, rng: ChaCha8Rng::seed_from_u64(3), rate }
}

/// A device that holds this model.
fn device(bytes: Vec<u8>, rate: f64, reset: usize) -> HostEnd {
    let run = move |end: &mut DeviceEnd| {
        let model = Model::new(&bytes).unwrap();
        let mut memory = Vec::new();
        let session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
        let (mut input, mut sums) = ([0; 64], vec![0; model.step_count()]);
        Server::new(end, Steady(0, 5), session, &mut input, &mut sums, "a thread").serve();
    };
    device_that(run, rate, reset)
}

#[test]
fn every_step_is_timed_also_over_a_bad_line() {
    let bytes = std::fs::read(model_path()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let mut counted = 0;
    let times = measure(device(bytes.clone(), 0.0005, 20_000), model, || counted += 1).unwrap();
    assert_eq!((times.steps.len(), counted), (model.step_count(), model.step_count()));
    // The clock goes on by 5 from the beginning of a step to its end, as often as some of its rows are computed.
    let mut calls = Calls(vec![0; model.step_count()]);
    let mut memory = Vec::new();
    let mut session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
    session.start(Pixels(&[0; 64])).unwrap().observe(&mut calls).finish().unwrap();
    let ticks: Vec<u64> = times.steps.iter().map(|step| step.ticks).collect();
    assert_eq!(ticks, calls.0.iter().map(|calls| 5 * calls).collect::<Vec<_>>());
    assert!(calls.0.iter().any(|&calls| calls > 1) && times.predicted.is_none());
    assert_eq!(times.table().cells().count(), 1 + model.step_count());
}

/// How often some rows of each step are computed.
struct Calls(Vec<u64>);

impl Observer for Calls {
    fn end(&mut self, event: &StepEvent<'_>) {
        self.0[event.index()] += 1;
    }
}

/// A device with this much memory for models; reset, it holds none.
fn loader(room: usize, rate: f64, reset: usize) -> HostEnd {
    let run = move |end: &mut DeviceEnd| {
        let mut memory = Vec::new();
        let mut sums = [0; 256];
        Loader::new(end, Steady(0, 5), arena(&mut memory, room), &mut sums, "a thread").serve();
    };
    device_that(run, rate, reset)
}

/// A device with two places for models in flash, whose power goes after so many operations of its flash, and so many after the next start. Once it
/// has had a model, it has one at every start.
fn keeper(
    room: usize,
    rate: f64,
    reset: usize,
    cuts: impl IntoIterator<Item = u64, IntoIter: Send> + 'static,
) -> HostEnd {
    let mut flash = Flash::<4>::new();
    flash.gone = || resume_unwind(Box::new("the power went"));
    let (mut cuts, mut had) = (cuts.into_iter(), false);
    let run = move |end: &mut DeviceEnd| {
        flash.left = cuts.next().unwrap_or(u64::MAX);
        let mut slots = Slots::new(&mut flash, ERASE as u32, SLOT).unwrap();
        let has = slots.active().unwrap().is_some();
        assert!(has || !had, "the model is gone");
        had = has;
        let mut memory = Vec::new();
        let mut sums = [0; 256];
        let mut loader =
            Loader::new(&mut *end, Steady(0, 5), arena(&mut memory, room), &mut sums, "a thread").keep(slots);
        if catch_unwind(AssertUnwindSafe(|| loader.serve())).is_err() {
            end.left = 0;
        }
    };
    device_that(run, rate, reset)
}

#[test]
fn a_board_is_calibrated_with_the_models_that_it_has_room_for() {
    let run = |end: &mut DeviceEnd| {
        let (mut memory, mut sums) = (Vec::new(), [0; 256]);
        Loader::new(end, Steady(0, 50_000), arena(&mut memory, 64 * 1024), &mut sums, "mps2-an386").serve();
    };
    let mut asked = Vec::new();
    let found = calibrate(device_that(run, 0.0, usize::MAX), |model| asked.push(model.to_owned())).unwrap();
    assert_eq!((asked.len(), found.points.len(), found.passed_over.len()), (6, 2, 4), "{found}");
    assert!(found.points.iter().all(|point| point.measured == 50_000.0 && point.predicted > 1e6), "{found}");
    let [[before, _], [after, _]] = found.errors();
    assert!(after < before / 10.0, "{found}");
    let text = found.to_string();
    assert!(text.contains("nucleo-l4r5zi: off a trace of ") && text.contains("no room for resnet8"), "{text}");
}

#[test]
fn everything_arrives_over_a_bad_line() {
    let bytes = std::fs::read(model_path()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let images = images(12);
    for (rate, reset) in [(0.0, usize::MAX), (0.003, usize::MAX), (0.0, 701), (0.002, 1009)] {
        let found = evaluate(device(bytes.clone(), rate, reset), model, &images, || {}).unwrap();
        assert_eq!((found.images, found.equal, found.difference), (12, 12, None), "{rate} {reset}");
        assert!(found.correct >= 11);
        assert_eq!((found.device.board.as_str(), found.device.model.as_str()), ("a thread", "digits-resnet"));
        assert_eq!((found.ticks, found.retries == 0), (60, rate == 0.0 && reset == usize::MAX));
    }
}

#[test]
fn another_model_is_noticed() {
    let bytes = std::fs::read(model_path()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let other = std::fs::read(model_path().with_file_name("../digits-inception/digits-inception.kgl")).unwrap();
    let error = evaluate(device(other, 0.0, usize::MAX), model, &images(1), || {}).unwrap_err().to_string();
    assert!(error.contains("digits-inception") && error.contains("flash it"), "{error}");
}

/// A bit of a step's weights is the other way round on the device: from that step on all may differ, and that step does.
#[test]
fn the_step_that_differs_is_named() {
    let bytes = std::fs::read(model_path()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
    let mut found = Vec::new();
    for at in (bytes.len() / 2..bytes.len()).step_by(bytes.len() / 40) {
        let mut bent = bytes.clone();
        bent[at] ^= 0x40;
        seal(&mut bent);
        if Model::new(&bent).is_err() {
            continue;
        }
        let mut client = Client::new(device(bent, 0.0, usize::MAX));
        let (_, difference) = client.compare(&mut session, images(1).image(0)).unwrap();
        found.extend(difference);
    }
    // Weights lie in the file in the order of their steps.
    assert!(found.len() > 5 && found.is_sorted() && found.first() < found.last(), "{found:?}");
    assert!(found.iter().all(|&step| step < model.step_count()), "{found:?}");
}

/// Whatever becomes of pieces of the file on the way, and however often the device is reset, it runs that model in the end.
#[test]
fn models_are_sent_over_a_bad_line() {
    for (rate, reset) in [(0.0, usize::MAX), (0.002, usize::MAX), (0.0, 4001), (0.001, 6007)] {
        let mut client = Client::new(loader(20_000, rate, reset));
        for block in [Block::in_place(), Block::streamed()] {
            let bytes = block.to_bytes();
            let model = Model::new(&bytes).unwrap();
            let mut memory = Vec::new();
            let mut session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
            let mut arrived = 0;
            client.send(&bytes, |bytes| arrived = bytes).unwrap();
            assert_eq!(arrived, bytes.len());
            for seed in 0..6 {
                let pixels: Vec<u8> = (0..model.input().shape.len()).map(|i| (i * (seed * 2 + 7)) as u8).collect();
                let (_, difference) = client.compare(&mut session, &pixels).unwrap();
                assert_eq!(difference, None, "{rate} {reset}");
            }
        }
        assert_eq!(client.retries() == 0, rate == 0.0 && reset == usize::MAX, "{rate} {reset}");
    }
}

#[test]
fn a_device_that_takes_models_is_evaluated_with_any() {
    let bytes = std::fs::read(model_path()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let (clean, reset) = (usize::MAX, 33_003);
    for (reset, retries) in [(clean, false), (reset, true)] {
        let found = evaluate(loader(40_000, 0.0, reset), model, &images(60), || {}).unwrap();
        assert_eq!((found.equal, found.difference, found.retries > 0), (60, None, retries));
        assert_eq!((found.device.model.as_str(), found.device.about.room), ("digits-resnet", 40_000));
    }
}

#[test]
fn models_that_cannot_run_are_refused() {
    let bytes = std::fs::read(model_path()).unwrap();
    let model = Model::new(&bytes).unwrap();
    let says = |error: anyhow::Error, what: &str| assert!(error.to_string().contains(what), "{error}");
    // Too large for the file; large enough for it, but not for the arena.
    for room in [bytes.len() - 1, bytes.len() + 64] {
        says(
            Client::new(loader(room, 0.0, usize::MAX)).send(&bytes, |_| {}).unwrap_err(),
            "bytes of memory, and there are",
        );
        let error = evaluate(loader(room, 0.0, usize::MAX), model, &images(1), || {}).unwrap_err();
        says(error, &format!("takes {} bytes of memory", needed(&model)));
    }
    assert!(evaluate(loader(needed(&model) as usize, 0.0, usize::MAX), model, &images(1), || {}).is_ok());
    // What is no model never runs, nor does what ran before.
    let mut client = Client::new(loader(40_000, 0.0, usize::MAX));
    client.send(&bytes, |_| {}).unwrap();
    let mut bent = bytes.clone();
    bent[bytes.len() / 2] ^= 1;
    says(client.send(&bent, |_| {}).unwrap_err(), "invalid at byte");
    says(Client::new(loader(40_000, 0.0, usize::MAX)).infer(&[0; 64], 10).unwrap_err(), "holds no model");
    // A model that is built in stays.
    says(Client::new(device(bytes.clone(), 0.0, usize::MAX)).send(&bytes, |_| {}).unwrap_err(), "no such command");
}

/// Runs a model on a device that has it, and on the host.
fn runs(line: &mut HostEnd, model: Model<'_>) {
    // A client that has sent no model, and so does not send it again.
    let mut client = Client::new(line);
    let about = client.hello().unwrap().about;
    assert_eq!((about.model, about.room, about.flash), (model.checksum(), 4096, SLOT - 128));
    let mut memory = Vec::new();
    let mut session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
    let pixels: Vec<u8> = (0..model.input().shape.len()).map(|i| (i * 7) as u8).collect();
    assert_eq!(client.compare(&mut session, &pixels).unwrap().1, None);
}

/// Whatever the line does and whenever the power goes, the model that was sent runs in the end, and after the next reset too.
#[test]
fn models_outlast_resets_in_flash() {
    let cuts = || (1..).map(|start: u64| 97 * start * start % 1400);
    for (rate, reset, cuts) in [
        (0.0, usize::MAX, Vec::new()),
        (0.002, usize::MAX, Vec::new()),
        (0.0, 4001, Vec::new()),
        (0.0005, 9001, cuts().take(6).collect::<Vec<_>>()),
    ] {
        let mut line = keeper(4096, rate, reset, cuts);
        for block in [Block::in_place(), Block::streamed(), Block::in_place()] {
            let bytes = block.to_bytes();
            line.rate = rate;
            Client::new(&mut line).send(&bytes, |_| {}).unwrap();
            line.rate = 0.0;
            for _ in 0..3 {
                runs(&mut line, Model::new(&bytes).unwrap());
            }
        }
    }
}

/// Every so many operations of the update of one model by another.
#[test]
fn the_power_may_go_at_any_moment_of_an_update() {
    let [old, new] = [Block::in_place(), Block::streamed()].map(|block| block.to_bytes());
    let sectors = |len: usize| (len + 128).div_ceil(ERASE);
    let operations = |len: usize| sectors(len) + len.div_ceil(64) * 16 + 16 + 1;
    let (first, all) = (operations(old.len()), operations(old.len()) + operations(new.len()));
    for moment in (first + 1..all).step_by(all / 7).chain([all]) {
        let mut line = keeper(4096, 0.0, usize::MAX, [moment as u64]);
        Client::new(&mut line).send(&old, |_| {}).unwrap();
        let mut client = Client::new(&mut line);
        client.send(&new, |_| {}).unwrap();
        assert!(client.retries() > 0, "{moment} of {all}");
        runs(&mut line, Model::new(&new).unwrap());
    }
}

#[test]
fn what_cannot_run_replaces_no_model_in_flash() {
    let good = Block::in_place().to_bytes();
    let mut line = keeper(4096, 0.0, usize::MAX, []);
    Client::new(&mut line).send(&good, |_| {}).unwrap();
    let mut refused = |bytes: &[u8], what: &str| {
        let error = Client::new(&mut line).send(bytes, |_| {}).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        runs(&mut line, Model::new(&good).unwrap());
    };
    refused(&vec![0; SLOT as usize], &format!("it takes {SLOT} bytes of memory, and there are {}", SLOT - 128));
    let mut bent = Block::streamed().to_bytes();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    refused(&bent, "invalid at byte");
    // A whole file, whose checksum is right, but which the runtime finds invalid.
    bent = Block::streamed().to_bytes();
    bent[4] ^= 0x40;
    seal(&mut bent);
    refused(&bent, "invalid at byte");
    // An arena larger than the memory.
    let mut apart = Block::apart();
    apart.arena_len = 8192;
    refused(&apart.to_bytes(), "bytes of memory, and there are 4096");
}

/// A device that says each inference took half of all ticks there are.
#[test]
fn ticks_of_any_size_are_summed() {
    let bytes = std::fs::read(model_path()).unwrap();
    let run = move |end: &mut DeviceEnd| {
        let model = Model::new(&bytes).unwrap();
        let mut memory = Vec::new();
        let session = Session::open(model, arena(&mut memory, model.arena_len())).unwrap();
        let (mut input, mut sums) = ([0; 64], vec![0; model.step_count()]);
        Server::new(end, Steady(u64::MAX, 1 << 63), session, &mut input, &mut sums, "a thread").serve();
    };
    let file = std::fs::read(model_path()).unwrap();
    let found = evaluate(device_that(run, 0.0, usize::MAX), Model::new(&file).unwrap(), &images(8), || {}).unwrap();
    assert!(found.ticks >= 1 << 63 && found.latency().is_finite(), "{found:?}");
}

#[test]
fn a_silent_line_is_given_up() {
    let (sent, _kept) = channel();
    let (_also_kept, received) = channel();
    let line = HostEnd { received, sent, rng: ChaCha8Rng::seed_from_u64(3), rate: 0.0 };
    let error = format!("{:#}", Client::new(line).hello().unwrap_err());
    assert!(error.contains("does not answer") && error.contains("flashed"), "{error}");
}

/// A device that says the same whatever it hears, and how late.
struct Parrot {
    says: Vec<u8>,
    at: usize,
    delay: Duration,
}

impl Read for Parrot {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        thread::sleep(self.delay);
        bytes[0] = *self.says.get(self.at % self.says.len().max(1)).ok_or(io::ErrorKind::TimedOut)?;
        self.at += 1;
        Ok(1)
    }
}

impl Write for Parrot {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nonsense_from_a_device_ends_in_an_error() {
    let frame = |parts: &[&[u8]]| {
        let mut bytes = Vec::new();
        frame::send(&mut bytes, parts).unwrap();
        bytes
    };
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let noise: Vec<u8> = (0..4096).map(|_| rng.random()).collect();
    let about = |len: u32| [&[link::VERSION][..], &[len.to_le_bytes(); 7].concat(), &[255, b'a']].concat();
    thread::scope(|scope| {
        let ends = |says: Vec<u8>, delay, reason: &'static str| {
            scope.spawn(move || {
                let begin = Instant::now();
                let model = std::fs::read(model_path()).unwrap();
                let line = Parrot { says, at: 0, delay: Duration::from_micros(delay) };
                let error = evaluate(line, Model::new(&model).unwrap(), &images(1), || {}).unwrap_err();
                let error = format!("{error:#}");
                assert!(error.contains(reason), "{error}");
                assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
            });
        };
        ends(noise, 50, "does not answer");
        ends(vec![0], 0, "does not answer");
        ends(vec![0xFF], 1000, "does not answer");
        ends(frame(&[&[]]), 0, "does not answer");
        // The number of the first question, and what is no answer to it.
        ends(frame(&[&[1, link::RUN]]), 0, "does not answer");
        ends(frame(&[&[1, link::HELLO]]), 0, "version 0");
        ends(frame(&[&[1, link::HELLO], &about(u32::MAX)]), 0, "cut off");
        ends(frame(&[&[1, link::REFUSED]]), 0, "another protocol version");
        ends(frame(&[&[1, link::REFUSED], &[200; 9]]), 0, "another protocol version");
        ends(frame(&[&[1, link::REFUSED], &Refusal::Lost.to_bytes()]), 0, "lost");
    });
}

#[test]
fn emulated_boards_are_evaluated() {
    if !needs::devices() {
        return;
    }
    for board in emulated_boards() {
        evaluate_emulated(board.name, &[]);
    }
    // By way of the line, on a board of each kind of memory: one, and two.
    for board in ["mps2-an386", "mps3-an547", "lm3s6965evb"] {
        evaluate_emulated(board, &["--load"]);
    }
}

fn evaluate_emulated(board: &str, more: &[&str]) {
    let mut kinglet = Command::cargo_bin("kinglet").unwrap();
    kinglet.args(["device", "eval", "--images", "20", "--qemu", board]).args(more).arg(model_path());
    let output = kinglet.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("agreement  20 of 20") && text.contains(board), "{text}");
}
