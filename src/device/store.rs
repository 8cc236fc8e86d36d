//! Where model files that come over the line are kept: in the loader's memory, or in flash.

use embedded_storage::nor_flash::NorFlash;

use super::link::Refusal;
use super::load::{aligned, working};
use crate::Model;
use crate::format::crc32;
use crate::slots::{Mapped, SlotError, Slots, Update};

/// A place for one model file. What it gets of the loader's memory is always the same, at a multiple of 16 bytes.
pub trait Store {
    /// A file on its way into it.
    type Incoming<'s>: Incoming
    where
        Self: 's;

    /// Bytes of flash that it has for a file; 0 when it takes memory.
    fn flash(&self) -> u32;

    /// Makes room for a file of `len` bytes.
    fn begin<'s>(&'s mut self, memory: &'s mut [u8], len: u32) -> Result<Self::Incoming<'s>, Refusal>;

    /// The file that is there as a whole.
    fn held<'s>(&'s mut self, memory: &'s mut [u8]) -> Option<Held<'s>>;
}

/// A model file on its way.
pub trait Incoming {
    /// Bytes that have come.
    fn written(&self) -> u32;

    /// Takes the bytes after those.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal>;

    /// Holds the file from now on, if it is complete, has this CRC-32, and is a model that can run here.
    fn finish(self, check: u32) -> Result<(), Refusal>;
}

/// A model file, and the memory that it leaves.
#[derive(Debug)]
pub struct Held<'s> {
    pub file: &'s [u8],
    /// Its CRC-32.
    pub check: u32,
    pub rest: &'s mut [u8],
}

/// Whether a model file of which `taken` bytes of `room` are in memory can run.
fn check(file: &[u8], taken: u32, room: u32) -> Result<(), Refusal> {
    let model: Model<'_> = Model::new(file).map_err(|error| Refusal::Invalid { at: error.offset })?;
    let needed = working(&model).saturating_add(taken);
    if needed <= room { Ok(()) } else { Err(Refusal::Room { needed, given: room }) }
}

/// In memory, with the arena and the input behind it; a reset takes it away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ram {
    /// Bytes of the file that is there, and their CRC-32.
    held: Option<[u32; 2]>,
}

impl Ram {
    /// An empty one.
    pub const fn new() -> Self {
        Self { held: None }
    }
}

/// A file on its way into memory.
#[derive(Debug)]
pub struct IntoRam<'s> {
    ram: &'s mut Ram,
    memory: &'s mut [u8],
    len: u32,
    written: u32,
}

impl Store for Ram {
    type Incoming<'s> = IntoRam<'s>;

    fn flash(&self) -> u32 {
        0
    }

    fn begin<'s>(&'s mut self, memory: &'s mut [u8], len: u32) -> Result<IntoRam<'s>, Refusal> {
        self.held = None;
        let (needed, given) = (aligned(len), memory.len() as u32);
        if needed > given {
            Err(Refusal::Room { needed, given })
        } else {
            Ok(IntoRam { ram: self, memory, len, written: 0 })
        }
    }

    fn held<'s>(&'s mut self, memory: &'s mut [u8]) -> Option<Held<'s>> {
        let [len, check] = self.held?;
        let (file, rest) = memory.split_at_mut_checked(aligned(len) as usize)?;
        Some(Held { file: file.get(..len as usize)?, check, rest })
    }
}

impl Incoming for IntoRam<'_> {
    fn written(&self) -> u32 {
        self.written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let file = self.memory.get_mut(..self.len as usize);
        let place = file.and_then(|file| file.get_mut(self.written as usize..)?.get_mut(..bytes.len()));
        let place = place.ok_or(Refusal::Unfit)?;
        place.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
        self.written += bytes.len() as u32;
        Ok(())
    }

    fn finish(self, expected: u32) -> Result<(), Refusal> {
        let file = self.memory.get(..self.written as usize).filter(|_| self.written == self.len);
        let file = file.filter(|file| crc32(0, file) == expected).ok_or(Refusal::Lost)?;
        check(file, aligned(self.len), self.memory.len() as u32)?;
        self.ram.held = Some([self.len, expected]);
        Ok(())
    }
}

/// A file on its way into flash.
#[derive(Debug)]
pub struct IntoFlash<'s, F> {
    update: Update<'s, F>,
    len: u32,
    /// Bytes of memory for arena and input.
    room: u32,
}

/// In flash, where it is run in place, and from every start on; memory is for arena and input alone.
impl<F: NorFlash + Mapped> Store for Slots<F> {
    type Incoming<'s>
        = IntoFlash<'s, F>
    where
        F: 's;

    fn flash(&self) -> u32 {
        self.room()
    }

    fn begin<'s>(&'s mut self, memory: &'s mut [u8], len: u32) -> Result<IntoFlash<'s, F>, Refusal> {
        let update = Slots::begin(self, len).map_err(refusal)?;
        Ok(IntoFlash { update, len, room: memory.len() as u32 })
    }

    fn held<'s>(&'s mut self, memory: &'s mut [u8]) -> Option<Held<'s>> {
        // Flash that cannot be read holds nothing.
        let stored = self.active().ok().flatten()?;
        Some(Held { file: stored.slice(self.flash().mapped())?, check: stored.crc, rest: memory })
    }
}

impl<F: NorFlash + Mapped> Incoming for IntoFlash<'_, F> {
    fn written(&self) -> u32 {
        self.len - self.update.missing()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.update.write(bytes).map_err(refusal)
    }

    fn finish(self, expected: u32) -> Result<(), Refusal> {
        let mut verdict = Err(Refusal::Lost);
        let done = self.update.finish_if(|stored, flash| {
            if stored.crc == expected {
                let file = stored.slice(flash.mapped()).ok_or(Refusal::Flash);
                verdict = file.and_then(|file| check(file, 0, self.room));
            }
            verdict.is_ok()
        });
        match done {
            Ok(_) => Ok(()),
            Err(SlotError::Refused) => verdict,
            Err(error) => Err(refusal(error)),
        }
    }
}

fn refusal<E>(error: SlotError<E>) -> Refusal {
    match error {
        SlotError::TooLong { len, room } => Refusal::Room { needed: len, given: room },
        SlotError::Length { .. } | SlotError::Refused => Refusal::Lost,
        SlotError::NotAModel => Refusal::Invalid { at: 0 },
        SlotError::Flash(_) | SlotError::Geometry | SlotError::ReadBack => Refusal::Flash,
    }
}
