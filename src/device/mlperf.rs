//! The device's side of MLPerf Tiny's serial protocol (EEMBC's monitor), with which the official runner measures.
//!
//! The runner sends commands, words split by single blanks and ended by `%`. Every command is answered by lines that end in
//! `\r\n`, the last of which is `m-ready`. Inputs come in hexadecimal pieces, `db load N` and then `db HEX` until there are
//! N bytes; `infer N W` runs them. Commands, replies and their order are those of `benchmark/api/internally_implemented.cpp`
//! of mlcommons/tiny; where that one reads or writes out of bounds (an empty command, data past the announced length,
//! an announcement beyond the buffer), this one answers with an error.

use core::fmt;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write, WriteFmtError};
use heapless::Vec;

use super::Clock;
use crate::kernels::Backend;
use crate::uses::Linked;
use crate::{InferError, Pixels, Session};

/// The most bytes of a command, without its `%`.
const COMMAND_LEN: usize = 80;
/// The most inferences that one command asks for, and the most before them: a device hears nothing while it infers.
const MAX_RUNS: i32 = 100_000;
/// What ends a command.
const TERMINATOR: u8 = b'%';
/// What `profile` answers: the runner looks at it.
const PROFILE: &str = "ULPMark for tinyML Firmware V0.0.1";
/// Bytes in a line of `db print`.
const PRINTED: usize = 8;

const HELP: &str = "\
    help         : Print this information\r\n\
    name         : Print the name of the device\r\n\
    profile      : Print the profile and the model\r\n\
    timestamp    : Generate a timestamp\r\n\
    db SUBCMD    : Manipulate a generic byte buffer\r\n\
    \x20 load N     : Announce N bytes\r\n\
    \x20 HH[HH]*    : Load 8-bit hex byte(s) until N bytes\r\n\
    \x20 print [N] [offset=0]\r\n\
    \x20            : Print N bytes, or all, at offset as hex\r\n\
    infer [N=1] [W=10]\r\n\
    \x20            : Load input, execute N inferences after W warmup loops\r\n\
    results      : Return the result fp32 vector\r\n";

/// What is measured.
pub trait Subject {
    /// Bytes of an input as the runner sends them: for image classification `H x W x C` pixels.
    fn input_len(&self) -> usize;

    /// Runs one inference on an input of that length.
    ///
    /// # Errors
    /// When there is no output to be had.
    fn infer(&mut self, input: &[u8]) -> Result<(), InferError>;

    /// Classes.
    fn classes(&self) -> usize;

    /// The probability of a class after the last inference; 0 when there is none.
    fn probability(&self, class: usize) -> f32;
}

impl<M: Linked, B: Backend> Subject for Session<'_, M, B> {
    fn input_len(&self) -> usize {
        self.model().input().shape.len() as usize
    }

    fn infer(&mut self, input: &[u8]) -> Result<(), InferError> {
        Session::infer(self, Pixels(input)).map(|_| ())
    }

    fn classes(&self) -> usize {
        self.model().output().shape.len() as usize
    }

    fn probability(&self, class: usize) -> f32 {
        self.output().and_then(|output| output.probability(class)).unwrap_or(0.0)
    }
}

/// How the runner learns when inferences begin and end.
pub trait Timestamp {
    /// What is said at start-up: the runner knows by it how to measure.
    const MODE: &'static str;

    /// Marks this moment: returns the microseconds to print, or tells a power analyser and returns none.
    fn stamp(&mut self) -> Option<u32>;
}

/// Performance mode: the device measures with its own clock.
#[derive(Debug)]
pub struct Lap<C>(pub C);

impl<C: Clock> Timestamp for Lap<C> {
    const MODE: &'static str = "performance";

    fn stamp(&mut self) -> Option<u32> {
        Some(self.0.micros())
    }
}

/// Energy mode: a pulse on a pin (open drain, pulled up) tells the power analyser; its falling edge is the moment.
#[derive(Debug)]
pub struct Pulse<P, D> {
    /// The pin.
    pub pin: P,
    /// How the pulse gets its length of a millisecond.
    pub delay: D,
}

impl<P: OutputPin, D: DelayNs> Timestamp for Pulse<P, D> {
    const MODE: &'static str = "energy";

    fn stamp(&mut self) -> Option<u32> {
        // A pin that cannot be driven shows at once in the analyser: no edge.
        let _ = self.pin.set_low();
        self.delay.delay_ms(1);
        let _ = self.pin.set_high();
        None
    }
}

