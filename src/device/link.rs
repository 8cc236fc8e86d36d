//! A model on a device, worked from a host over a serial line: inputs come, outputs and checksums go.
//!
//! The host asks and the device answers, a [`frame`] each. A question is a number of the host's choice, a command, and its arguments; the
//! answer begins with that number and command, or is that number, [`REFUSED`], and a [`Refusal`]. Words are little-endian.
//! Asking twice does no harm, so a host that gets no answer asks again: lost bytes, noise and resets cost time, and nothing else.
//!
//! | command | arguments | answer |
//! |---|---|---|
//! | [`HELLO`] | | [`About`], then the board's and the model's name, each after its length in a byte |
//! | [`WRITE`] | offset (4 bytes), bytes of the inputs | |
//! | [`RUN`] | CRC-32 of the inputs | ticks of the inference (8 bytes), CRC-32 of the outputs |
//! | [`OUTPUT`] | offset (4 bytes) | bytes of the outputs |
//! | [`CHECKSUMS`] | step (4 bytes) | CRC-32 of that step's output and of those after it |
//! | [`TIME`] | CRC-32 of the inputs, step (4 bytes) | ticks of that step (8 bytes) |
//! | [`LOAD`] | bytes of a model file (4 bytes), their CRC-32 | |
//! | [`PART`] | offset (4 bytes), bytes of the model file | |
//! | [`START`] | CRC-32 of the model file | |
//!
//! A model with states runs each input from its first states. The input of a model with one input is pixels, `H x W x C` bytes; those of one with several are the bytes of their elements, one input after the
//! other, as outputs are. The device keeps it beside the arena, and runs it only when its CRC-32 is the host's: after a reset it is
//! not, and the host writes it again. So it is with model files, by the last three commands: they are for devices with [`About::room`], which
//! [`load`](super::load) serves. Their parts come in order, and a device that has erased flash for them may answer [`LOAD`] only after seconds.

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};

use super::frame::{self, Decoder, PAYLOAD};
use super::{Clock, NoPin};
use crate::format::crc32;
use crate::kernels::{Active, Backend};
use crate::{
    Dynamic, InferError, Inference, InputError, Linked, Model, Observer, Output, Pixels, Raw, Session, StepEvent,
};

/// The version of this protocol.
pub const VERSION: u8 = 4;
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
/// I shall send a model file.
pub const LOAD: u8 = 6;
/// Here is a part of the model file.
pub const PART: u8 = 7;
/// The model file is complete: run that model from now on.
pub const START: u8 = 8;
/// How long does a step take?
pub const TIME: u8 = 9;
/// Instead of the command: the question cannot be answered. A [`Refusal`] says why.
pub const REFUSED: u8 = 0x80;

/// Bytes of an answer before its data: number and command.
pub const HEAD: usize = 2;
/// Bytes of the input, or of a model file, in a question: the head and the offset go before them.
pub const CHUNK: usize = PAYLOAD - HEAD - 4;

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The device has no such command, or its arguments do not fit.
    Unfit,
    /// The input or the model file that the device holds is not that of the host: send it again.
    Lost,
    /// The device holds no model.
    NoModel,
    /// There is not enough memory.
    Room {
        /// Bytes that are needed.
        needed: u32,
        /// Bytes that there are.
        given: u32,
    },
    /// The model file is not valid for the device's runtime.
    Invalid {
        /// The byte of the file that shows it.
        at: u32,
    },
    /// The flash cannot be erased, or does not hold what was written.
    Flash,
    /// The inference ended in a fault: the device's memory or flash is no longer what it was.
    Fault {
        /// The step, counted from 0.
        step: u32,
    },
}

impl From<InputError> for Refusal {
    fn from(_: InputError) -> Self {
        Refusal::Lost
    }
}

impl From<InferError> for Refusal {
    fn from(error: InferError) -> Self {
        match error {
            InferError::Input(error) => error.into(),
            InferError::Fault { step } => Refusal::Fault { step: step as u32 },
        }
    }
}

