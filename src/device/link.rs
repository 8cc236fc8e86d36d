//! A model on a device, worked from a host over a serial line: inputs come, outputs and checksums go.
//!
//! The host asks and the device answers, a [`frame`] each. A question is a number of the host's choice, a command, and its arguments; the
//! answer begins with that number and command, or with the number and [`REFUSED`] when the question cannot be answered. Words are little-endian.
//! Asking twice does no harm, so a host that gets no answer asks again: lost bytes, noise and resets cost time, and nothing else.
//!
//! | command | arguments | answer |
//! |---|---|---|
//! | [`HELLO`] | | [`About`], then the board's and the model's name, each after its length in a byte |
//! | [`WRITE`] | offset (4 bytes), bytes of the input | |
//! | [`RUN`] | CRC-32 of the input | ticks of the inference (8 bytes), CRC-32 of the output |
//! | [`OUTPUT`] | offset (4 bytes) | bytes of the output |
//! | [`CHECKSUMS`] | step (4 bytes) | CRC-32 of that step's output and of those after it |
//!
//! The input is pixels, `H x W x C` bytes. The device keeps it beside the arena, and runs it only when its CRC-32 is the host's: after a reset it is
//! not, and the host writes it again.

use embedded_io::{Read, Write};

use super::Clock;
use super::frame::{self, Decoder, PAYLOAD};
use crate::format::crc32;
use crate::kernels::Backend;
use crate::{Observer, Session, StepEvent};

/// The version of this protocol.
pub const VERSION: u8 = 1;
/// Who are you?
pub const HELLO: u8 = 1;
/// Here is a part of the input.
pub const WRITE: u8 = 2;
/// Run the model.
pub const RUN: u8 = 3;
/// What came out?
pub const OUTPUT: u8 = 4;
/// What came out of each step?
pub const CHECKSUMS: u8 = 5;
/// Instead of the command: the question cannot be answered, because its arguments do not fit, or the input is another one.
pub const REFUSED: u8 = 0x80;

/// Bytes of an answer before its data: number and command.
pub const HEAD: usize = 2;
/// Bytes of the input in a question: the head and the offset go before them.
pub const CHUNK: usize = PAYLOAD - HEAD - 4;

/// What a device says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The CRC-32 of the model file, as in its header.
    pub model: u32,
    /// Bytes of an input.
    pub input_len: u32,
    /// Bytes of an output.
    pub output_len: u32,
    /// Steps of the model.
    pub steps: u32,
    /// Ticks per second of its clock.
    pub frequency: u32,
}

impl About {
    /// Bytes of it: the protocol's version, then its words.
    pub const LEN: usize = 21;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [VERSION; Self::LEN];
        let words = [self.model, self.input_len, self.output_len, self.steps, self.frequency];
        for (to, word) in bytes.iter_mut().skip(1).zip(words.into_iter().flat_map(u32::to_le_bytes)) {
            *to = word;
        }
        bytes
    }

    /// As it was sent; `None` when it is of another version.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [VERSION, words @ ..] = bytes else { return None };
        let mut words = words.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let mut next = || words.next().unwrap_or(0);
        Some(Self { model: next(), input_len: next(), output_len: next(), steps: next(), frequency: next() })
    }
}

/// The device's side.
///
/// ```no_run
/// # use kinglet::device::{Clock, link::Server};
/// # fn demo(line: impl embedded_io::Read + embedded_io::Write, clock: impl Clock, session: kinglet::Session<'_>) {
/// let (mut input, mut sums) = ([0; 3072], [0; 24]);
/// let error = Server::new(line, clock, session, &mut input, &mut sums, "my-board").serve();
/// # }
/// ```
#[derive(Debug)]
pub struct Server<'b, 'm, L, C, B, const USES: u64> {
    line: L,
    clock: C,
    session: Session<'m, B, USES>,
    input: &'b mut [u8],
    /// The CRC-32 of each step's output in the last inference.
    sums: &'b mut [u32],
    board: &'b str,
}

impl<'b, 'm, L: Read + Write, C: Clock, B: Backend, const USES: u64> Server<'b, 'm, L, C, B, USES> {
    /// `input` has room for the model's pixels, `sums` for as many checksums as it has steps; what is missing is refused to the
    /// host, or left out.
    pub const fn new(
        line: L,
        clock: C,
        session: Session<'m, B, USES>,
        input: &'b mut [u8],
        sums: &'b mut [u32],
        board: &'b str,
    ) -> Self {
        Self { line, clock, session, input, sums, board }
    }