/// The monitor: answers commands on a serial line.
///
/// ```no_run
/// # use kinglet::device::{Clock, Lap, Mlperf};
/// # fn demo(serial: impl embedded_io::Read + embedded_io::Write, clock: impl Clock, session: kinglet::Session<'_>) {
/// let mut input = [0; 3072];
/// let mut monitor = Mlperf::new(serial, Lap(clock), session, &mut input, "my-board", "ic01");
/// let error = monitor.serve();
/// # }
/// ```
#[derive(Debug)]
pub struct Mlperf<'b, L, T, S> {
    line: L,
    timestamp: T,
    subject: S,
    /// The input; `filled` bytes of it are there, of `announced`.
    buffer: &'b mut [u8],
    announced: usize,
    filled: usize,
    vendor: &'b str,
    model: &'b str,
}

impl<'b, L: Read + Write, T: Timestamp, S: Subject> Mlperf<'b, L, T, S> {
    /// On a serial line of 8 bits, no parity, 1 stop bit, which the official runner drives at 115,200 baud (9,600 in energy
    /// mode). `buffer` holds one input; `vendor` is what `name` answers, `model` what `profile` does (`ic01` for image
    /// classification).
    pub const fn new(line: L, timestamp: T, subject: S, buffer: &'b mut [u8], vendor: &'b str, model: &'b str) -> Self {
        Self { line, timestamp, subject, buffer, announced: 0, filled: 0, vendor, model }
    }

    /// Announces itself and answers commands until the line fails.
    ///
    /// # Errors
    /// Those of the line: it never returns otherwise.
    pub fn serve(&mut self) -> L::Error {
        match self.answer_all() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn answer_all(&mut self) -> Result<core::convert::Infallible, L::Error> {
        self.say(format_args!("m-timestamp-mode-{}", T::MODE))?;
        self.stamp()?;
        self.say(format_args!("m-init-done"))?;
        self.say(format_args!("m-ready"))?;
        let mut command: Vec<u8, COMMAND_LEN> = Vec::new();
        let mut fits = true;
        loop {
            let mut byte = [0];
            self.line.read(&mut byte)?;
            match byte {
                // Terminals send these after a line.
                [b'\r' | b'\n' | 0] => {}
                [TERMINATOR] => {
                    match core::str::from_utf8(&command) {
                        Ok(command) if fits => self.command(command)?,
                        Ok(_) => self.say(format_args!("e-[Command is longer than {COMMAND_LEN} characters]"))?,
                        Err(_) => self.say(format_args!("e-[Command is no text]"))?,
                    }
                    self.say(format_args!("m-ready"))?;
                    command.clear();
                    fits = true;
                }
                [byte] => fits &= command.push(byte).is_ok(),
            }
        }
    }

    /// Writes a line.
    fn say(&mut self, text: fmt::Arguments<'_>) -> Result<(), L::Error> {
        self.print(text)?;
        self.print(format_args!("\r\n"))?;
        self.line.flush()
    }

    fn print(&mut self, text: fmt::Arguments<'_>) -> Result<(), L::Error> {
        match self.line.write_fmt(text) {
            Err(WriteFmtError::Other(error)) => Err(error),
            // Nothing here fails to format.
            Ok(()) | Err(WriteFmtError::FmtError) => Ok(()),
        }
    }

    fn stamp(&mut self) -> Result<(), L::Error> {
        match self.timestamp.stamp() {
            Some(micros) => self.say(format_args!("m-lap-us-{micros}")),
            None => Ok(()),
        }
    }

    /// Answers one command, but for `m-ready`.
    fn command(&mut self, command: &str) -> Result<(), L::Error> {
        let mut words = command.split(' ').filter(|word| !word.is_empty());
        let (vendor, model) = (self.vendor, self.model);
        match words.next() {
            Some("name") => self.say(format_args!("m-name-dut-[{vendor}]")),
            Some("profile") => {
                self.say(format_args!("m-profile-[{PROFILE}]"))?;
                self.say(format_args!("m-model-[{model}]"))
            }
            Some("help") => self.print(format_args!("{PROFILE}\r\n\r\n{HELP}")),
            Some("timestamp") => self.stamp(),
            Some("db") => self.buffer(words),
            Some("infer") => self.infer(words.next(), words.next()),
            Some("results") => self.results(),
            Some(other) => self.say(format_args!("e-[Unknown command: {other}]")),
            None => self.say(format_args!("e-[Unknown command: ]")),
        }
    }

    /// `db load N`, `db print [N] [offset]`, `db HEX`.
    fn buffer<'w>(&mut self, mut words: impl Iterator<Item = &'w str>) -> Result<(), L::Error> {
        match (words.next(), words.next()) {
            (None, _) => self.say(format_args!("e-[Command 'db' requires a subcommand]")),
            (Some("load"), None) => self.say(format_args!("e-[Command 'db load' requires the # of bytes]")),
            (Some("load"), Some(count)) => match count.parse().unwrap_or(0) {
                0 => self.say(format_args!("e-[Command 'db load' must be >0 bytes]")),
                count if count > self.buffer.len() => {
                    let room = self.buffer.len();
                    self.say(format_args!("e-[Supplied buffer size {count} exceeds maximum of {room}]"))
                }
                count => {
                    (self.announced, self.filled) = (count, 0);
                    self.say(format_args!("m-[Expecting {count} bytes]"))
                }
            },
            (Some("print"), count) => {
                let offset = words.next().and_then(|word| word.parse().ok()).unwrap_or(0).min(self.filled);
                let count = count.and_then(|word| word.parse().ok()).unwrap_or(self.filled);
                self.show(offset, offset.saturating_add(count).min(self.filled))
            }
            (Some(digits), _) => self.store(digits.as_bytes()),
        }
    }

