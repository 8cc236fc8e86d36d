//! Models that come over the line: a device that is flashed once, and runs what a host sends, from RAM or from flash.
//!
//! The file comes in pieces, by the commands [`LOAD`], [`PART`] and [`START`] of [`link`], and runs only when its CRC-32 is the host's and
//! [`Model::new`] finds it valid: whatever a line does to it on the way, and whoever sends it. From then on the device answers as
//! [`Server`] does, until another is announced.
//!
//! In RAM the next file is written over it, and a reset takes it away. With [`Loader::keep`] it goes to the one of two [`Slots`] in
//! flash that is not in use, is checked there, and only then takes the other's place: whenever the power goes, the newest model that is whole
//! runs from the next start on, in place.

use embedded_hal::digital::OutputPin;
use embedded_io::{Read, Write};
use embedded_storage::nor_flash::NorFlash;

use super::frame::{self, Decoder};
use super::link::{self, About, Announcement, HELLO, LOAD, Loaded, PART, Refusal, START, Server, input_len};
use super::store::{Held, Incoming, Ram, Store};
use super::{Clock, NoPin};
use crate::internal::internal;
use crate::slots::{Mapped, Slots};
use crate::uses::Linked;
use crate::{Model, Session};

/// What arenas and model files are aligned to.
const ALIGNMENT: u32 = 16;

/// `len`, aligned.
pub(super) const fn aligned(len: u32) -> u32 {
    match len.checked_next_multiple_of(ALIGNMENT) {
        Some(len) => len,
        None => u32::MAX,
    }
}

internal! {
    /// Bytes of memory that a [`Loader`] needs for a model in RAM: its file, its arena and an input.
    fn needed<M: Linked>(model: &Model<'_, M>) -> u32 {
        aligned(model.file_len() as u32).saturating_add(working(model))
    }
}

internal! {
    /// Bytes of memory that a [`Loader`] needs for a model in flash: its arena and an input.
    fn working<M: Linked>(model: &Model<'_, M>) -> u32 {
        aligned(model.arena_len() as u32).saturating_add(input_len(model))
    }
}

/// The device's side, around whatever model a host sends.
///
/// ```no_run
/// # use kinglet::device::{Clock, load::Loader};
/// # use kinglet::slots::{Mapped, Slots};
/// # fn demo(line: impl embedded_io::Read + embedded_io::Write, clock: impl Clock) {
/// static MEMORY: kinglet::Arena<[u8; 100_000]> = kinglet::Arena::new();
/// let mut sums = [0; 256];
/// let error = Loader::new(line, clock, MEMORY.take().unwrap(), &mut sums, "my-board").serve();
/// # }
/// # fn kept(line: impl embedded_io::Read + embedded_io::Write, clock: impl Clock, memory: &mut [u8], sums: &mut [u32],
/// #     flash: impl embedded_storage::nor_flash::NorFlash + Mapped) -> Option<()> {
/// // Or in flash, from its offset 256 K on:
/// let slots = Slots::new(flash, 0x4_0000, 0x2_0000).ok()?;
/// let error = Loader::new(line, clock, memory, sums, "my-board").keep(slots).serve();
/// # None }
/// ```
#[derive(Debug)]
pub struct Loader<'b, L, C, S = Ram, P = NoPin> {
    line: L,
    clock: C,
    memory: &'b mut [u8],
    sums: &'b mut [u32],
    board: &'b str,
    store: S,
    pin: P,
}

impl<'b, L: Read + Write, C: Clock> Loader<'b, L, C> {
    /// `memory` is for a model's file (aligned to 16 bytes), its arena (likewise) and an input, as
    /// [`Arena::take`](crate::Arena::take) gives it; `sums` keeps the checksums of as many steps.
    pub const fn new(line: L, clock: C, memory: &'b mut [u8], sums: &'b mut [u32], board: &'b str) -> Self {
        Self { line, clock, memory, sums, board, store: Ram::new(), pin: NoPin }
    }

    /// Keeps model files in flash; memory is for arena and input alone.
    pub fn keep<F: NorFlash + Mapped>(self, slots: Slots<F>) -> Loader<'b, L, C, Slots<F>> {
        let Self { line, clock, memory, sums, board, .. } = self;
        Loader { line, clock, memory, sums, board, store: slots, pin: NoPin }
    }
}