    /// Answers questions until the line fails.
    ///
    /// # Errors
    /// Those of the line: it never returns otherwise.
    pub fn serve(&mut self) -> L::Error {
        let mut decoder = Decoder::default();
        loop {
            let mut byte = [0];
            let result = match self.line.read(&mut byte) {
                Ok(0) => Ok(()),
                Ok(_) => match decoder.push(byte[0]) {
                    Some([number, command, arguments @ ..]) => self.answer(*number, *command, arguments),
                    _ => Ok(()),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                return error;
            }
        }
    }

    fn answer(&mut self, number: u8, command: u8, arguments: &[u8]) -> Result<(), L::Error> {
        let head = [number, command];
        let word = arguments.first_chunk().map(|word| u32::from_le_bytes(*word));
        let done = match (command, word) {
            (HELLO, _) => return self.introduce(head),
            (WRITE, Some(offset)) => {
                let bytes = arguments.get(4..).unwrap_or_default();
                let place = self.input.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
                place.map(|place| place.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from)).is_some()
            }
            (RUN, Some(check)) => match self.run(check) {
                Some((ticks, check)) => {
                    let parts = [&head[..], &ticks.to_le_bytes(), &check.to_le_bytes()];
                    return frame::send(&mut self.line, &parts);
                }
                None => false,
            },
            (OUTPUT, Some(offset)) => match self.session.output_bytes().get(offset as usize..) {
                Some(rest) => {
                    let some = rest.get(..PAYLOAD - HEAD).unwrap_or(rest);
                    return frame::send(&mut self.line, &[&head, some]);
                }
                None => false,
            },
            (CHECKSUMS, Some(first)) => match self.sums.get(first as usize..) {
                Some(rest) => {
                    let mut bytes = heapless::Vec::<u8, { PAYLOAD - HEAD }>::new();
                    for sum in rest.iter().take((PAYLOAD - HEAD) / 4) {
                        // As many as there is room for.
                        let _ = bytes.extend_from_slice(&sum.to_le_bytes());
                    }
                    return frame::send(&mut self.line, &[&head, &bytes]);
                }
                None => false,
            },
            _ => false,
        };
        frame::send(&mut self.line, &[&[number, if done { command } else { REFUSED }]])
    }

    fn introduce(&mut self, head: [u8; HEAD]) -> Result<(), L::Error> {
        let model = self.session.model();
        let about = About {
            model: model.checksum(),
            input_len: model.input().shape.len(),
            output_len: model.output().span(),
            steps: model.step_count() as u32,
            frequency: self.clock.frequency(),
        };
        // Names of boards and models are short; of longer ones the beginning will do.
        let [board, model] = [self.board, model.name()].map(|name| {
            let name = name.as_bytes();
            name.get(..48).unwrap_or(name)
        });
        let parts = [&head, &about.to_bytes()[..], &[board.len() as u8], board, &[model.len() as u8], model];
        frame::send(&mut self.line, &parts)
    }

    /// Runs the input if it is the one with this CRC-32: the ticks that it took, and the CRC-32 of the output.
    fn run(&mut self, check: u32) -> Option<(u64, u32)> {
        let input = self.input.get(..self.session.model().input().shape.len() as usize)?;
        if crc32(0, input) != check {
            return None;
        }
        // Once for the checksums, and once undisturbed: the arena's input does not outlive an inference.
        self.session.set_pixels(input).ok()?;
        self.session.run_observed(&mut Sums(self.sums));
        self.session.set_pixels(input).ok()?;
        let before = self.clock.ticks();
        self.session.run();
        Some((self.clock.ticks().saturating_sub(before), crc32(0, self.session.output_bytes())))
    }
}

/// Keeps the CRC-32 of each step's output, of as many steps as there is room for.
#[derive(Debug)]
pub struct Sums<'s>(pub &'s mut [u32]);

impl Observer for Sums<'_> {
    fn step(&mut self, event: &StepEvent<'_>) {
        if let Some(sum) = self.0.get_mut(event.index) {
            let before = if event.rows.start == 0 { 0 } else { *sum };
            *sum = event.checksum(before);
        }
    }
}