    /// Prints the buffer's bytes from `start` to `end`.
    fn show(&mut self, start: usize, end: usize) -> Result<(), L::Error> {
        let mut at = start;
        while at < end {
            let next = at.saturating_add(PRINTED).min(end);
            self.print(format_args!("m-buffer"))?;
            while at < next {
                let byte = self.buffer.get(at).copied().unwrap_or(0);
                self.print(format_args!("-{byte:02x}"))?;
                at += 1;
            }
            self.print(format_args!("\r\n"))?;
        }
        self.line.flush()
    }

    /// Takes bytes in hexadecimal; those beyond the announced number are dropped.
    fn store(&mut self, digits: &[u8]) -> Result<(), L::Error> {
        if !digits.len().is_multiple_of(2) {
            // Spelled as the reference does: tools look for it.
            return self.say(format_args!("e-[Insufficent number of hex digits]"));
        }
        if self.filled >= self.announced {
            return self.say(format_args!("e-[Command 'db load' must come first]"));
        }
        for pair in digits.chunks_exact(2) {
            let [high, low] = [pair.first(), pair.last()].map(|digit| digit.map_or(' ', |&byte| char::from(byte)));
            let (Some(high), Some(low)) = (high.to_digit(16), low.to_digit(16)) else {
                return self.say(format_args!("e-[Invalid hex digit '{high}{low}']"));
            };
            if let Some(byte) = self.buffer.get_mut(self.filled) {
                *byte = (high << 4 | low) as u8;
            }
            self.filled += 1;
            if self.filled == self.announced {
                return self.say(format_args!("m-load-done"));
            }
        }
        Ok(())
    }

    fn infer(&mut self, count: Option<&str>, warm_up: Option<&str>) -> Result<(), L::Error> {
        let number = |word: Option<&str>, default: i32| word.map_or(default, |word| word.parse().unwrap_or(0));
        let (count, warm_up) = (number(count, 1), number(warm_up, 10));
        if count <= 0 {
            return self.say(format_args!("e-[Inference iterations must be >0]"));
        }
        if warm_up < 0 {
            return self.say(format_args!("e-[Inference warmup must be >=0]"));
        }
        if count.max(warm_up) > MAX_RUNS {
            return self.say(format_args!("e-[Inference iterations and warmup must be <={MAX_RUNS}]"));
        }
        let (filled, needed) = (self.filled, self.subject.input_len());
        if filled != needed {
            return self.say(format_args!("e-[The model takes {needed} bytes, {filled} were loaded]"));
        }
        self.say(format_args!("m-warmup-start-{warm_up}"))?;
        let warmed_up = self.run(warm_up);
        self.say(format_args!("m-warmup-done"))?;
        self.say(format_args!("m-infer-start-{count}"))?;
        self.stamp()?;
        let ran = self.run(count);
        self.stamp()?;
        self.say(format_args!("m-infer-done"))?;
        match warmed_up.and(ran) {
            Ok(()) => self.results(),
            Err(error) => self.say(format_args!("e-[{error}]")),
        }
    }

    fn run(&mut self, count: i32) -> Result<(), InferError> {
        let input = self.buffer.get(..self.filled).unwrap_or_default();
        (0..count).try_for_each(|_| self.subject.infer(input))
    }

    fn results(&mut self) -> Result<(), L::Error> {
        self.print(format_args!("m-results-["))?;
        for class in 0..self.subject.classes() {
            let thousandths = (self.subject.probability(class) * 1000.0 + 0.5) as u32;
            let comma = if class == 0 { "" } else { "," };
            self.print(format_args!("{comma}{}.{:03}", thousandths / 1000, thousandths % 1000))?;
        }
        self.say(format_args!("]"))
    }
}
