//! Trigger pins, and the MLPerf Tiny monitor driven as the official runner does it.

use std::collections::VecDeque;

use embedded_hal::digital::{ErrorType, OutputPin};
use embedded_io::ErrorKind;
use kinglet::device::{Clock, Lap, Mlperf, Pulse, Timestamp, Trigger, When};
use kinglet::{Observer, Pixels, Session, StepEvent};
use proptest::prelude::*;

mod common;

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// Bytes of an input.
const INPUT: usize = 64;

/// A serial line whose other end has sent everything already. When that is read, the line fails.
struct Line {
    received: VecDeque<u8>,
    sent: Vec<u8>,
}

impl embedded_io::ErrorType for &mut Line {
    type Error = ErrorKind;
}

impl embedded_io::Read for &mut Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ErrorKind> {
        match (self.received.pop_front(), bytes.first_mut()) {
            (Some(received), Some(byte)) => *byte = received,
            _ => return Err(ErrorKind::ConnectionReset),
        }
        Ok(1)
    }
}

impl embedded_io::Write for &mut Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        // As UARTs do: less than was asked for.
        let taken = bytes.len().min(3);
        self.sent.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// 7 ticks at 2 MHz from one look to the next.
struct Seven(u64);

impl Clock for Seven {
    fn ticks(&mut self) -> u64 {
        self.0 += 7;
        self.0
    }

    fn frequency(&self) -> u32 {
        2_000_000
    }
}

/// What the monitor answers to `commands`, line by line.
fn answers(commands: &[u8], timestamp: impl Timestamp) -> Vec<String> {
    let mut memory = Vec::new();
    let session = Session::open(Digits::MODEL, common::arena(&mut memory, Digits::MODEL.arena_len())).expect("fits");
    let mut line = Line { received: commands.iter().copied().collect(), sent: Vec::new() };
    let mut buffer = [0; INPUT];
    assert_eq!(
        Mlperf::new(&mut line, timestamp, session, &mut buffer, "kinglet", "ic01").serve(),
        ErrorKind::ConnectionReset
    );
    let text = String::from_utf8(line.sent).expect("text");
    assert!(text.ends_with("\r\n") || text.is_empty(), "{text:?}");
    text.split_terminator("\r\n").map(str::to_owned).collect()
}

/// The answers after those of start-up.
fn dialogue(commands: &str) -> Vec<String> {
    let lines = answers(commands.as_bytes(), Lap(Seven(0)));
    assert_eq!(lines[..4], ["m-timestamp-mode-performance", "m-lap-us-3", "m-init-done", "m-ready"]);
    lines[4..].to_vec()
}

/// `db` commands with pieces of 31 bytes, as the runner sends them.
fn load(image: &[u8]) -> String {
    let pieces = image.chunks(31).map(|piece| {
        let digits: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("db {digits}%")
    });
    format!("db load {}%{}", image.len(), pieces.collect::<String>())
}

fn image() -> Vec<u8> {
    (0..INPUT).map(|i| (i * 37 % 251) as u8).collect()
}

/// What the runtime itself says of `image`, as the runner wants it.
fn expected(image: &[u8]) -> String {
    let mut memory = Vec::new();
    let mut session =
        Session::open(Digits::MODEL, common::arena(&mut memory, Digits::MODEL.arena_len())).expect("fits");
    let output = session.infer(Pixels(image)).expect("fits");
    let classes: Vec<String> = (0..10).map(|class| format!("{:.3}", output.probability(class).unwrap())).collect();
    format!("m-results-[{}]", classes.join(","))
}

#[test]
fn a_whole_session() {
    let image = image();
    let commands = format!("name%profile%{}infer 2 1%results%", load(&image));
    let results = expected(&image);
    let lines = [
        "m-name-dut-[kinglet]",
        "m-ready",
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]",
        "m-model-[ic01]",
        "m-ready",
        "m-[Expecting 64 bytes]",
        "m-ready",
        "m-ready",
        "m-ready",
        "m-load-done",
        "m-ready",
        "m-warmup-start-1",
        "m-warmup-done",
        "m-infer-start-2",
        "m-lap-us-7",
        "m-lap-us-10",
        "m-infer-done",
        &results,
        "m-ready",
        &results,
        "m-ready",
    ];
    assert_eq!(dialogue(&commands), lines);
}

