//! Models that come over the line: a device that is flashed once, and runs from RAM what a host sends.
//!
//! The file comes in pieces, by the commands [`LOAD`], [`PART`] and [`START`] of [`link`], and runs only when its CRC-32 is the host's and
//! [`Model::new`] finds it valid: whatever a line does to it on the way, and whoever sends it. From then on the device answers as
//! [`Server`] does. The next file is written over it.

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};

use super::frame::{self, Decoder};
use super::link::{self, About, Announcement, HEAD, HELLO, LOAD, PART, Refusal, START, Server};
use super::{Clock, NoPin};
use crate::format::crc32;
use crate::{Model, Session};

/// What arenas and model files are aligned to.
const ALIGNMENT: u32 = 16;

/// Bytes of memory that a [`Loader`] needs for a model: its file, its arena and an input.
pub fn needed<const USES: u64>(model: &Model<'_, USES>) -> u32 {
    let [file, arena, input] = parts(model);
    file.saturating_add(arena).saturating_add(input)
}

/// The file's bytes and the arena's, aligned, and the input's.
fn parts<const USES: u64>(model: &Model<'_, USES>) -> [u32; 3] {
    let aligned = |len: usize| (len as u32).checked_next_multiple_of(ALIGNMENT).unwrap_or(u32::MAX);
    [aligned(model.file_len()), aligned(model.arena_len()), model.input().shape.len()]
}

/// The device's side, around whatever model a host sends.
///
/// ```no_run
/// # use kinglet::device::{Clock, load::Loader};
/// # fn demo(line: impl embedded_io::Read + embedded_io::Write, clock: impl Clock) {
/// static MEMORY: kinglet::Arena<100_000> = kinglet::Arena::new();
/// let mut sums = [0; 256];
/// let error = Loader::new(line, clock, MEMORY.take().unwrap(), &mut sums, "my-board").serve();
/// # }
/// ```
#[derive(Debug)]
pub struct Loader<'b, L, C, P = NoPin> {
    line: L,
    clock: C,
    memory: &'b mut [u8],
    sums: &'b mut [u32],
    board: &'b str,
    pin: P,
}

impl<'b, L: Read + Write, C: Clock> Loader<'b, L, C> {
    /// `memory` is for model files, with arena and input: [`needed`] bytes of them, at a multiple of 16 bytes, as
    /// [`Arena::take`](crate::Arena::take) gives it; `sums` keeps the checksums of as many steps.
    pub const fn new(line: L, clock: C, memory: &'b mut [u8], sums: &'b mut [u32], board: &'b str) -> Self {
        Self { line, clock, memory, sums, board, pin: NoPin }
    }

    /// With a pin that is high while an inference runs.
    pub fn trigger<P: OutputPin>(self, pin: P) -> Loader<'b, L, C, P> {
        let Self { line, clock, memory, sums, board, pin: NoPin } = self;
        Loader { line, clock, memory, sums, board, pin }
    }
}