impl<'b, L, C, S> Loader<'b, L, C, S> {
    /// With a pin that is high while an inference runs.
    pub fn trigger<P: OutputPin>(self, pin: P) -> Loader<'b, L, C, S, P> {
        let Self { line, clock, memory, sums, board, store, pin: NoPin } = self;
        Loader { line, clock, memory, sums, board, store, pin }
    }
}

impl<L: Read + Write, C: Clock, S: Store, P: OutputPin> Loader<'_, L, C, S, P> {
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
        let mut next = None;
        loop {
            let announced = match next {
                Some(announced) => announced,
                None => self.until_announced(&mut decoder)?,
            };
            next = self.take(announced, &mut decoder)?;
        }
    }

    /// Runs the model that is there, if there is one, until a file is announced.
    fn until_announced(&mut self, decoder: &mut Decoder) -> Result<Announcement, L::Error> {
        let (about, flash) = (self.about(), self.store.flash());
        if let Some((session, input, check)) = self.store.held(self.memory).and_then(open) {
            let mut server = Server {
                line: &mut self.line,
                clock: &mut self.clock,
                session,
                input,
                sums: &mut *self.sums,
                board: self.board,
                pin: &mut self.pin,
                loaded: Some(Loaded { room: about.room, flash, check }),
            };
            return server.until_announced(decoder);
        }
        loop {
            let question = frame::receive(&mut self.line, decoder)?;
            let [number, command, arguments @ ..] = question.as_slice() else { continue };
            let head = [*number, *command];
            match (*command, Announcement::read(head, arguments)) {
                (LOAD, Some(announced)) => return Ok(announced),
                (HELLO, _) => link::introduce(&mut self.line, head, about, [self.board, ""])?,
                // Of a file whose announcement was lost, or that a reset took.
                (PART | START, _) => link::respond(&mut self.line, head, Err(Refusal::Lost))?,
                _ => link::respond(&mut self.line, head, Err(Refusal::NoModel))?,
            }
        }
    }

    /// Takes the pieces of a file until it is there or refused; or until another is announced: that announcement.
    fn take(&mut self, announced: Announcement, decoder: &mut Decoder) -> Result<Option<Announcement>, L::Error> {
        let about = self.about();
        let mut incoming = match self.store.begin(self.memory, announced.len) {
            Ok(incoming) => incoming,
            Err(refusal) => {
                link::respond(&mut self.line, announced.head, Err(refusal))?;
                return Ok(None);
            }
        };
        link::respond(&mut self.line, announced.head, Ok(()))?;
        loop {
            let question = frame::receive(&mut self.line, decoder)?;
            let [number, command, arguments @ ..] = question.as_slice() else { continue };
            let head = [*number, *command];
            let answer = match (*command, link::first_word(arguments)) {
                (HELLO, _) => {
                    link::introduce(&mut self.line, head, about, [self.board, ""])?;
                    continue;
                }
                (LOAD, _) => match Announcement::read(head, arguments) {
                    // Asked again: what has come of it is good.
                    Some(again) if (again.len, again.check) == (announced.len, announced.check) => Ok(()),
                    Some(other) => return Ok(Some(other)),
                    None => Err(Refusal::Unfit),
                },
                (PART, Some((offset, bytes))) => match incoming.written() {
                    written if offset == written => incoming.write(bytes),
                    // Sent again.
                    written if offset.saturating_add(bytes.len() as u32) <= written => Ok(()),
                    _ => Err(Refusal::Lost),
                },
                (START, Some((check, _))) => {
                    link::respond(&mut self.line, head, incoming.finish(check))?;
                    return Ok(None);
                }
                _ => Err(Refusal::NoModel),
            };
            link::respond(&mut self.line, head, answer)?;
        }
    }

    /// What it says of itself without a model.
    fn about(&self) -> About {
        let (frequency, room, flash) = (self.clock.frequency(), self.memory.len() as u32, self.store.flash());
        About { model: 0, input_len: 0, output_len: 0, steps: 0, frequency, room, flash }
    }
}

/// A session of a model file, memory for its input, and the file's CRC-32; none when a model that was kept by other firmware cannot run with
/// this one.
fn open(held: Held<'_>) -> Option<(Session<'_>, &mut [u8], u32)> {
    let Held { file, check, rest } = held;
    let model: Model<'_> = Model::new(file).ok()?;
    let (arena, input) = rest.split_at_mut_checked(aligned(model.arena_len() as u32) as usize)?;
    let input = input.get_mut(..input_len(&model) as usize)?;
    Some((Session::open(model, arena).ok()?, input, check))
}