impl Refusal {
    /// Bytes of it: a code and two words.
    pub const LEN: usize = 9;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let (code, a, b) = match self {
            Refusal::Unfit => (0, 0, 0),
            Refusal::Lost => (1, 0, 0),
            Refusal::NoModel => (2, 0, 0),
            Refusal::Room { needed, given } => (3, needed, given),
            Refusal::Invalid { at } => (4, at, 0),
            Refusal::Flash => (5, 0, 0),
            Refusal::Fault { step } => (6, step, 0),
        };
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (u32::to_le_bytes(a), u32::to_le_bytes(b));
        [code, a0, a1, a2, a3, b0, b1, b2, b3]
    }

    /// As it was sent; `None` when it is of another version.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [code, a0, a1, a2, a3, b0, b1, b2, b3] = *bytes;
        let (a, b) = (u32::from_le_bytes([a0, a1, a2, a3]), u32::from_le_bytes([b0, b1, b2, b3]));
        match code {
            0 => Some(Refusal::Unfit),
            1 => Some(Refusal::Lost),
            2 => Some(Refusal::NoModel),
            3 => Some(Refusal::Room { needed: a, given: b }),
            4 => Some(Refusal::Invalid { at: a }),
            5 => Some(Refusal::Flash),
            6 => Some(Refusal::Fault { step: a }),
            _ => None,
        }
    }
}

/// What a device says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The CRC-32 of the model file, as in its header; 0 when there is no model.
    pub model: u32,
    /// Bytes of an inference's inputs.
    pub input_len: u32,
    /// Bytes of its outputs.
    pub output_len: u32,
    /// Steps of the model.
    pub steps: u32,
    /// Ticks per second of its clock.
    pub frequency: u32,
    /// Bytes of memory for models that come over the line: for arena and input, and for the file too when there is no flash for it. 0 when
    /// the model is built in for good.
    pub room: u32,
    /// Bytes of flash for the file of a model that comes over the line, where it outlasts resets; 0 when it is kept in memory.
    pub flash: u32,
}

impl About {
    /// Bytes of it: the protocol's version, then its words.
    pub const LEN: usize = 29;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [VERSION; Self::LEN];
        let Self { model, input_len, output_len, steps, frequency, room, flash } = self;
        let words = [model, input_len, output_len, steps, frequency, room, flash];
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
        Some(Self {
            model: next(),
            input_len: next(),
            output_len: next(),
            steps: next(),
            frequency: next(),
            room: next(),
            flash: next(),
        })
    }
}

/// Answers a question: with nothing, or with the reason why it is refused.
///
/// # Errors
/// Those of the line.
pub(super) fn respond<L: Write>(
    line: &mut L,
    [number, command]: [u8; HEAD],
    answer: Result<(), Refusal>,
) -> Result<(), L::Error> {
    match answer {
        Ok(()) => frame::send(line, &[&[number, command]]),
        Err(refusal) => frame::send(line, &[&[number, REFUSED], &refusal.to_bytes()]),
    }
}

/// Answers [`HELLO`].
///
/// # Errors
/// Those of the line.
pub(super) fn introduce<L: Write>(
    line: &mut L,
    head: [u8; HEAD],
    about: About,
    names: [&str; 2],
) -> Result<(), L::Error> {
    // Names of boards and models are short; of longer ones the beginning will do.
    let [board, model] = names.map(|name| {
        let name = name.as_bytes();
        name.get(..48).unwrap_or(name)
    });
    let parts = [&head, &about.to_bytes()[..], &[board.len() as u8], board, &[model.len() as u8], model];
    frame::send(line, &parts)
}

/// The first word of a question's arguments, and the bytes after it.
pub(super) fn first_word(arguments: &[u8]) -> Option<(u32, &[u8])> {
    arguments.split_first_chunk().map(|(word, rest)| (u32::from_le_bytes(*word), rest))
}

/// The question that announces a model file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    /// Number and command.
    pub head: [u8; HEAD],
    /// Bytes of the file.
    pub len: u32,
    /// Their CRC-32.
    pub check: u32,
}

impl Announcement {
    /// Reads the arguments of [`LOAD`].
    pub fn read(head: [u8; HEAD], arguments: &[u8]) -> Option<Self> {
        let (len, rest) = first_word(arguments)?;
        let (check, _) = first_word(rest)?;
        Some(Self { head, len, check })
    }
}

/// The device's side, around a model that is built in.
///
/// ```no_run
/// # use kinglet::device::{Clock, link::Server};
/// # fn demo(line: impl embedded_io::Read + embedded_io::Write, clock: impl Clock, session: kinglet::Session<'_>) {
/// let (mut input, mut sums) = ([0; 3072], [0; 24]);
/// let error = Server::new(line, clock, session, &mut input, &mut sums, "my-board").serve();
/// # }
/// ```
#[derive(Debug)]
pub struct Server<'b, 'm, L, C, P = NoPin, M: Linked = Dynamic, B = Active> {
    pub(super) line: L,
    pub(super) clock: C,
    pub(super) session: Session<'m, M, B>,
    pub(super) input: &'b mut [u8],
    /// The CRC-32 of each step's output in the last inference.
    pub(super) sums: &'b mut [u32],
    pub(super) board: &'b str,
    pub(super) pin: P,
    /// When the model came over the line.
    pub(super) loaded: Option<Loaded>,
}