impl<L: Read + Write, C: Clock, P: OutputPin> Loader<'_, L, C, P> {
    /// Answers questions until the line fails.
    ///
    /// # Errors
    /// Those of the line: it never returns otherwise.
    pub fn serve(&mut self) -> L::Error {
        match self.serve_all() {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    fn serve_all(&mut self) -> Result<core::convert::Infallible, L::Error> {
        let mut decoder = Decoder::default();
        let mut file = None;
        loop {
            let (head, complete) = self.gather(&mut decoder, &mut file)?;
            match self.run(head, complete, &mut decoder)? {
                Ok(next) => {
                    file = None;
                    self.announce(next, &mut file)?;
                }
                Err(refusal) => link::respond(&mut self.line, head, Err(refusal))?,
            }
        }
    }

    /// Takes the pieces of a file, until it is complete and undamaged: it, and the question that wants it run.
    fn gather(
        &mut self,
        decoder: &mut Decoder,
        file: &mut Option<Announcement>,
    ) -> Result<([u8; HEAD], Announcement), L::Error> {
        loop {
            let question = frame::receive(&mut self.line, decoder)?;
            let [number, command, arguments @ ..] = question.as_slice() else { continue };
            let head = [*number, *command];
            let answer = match (*command, link::first_word(arguments)) {
                (HELLO, _) => {
                    let about = self.about();
                    link::introduce(&mut self.line, head, about, [self.board, ""])?;
                    continue;
                }
                (LOAD, _) => match Announcement::read(head, arguments) {
                    Some(announced) => {
                        self.announce(announced, file)?;
                        continue;
                    }
                    None => Err(Refusal::Unfit),
                },
                (PART, Some((offset, bytes))) => self.keep(*file, offset, bytes),
                (START, Some((check, _))) => match *file {
                    Some(file) if file.check == check && self.is_whole(file) => return Ok((head, file)),
                    _ => Err(Refusal::Lost),
                },
                _ => Err(Refusal::NoModel),
            };
            link::respond(&mut self.line, head, answer)?;
        }
    }

    /// Answers [`LOAD`].
    fn announce(&mut self, announced: Announcement, file: &mut Option<Announcement>) -> Result<(), L::Error> {
        let (needed, given) = (announced.len, self.memory.len() as u32);
        let answer = if needed <= given { Ok(()) } else { Err(Refusal::Room { needed, given }) };
        *file = answer.ok().map(|()| announced);
        link::respond(&mut self.line, announced.head, answer)
    }

    /// Keeps a piece of the file.
    fn keep(&mut self, file: Option<Announcement>, offset: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let file = file.ok_or(Refusal::Lost)?;
        let room = self.memory.get_mut(..file.len as usize).ok_or(Refusal::Lost)?;
        let place = room.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        let place = place.ok_or(Refusal::Unfit)?;
        place.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
        Ok(())
    }

    fn is_whole(&self, file: Announcement) -> bool {
        self.memory.get(..file.len as usize).is_some_and(|bytes| crc32(0, bytes) == file.check)
    }

    fn about(&self) -> About {
        let (frequency, room) = (self.clock.frequency(), self.memory.len() as u32);
        About { model: 0, input_len: 0, output_len: 0, steps: 0, frequency, room }
    }

    /// Runs the model of a whole file, until the next one is announced: that announcement. When it cannot be run, the reason.
    fn run(
        &mut self,
        head: [u8; HEAD],
        file: Announcement,
        decoder: &mut Decoder,
    ) -> Result<Result<Announcement, Refusal>, L::Error> {
        let room = self.memory.len() as u32;
        let (bytes, rest) =
            match self.memory.split_at_mut_checked((file.len as usize).next_multiple_of(ALIGNMENT as usize)) {
                Some((bytes, rest)) => (&*bytes, rest),
                None => return Ok(Err(Refusal::Room { needed: file.len.saturating_add(ALIGNMENT), given: room })),
            };
        let model: Model<'_> = match Model::new(bytes.get(..file.len as usize).unwrap_or(bytes)) {
            Ok(model) => model,
            Err(error) => return Ok(Err(Refusal::Invalid { at: error.offset })),
        };
        let too_large = Ok(Err(Refusal::Room { needed: needed(&model), given: room }));
        let [_, arena, input_len] = parts(&model);
        let Some((arena, input)) = rest.split_at_mut_checked(arena as usize) else { return too_large };
        if input.len() < input_len as usize {
            return too_large;
        }
        let Ok(session) = Session::new(model, arena) else { return too_large };
        let mut server = Server {
            line: &mut self.line,
            clock: &mut self.clock,
            session,
            input,
            sums: &mut *self.sums,
            board: self.board,
            pin: &mut self.pin,
            loaded: Some((room, file.check)),
        };
        link::respond(&mut server.line, head, Ok(()))?;
        server.until_announced(decoder).map(Ok)
    }
}
