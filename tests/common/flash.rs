//! Simulated NOR flash whose power goes.

#![allow(dead_code)] // each test binary uses a part

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use kinglet::slots::Mapped;

/// Bytes of a sector.
pub const ERASE: usize = 256;
/// Bytes of a model slot.
pub const SLOT: u32 = 16 * ERASE as u32;
/// Bytes of the flash: two slots, and a sector before and behind them.
pub const SIZE: usize = 2 * SLOT as usize + 2 * ERASE;

/// What a simulated flash can complain about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power went.
    Power,
    /// Not as NOR flash wants it: out of range, misaligned, or written twice.
    Misuse,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// NOR flash whose power goes after so many operations (one per unit that is written, one per sector that is erased).
/// The operation that is cut short is left half done.
#[derive(Debug)]
pub struct Flash<const WRITE: usize> {
    pub bytes: Vec<u8>,
    /// Operations until the power goes.
    pub left: u64,
    /// Operations so far.
    pub done: u64,
    /// What becomes of a program whose power goes: it is told, unless this does something else.
    pub gone: fn() -> Fault,
}

impl<const WRITE: usize> Flash<WRITE> {
    pub fn new() -> Self {
        // As it comes from a factory that tests its flash: neither erased nor anything else.
        Self {
            bytes: (0..SIZE).map(|at| ((at * 131) >> 3) as u8).collect(),
            left: u64::MAX,
            done: 0,
            gone: || Fault::Power,
        }
    }

    /// Flash of the same content, with power for so many operations.
    pub fn copy(&self, left: u64) -> Self {
        Self { bytes: self.bytes.clone(), left, done: 0, ..*self }
    }

    /// Does one operation on `range`: all of it, or half of it and no more.
    fn operate(&mut self, at: usize, len: usize, change: impl Fn(usize, &mut u8)) -> Result<(), Fault> {
        if self.left == 0 {
            return Err((self.gone)());
        }
        self.left -= 1;
        self.done += 1;
        let last = self.left == 0;
        let half = if last { len / 2 } else { len };
        self.bytes[at..at + half].iter_mut().enumerate().for_each(|(i, byte)| change(i, byte));
        if last { Err((self.gone)()) } else { Ok(()) }
    }
}

impl<const WRITE: usize> ErrorType for &mut Flash<WRITE> {
    type Error = Fault;
}

impl<const WRITE: usize> ReadNorFlash for &mut Flash<WRITE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        let from = self.bytes.get(offset as usize..).and_then(|rest| rest.get(..bytes.len())).ok_or(Fault::Misuse)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize> NorFlash for &mut Flash<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    /// Bytes of a sector.
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(ERASE) || !to.is_multiple_of(ERASE) || to > self.bytes.len() {
            return Err(Fault::Misuse);
        }
        (from..to).step_by(ERASE).try_for_each(|at| self.operate(at, ERASE, |_, byte| *byte = 0xFF))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let at = offset as usize;
        let target = self.bytes.get(at..at + bytes.len()).ok_or(Fault::Misuse)?;
        if !at.is_multiple_of(WRITE) || !bytes.len().is_multiple_of(WRITE) || target.iter().any(|byte| *byte != 0xFF) {
            return Err(Fault::Misuse);
        }
        for (index, unit) in bytes.chunks(WRITE).enumerate() {
            self.operate(at + index * WRITE, WRITE, |i, byte| *byte &= unit[i])?;
        }
        Ok(())
    }
}

impl<const WRITE: usize> Mapped for Flash<WRITE> {
    fn mapped(&self) -> &[u8] {
        &self.bytes
    }
}