/// What a device says of a model that came over the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    /// [`About::room`].
    pub room: u32,
    /// [`About::flash`].
    pub flash: u32,
    /// The CRC-32 of the model file.
    pub check: u32,
}

impl<'b, 'm, L: Read + Write, C: Clock, M: Linked, B: Backend> Server<'b, 'm, L, C, NoPin, M, B> {
    /// `input` has room for the model's inputs as they are sent, `sums` for as many checksums as it has steps; what is missing is refused to the
    /// host, or left out.
    pub const fn new(
        line: L,
        clock: C,
        session: Session<'m, M, B>,
        input: &'b mut [u8],
        sums: &'b mut [u32],
        board: &'b str,
    ) -> Self {
        Self { line, clock, session, input, sums, board, pin: NoPin, loaded: None }
    }

    /// With a pin that is high while an inference runs.
    pub fn trigger<P: OutputPin>(self, pin: P) -> Server<'b, 'm, L, C, P, M, B> {
        let Self { line, clock, session, input, sums, board, pin: NoPin, loaded } = self;
        Server { line, clock, session, input, sums, board, pin, loaded }
    }
}

impl<L: Read + Write, C: Clock, P: OutputPin, M: Linked, B: Backend> Server<'_, '_, L, C, P, M, B> {
    /// Answers questions until the line fails.
    ///
    /// # Errors
    /// Those of the line: it never returns otherwise.
    pub fn serve(&mut self) -> L::Error {
        let mut decoder = Decoder::default();
        loop {
            // A model that is built in gives way to no other.
            if let Err(error) = self.until_announced(&mut decoder) {
                return error;
            }
        }
    }

    /// Answers questions until another model is announced, when this one came over the line.
    ///
    /// # Errors
    /// Those of the line.
    pub(super) fn until_announced(&mut self, decoder: &mut Decoder) -> Result<Announcement, L::Error> {
        loop {
            let question = frame::receive(&mut self.line, decoder)?;
            let [number, command, arguments @ ..] = question.as_slice() else { continue };
            let head = [*number, *command];
            match Announcement::read(head, arguments) {
                Some(announced) if *command == LOAD && self.loaded.is_some() => return Ok(announced),
                _ => self.answer(head, arguments)?,
            }
        }
    }

    fn answer(&mut self, head: [u8; HEAD], arguments: &[u8]) -> Result<(), L::Error> {
        let [_, command] = head;
        let done = match (command, first_word(arguments)) {
            (HELLO, _) => {
                let (about, name) = (self.about(), self.session.model().name());
                return introduce(&mut self.line, head, about, [self.board, name]);
            }
            (WRITE, Some((offset, bytes))) => {
                let place = self.input.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
                let written = place.map(|place| place.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from));
                written.ok_or(Refusal::Unfit)
            }
            (RUN, Some((check, _))) => match self.run(check) {
                Ok((ticks, check)) => {
                    let parts = [&head[..], &ticks.to_le_bytes(), &check.to_le_bytes()];
                    return frame::send(&mut self.line, &parts);
                }
                Err(refusal) => Err(refusal),
            },
            (TIME, Some((check, rest))) => match first_word(rest).map(|(step, _)| self.time(check, step)) {
                Some(Ok(ticks)) => return frame::send(&mut self.line, &[&head, &ticks.to_le_bytes()]),
                Some(Err(refusal)) => Err(refusal),
                None => Err(Refusal::Unfit),
            },
            (OUTPUT, Some((offset, _))) => {
                match self.session.output().and_then(|output| part(&output, offset as usize)) {
                    Some(some) => return frame::send(&mut self.line, &[&head, some]),
                    None => Err(Refusal::Unfit),
                }
            }
            (CHECKSUMS, Some((first, _))) => match self.sums.get(first as usize..) {
                Some(rest) => {
                    let mut bytes = heapless::Vec::<u8, { PAYLOAD - HEAD }>::new();
                    for sum in rest.iter().take((PAYLOAD - HEAD) / 4) {
                        // As many as there is room for.
                        let _ = bytes.extend_from_slice(&sum.to_le_bytes());
                    }
                    return frame::send(&mut self.line, &[&head, &bytes]);
                }
                None => Err(Refusal::Unfit),
            },
            // It runs already: the answer to this question was lost.
            (START, Some((check, _))) => match self.loaded {
                Some(loaded) if loaded.check == check => Ok(()),
                Some(_) => Err(Refusal::Lost),
                None => Err(Refusal::Unfit),
            },
            // A part that was sent twice, of the file that runs, or of one whose announcement was lost.
            (PART, _) if self.loaded.is_some() => Err(Refusal::Lost),
            _ => Err(Refusal::Unfit),
        };
        respond(&mut self.line, head, done)
    }

    fn about(&self) -> About {
        let model = self.session.model();
        About {
            model: model.checksum(),
            input_len: input_len(model),
            output_len: model.output_bytes() as u32,
            steps: model.step_count() as u32,
            frequency: self.clock.frequency(),
            room: self.loaded.map_or(0, |loaded| loaded.room),
            flash: self.loaded.map_or(0, |loaded| loaded.flash),
        }
    }

    /// Runs the input if it is the one with this CRC-32: the ticks that a step took.
    fn time(&mut self, check: u32, step: u32) -> Result<u64, Refusal> {
        if step as usize >= self.session.model().step_count() {
            return Err(Refusal::Unfit);
        }
        let input = given(self.input, self.session.model(), check)?;
        self.session.reset();
        let mut stopwatch = Stopwatch { clock: &mut self.clock, step: step as usize, begun: 0, ticks: 0 };
        start(&mut self.session, input)?.observe(&mut stopwatch).finish()?;
        Ok(stopwatch.ticks)
    }

    /// Runs the input if it is the one with this CRC-32: the ticks that it took, and the CRC-32 of the output.
    fn run(&mut self, check: u32) -> Result<(u64, u32), Refusal> {
        let input = given(self.input, self.session.model(), check)?;
        // Once for the checksums, and once undisturbed; both from the same states.
        self.session.reset();
        start(&mut self.session, input)?.observe(Sums(self.sums)).finish()?;
        self.session.reset();
        let inference = start(&mut self.session, input)?;
        // An inference does not depend on the pin.
        let _ = self.pin.set_high();
        let before = self.clock.ticks();
        let output = inference.finish();
        let ticks = self.clock.ticks().saturating_sub(before);
        let _ = self.pin.set_low();
        Ok((ticks, output?.all().fold(0, |sum, output| crc32(sum, output.bytes()))))
    }
}