#[test]
fn errors_are_those_of_the_reference() {
    let first = |commands: &str| dialogue(commands).first().cloned().unwrap_or_default();
    for (commands, error) in [
        ("%", "e-[Unknown command: ]"),
        ("  %", "e-[Unknown command: ]"),
        ("nonsense 1%", "e-[Unknown command: nonsense]"),
        ("db%", "e-[Command 'db' requires a subcommand]"),
        ("db load%", "e-[Command 'db load' requires the # of bytes]"),
        ("db load 0%", "e-[Command 'db load' must be >0 bytes]"),
        ("db load x%", "e-[Command 'db load' must be >0 bytes]"),
        ("db load 65%", "e-[Supplied buffer size 65 exceeds maximum of 64]"),
        ("db 00%", "e-[Command 'db load' must come first]"),
        ("db 012%", "e-[Insufficent number of hex digits]"),
        ("infer 0%", "e-[Inference iterations must be >0]"),
        ("infer -3%", "e-[Inference iterations must be >0]"),
        ("infer 1 -1%", "e-[Inference warmup must be >=0]"),
        ("infer 1%", "e-[The model takes 64 bytes, 0 were loaded]"),
    ] {
        assert_eq!(first(commands), error, "{commands}");
    }
    let long = format!("{}%name%", "x".repeat(81));
    assert_eq!(
        dialogue(&long),
        ["e-[Command is longer than 80 characters]", "m-ready", "m-name-dut-[kinglet]", "m-ready"]
    );
    assert_eq!(
        dialogue("db load 2%db 0g%db 1%")[2..5],
        ["e-[Invalid hex digit '0g']", "m-ready", "e-[Insufficent number of hex digits]"]
    );
    // What comes after the announced number is dropped, and then refused.
    let lines = dialogue("db load 2%db a1b2c3%db d4%db print%");
    assert_eq!(
        lines[2..],
        ["m-load-done", "m-ready", "e-[Command 'db load' must come first]", "m-ready", "m-buffer-a1-b2", "m-ready"]
    );
    assert_eq!(
        dialogue(&format!("{}db print 10 3%", load(&image())))[6..],
        ["m-buffer-6f-94-b9-de-08-2d-52-77", "m-buffer-9c-c1", "m-ready"]
    );
}

#[test]
fn energy_is_marked_by_pulses() {
    struct Delay(Vec<u32>);
    impl embedded_hal::delay::DelayNs for &mut Delay {
        fn delay_ns(&mut self, ns: u32) {
            self.0.push(ns);
        }
    }
    let (mut pin, mut delay) = (Pin::default(), Delay(Vec::new()));
    let lines = answers(format!("{}infer 1 0%", load(&image())).as_bytes(), Pulse { pin: &mut pin, delay: &mut delay });
    assert_eq!(lines[..3], ["m-timestamp-mode-energy", "m-init-done", "m-ready"]);
    assert!(!lines.iter().any(|line| line.starts_with("m-lap")));
    // At start-up, before and after the inference.
    assert_eq!(pin.levels, [false, true, false, true, false, true]);
    assert!(delay.0.iter().map(|&ns| u64::from(ns)).sum::<u64>() >= 3_000_000);
}

proptest! {
    /// Whatever comes, every command is answered once, and the monitor is there for the next.
    #[test]
    fn nothing_confuses_it(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("db ".to_owned()), Just("load ".to_owned()), Just("print ".to_owned()), Just("infer ".to_owned()),
                Just("%".to_owned()), Just(" ".to_owned()), "[0-9]{1,3}", "[0-9a-f]{2,20}", "\\PC{0,90}",
            ],
            0..40,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut commands = pieces.concat().into_bytes();
        commands.extend(noise);
        commands.extend(b"%name%");
        let lines = answers(&commands, Lap(Seven(0)));
        let ready = lines.iter().filter(|line| *line == "m-ready").count();
        prop_assert_eq!(ready, 1 + commands.iter().filter(|byte| **byte == b'%').count());
        prop_assert_eq!(&lines[lines.len() - 2..], ["m-name-dut-[kinglet]", "m-ready"]);
    }
}

/// A pin that remembers.
#[derive(Default)]
struct Pin {
    levels: Vec<bool>,
}

impl ErrorType for &mut Pin {
    type Error = core::convert::Infallible;
}

impl OutputPin for &mut Pin {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.levels.push(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Self::Error> {
        self.levels.push(true);
        Ok(())
    }
}

/// Calls of each step.
struct Calls(Vec<usize>);

impl Observer for Calls {
    fn end(&mut self, event: &StepEvent<'_>) {
        self.0.push(event.index());
    }
}

#[test]
fn the_pin_is_high_while_the_step_runs() {
    let pulses = |when: When| {
        let mut memory = Vec::new();
        let mut session =
            Session::open(Digits::MODEL, common::arena(&mut memory, Digits::MODEL.arena_len())).expect("fits");
        let (mut pin, mut calls) = (Pin::default(), Calls(Vec::new()));
        let trigger = Trigger::new(&mut pin, when).with(&mut calls);
        session.start(Pixels(&image())).unwrap().observe(trigger).finish().unwrap();
        assert!(pin.levels.chunks(2).all(|pulse| pulse == [true, false]), "{:?}", pin.levels);
        (pin.levels.len() / 2, calls.0)
    };
    let (all, calls) = pulses(When::Steps);
    assert_eq!(all, calls.len());
    // An inference takes Miri a minute.
    for step in (0..Digits::MODEL.step_count()).step_by(if cfg!(miri) { 8 } else { 1 }) {
        let (some, _) = pulses(When::Step(step));
        assert_eq!(some, calls.iter().filter(|call| **call == step).count());
        assert!(some > 0);
    }
}