/// Bytes of the inputs of a model as they are sent.
pub(super) fn input_len<M: Linked>(model: &Model<'_, M>) -> u32 {
    if model.input_count() == 1 { model.input().shape.len() } else { model.input_bytes() as u32 }
}

/// The inputs, if they have this CRC-32.
fn given<'i, M: Linked>(input: &'i [u8], model: &Model<'_, M>, check: u32) -> Result<&'i [u8], Refusal> {
    let input = input.get(..input_len(model) as usize);
    input.filter(|input| crc32(0, input) == check).ok_or(Refusal::Lost)
}

/// Begins an inference on inputs as they are sent.
fn start<'s, M: Linked, B: Backend>(
    session: &'s mut Session<'_, M, B>,
    input: &[u8],
) -> Result<Inference<'s, M, B>, InputError> {
    if session.model().input_count() == 1 { session.start(Pixels(input)) } else { session.start(Raw(input)) }
}

/// The bytes of the outputs from `offset` on that lie in one of them, as many as an answer holds.
fn part<'s, M: Linked>(output: &Output<'s, M>, mut offset: usize) -> Option<&'s [u8]> {
    let from = |bytes: &'s [u8]| match bytes.get(offset..) {
        Some(rest) if !rest.is_empty() => Some(rest.get(..PAYLOAD - HEAD).unwrap_or(rest)),
        _ => {
            offset = offset.saturating_sub(bytes.len());
            None
        }
    };
    output.all().map(|output| output.bytes()).find_map(from)
}

/// The ticks of one step, of all its rows.
struct Stopwatch<C> {
    clock: C,
    step: usize,
    begun: u64,
    ticks: u64,
}

impl<C: Clock> Observer for Stopwatch<C> {
    fn begin(&mut self, step: usize) {
        if step == self.step {
            self.begun = self.clock.ticks();
        }
    }

    fn end(&mut self, event: &StepEvent<'_>) {
        if event.index() == self.step {
            self.ticks = self.ticks.saturating_add(self.clock.ticks().saturating_sub(self.begun));
        }
    }
}

/// Keeps the CRC-32 of each step's output, of as many steps as there is room for.
#[derive(Debug)]
pub struct Sums<'s>(pub &'s mut [u32]);

impl Observer for Sums<'_> {
    fn end(&mut self, event: &StepEvent<'_>) {
        if let Some(sum) = self.0.get_mut(event.index()) {
            let before = if event.rows().start == 0 { 0 } else { *sum };
            *sum = event.checksum(before);
        }
    }
}
