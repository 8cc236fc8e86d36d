//! Two places in flash for a model, so that an update can fail at any moment and a whole model remains.
//!
//! A slot holds a record, a commit word, and the model. An update erases the slot that is *not* in use, writes the
//! model in chunks of any size, writes the record (length, CRC-32, generation), reads everything back, and only then
//! flips the commit word. Until that one write the old model counts; from then on the new one does. At start-up
//! [`Slots::active`] reads both slots through and takes the newest that is whole, so that a page that went bad later is
//! no end either.
//!
//! It works on any flash behind [`NorFlash`], with write and read units of up to 64 bytes. Where flash is [`Mapped`] into
//! memory, a model runs in place: `Model::new(stored.slice(slots.flash().mapped())?)`. With the feature `device`, `device::load`
//! takes updates over a serial line. `examples/update.rs` is an update from end to end: signed, and never to an older model.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::format::{crc32, layout};

/// Bytes that are read and written at a time: every flash's unit divides it.
const UNIT: usize = 64;
/// Bytes of a slot before the model: the record's unit and the commit word's.
const HEAD: u32 = 2 * UNIT as u32;
/// First word of a record.
const MAGIC: u32 = u32::from_le_bytes(*b"KSLT");
/// The commit word, once it is flipped; erased flash reads as ones.
const COMMITTED: u32 = 0x4B1D_0A7E;

/// What goes wrong with flash or with an update. After any of these the model in use is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SlotError<E> {
    /// The flash says no.
    Flash(E),
    /// Start or length of the slots are no multiples of the flash's erase unit, do not fit into it, or its units are
    /// none that divide 64 bytes.
    Geometry,
    /// The model is longer than a slot has room for.
    TooLong {
        /// Bytes of the model.
        len: u32,
        /// Bytes that a slot has room for.
        room: u32,
    },
    /// More or fewer bytes were written than announced.
    Length {
        /// Bytes that were announced.
        expected: u32,
        /// Bytes that were written.
        written: u32,
    },
    /// What was read back is not what was written.
    ReadBack,
    /// What was written is no model file, or was damaged on its way here: magic, length or CRC-32 are wrong.
    NotAModel,
    /// The caller's check refused it.
    Refused,
}

impl<E: fmt::Debug> fmt::Display for SlotError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotError::Flash(error) => write!(f, "flash: {error:?}"),
            SlotError::Geometry => f.write_str("the slots do not fit the flash or its erase units"),
            SlotError::TooLong { len, room } => write!(f, "a model of {len} bytes, a slot has room for {room}"),
            SlotError::Length { expected, written } => write!(f, "{written} bytes written, {expected} announced"),
            SlotError::ReadBack => f.write_str("flash holds something else than was written"),
            SlotError::NotAModel => f.write_str("no model file, or damaged on its way"),
            SlotError::Refused => f.write_str("refused by the check"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SlotError<E> {}

/// Flash that can be read like memory.
pub trait Mapped {
    /// All of it, from its offset 0 on. It starts at a multiple of 16 bytes.
    fn mapped(&self) -> &[u8];
}

impl<F: Mapped> Mapped for &mut F {
    fn mapped(&self) -> &[u8] {
        (**self).mapped()
    }
}

/// A model in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stored {
    /// Which slot, 0 or 1.
    pub slot: u8,
    /// Where its bytes start in the flash.
    pub start: u32,
    /// How many they are.
    pub len: u32,
    /// Counts updates.
    pub generation: u32,
    /// Their CRC-32.
    pub crc: u32,
}

impl Stored {
    /// Its bytes, in the memory that maps the flash from its offset 0 on. Flash starts of slots are multiples of its
    /// erase unit, so a model there is as aligned as [`Model::new`](crate::Model::new) needs it.
    pub fn slice<'f>(&self, mapped: &'f [u8]) -> Option<&'f [u8]> {
        mapped.get(self.start as usize..)?.get(..self.len as usize)
    }
}

/// Two model slots, one after the other.
#[derive(Debug)]
pub struct Slots<F> {
    flash: F,
    start: u32,
    slot_len: u32,
}

impl<F: NorFlash> Slots<F> {
    /// Slots of `slot_len` bytes each, the first of them `start` bytes into `flash`.
    ///
    /// # Errors
    /// [`SlotError::Geometry`] when they do not fit.
    pub fn new(flash: F, start: u32, slot_len: u32) -> Result<Self, SlotError<F::Error>> {
        let end = u64::from(start) + 2 * u64::from(slot_len);
        let erase = F::ERASE_SIZE as u64;
        let whole = |unit: usize| unit > 0 && UNIT.checked_rem(unit) == Some(0);
        let fits = end <= flash.capacity() as u64 && end <= u64::from(u32::MAX) && slot_len > HEAD;
        let aligned = |at: u32| u64::from(at).checked_rem(erase) == Some(0) && at.is_multiple_of(UNIT as u32);
        if fits && aligned(start) && aligned(slot_len) && whole(F::READ_SIZE) && whole(F::WRITE_SIZE) {
            Ok(Self { flash, start, slot_len })
        } else {
            Err(SlotError::Geometry)
        }
    }

    /// The longest model that a slot has room for, in bytes.
    pub fn room(&self) -> u32 {
        self.slot_len - HEAD
    }

    /// The flash.
    pub const fn flash(&self) -> &F {
        &self.flash
    }

    /// The flash, given back.
    pub fn release(self) -> F {
        self.flash
    }

    /// The newest model that is whole: committed, and with the bytes that it was written with.
    ///
    /// # Errors
    /// When the flash cannot be read.
    pub fn active(&mut self) -> Result<Option<Stored>, SlotError<F::Error>> {
        let mut newest: Option<Stored> = None;
        for slot in 0..2 {
            let Some(stored) = self.record(slot)? else { continue };
            // Generations wrap around; the two are never far apart.
            let newer = newest.is_none_or(|other| stored.generation.wrapping_sub(other.generation) as i32 > 0);
            if newer && self.checksums(&stored)?.payload == stored.crc {
                newest = Some(stored);
            }
        }
        Ok(newest)
    }

    /// Starts to replace the model that is not in use by one of `len` bytes.
    ///
    /// # Errors
    /// When it does not fit, or the flash cannot be read or erased.
    pub fn begin(&mut self, len: u32) -> Result<Update<'_, F>, SlotError<F::Error>> {
        let room = self.room();
        if len > room {
            return Err(SlotError::TooLong { len, room });
        }
        let (slot, generation) = match self.active()? {
            Some(Stored { slot, generation, .. }) => (1 - slot, generation.wrapping_add(1)),
            None => (0, 1),
        };
        // The unit with the record goes first: what lost its model must not say that it has one.
        let (mut at, end) = (self.slot_start(slot), self.slot_start(slot) + HEAD + len);
        while at < end {
            let next = at + F::ERASE_SIZE as u32;
            self.flash.erase(at, next).map_err(SlotError::Flash)?;
            at = next;
        }
        let target = Stored { slot, start: self.slot_start(slot) + HEAD, len, generation, crc: 0 };
        Ok(Update { slots: self, target, written: 0, pending: [0xFF; UNIT] })
    }

    fn slot_start(&self, slot: u8) -> u32 {
        self.start + u32::from(slot) * self.slot_len
    }

    fn unit(&mut self, at: u32) -> Result<[u8; UNIT], SlotError<F::Error>> {
        let mut unit = [0; UNIT];
        self.flash.read(at, &mut unit).map_err(SlotError::Flash)?;
        Ok(unit)
    }

    /// What a slot says that it holds.
    fn record(&mut self, slot: u8) -> Result<Option<Stored>, SlotError<F::Error>> {
        let at = self.slot_start(slot);
        let (record, commit) = (self.unit(at)?, self.unit(at + UNIT as u32)?);
        let [magic, generation, len, crc, check] = words(&record);
        let [committed, ..] = words(&commit);
        let good = magic == MAGIC && committed == COMMITTED && len <= self.room();
        let good = good && check == checksum(&[magic, generation, len, crc]);
        Ok(good.then_some(Stored { slot, start: at + HEAD, len, generation, crc }))
    }

    /// Reads a model through.
    fn checksums(&mut self, stored: &Stored) -> Result<Checksums, SlotError<F::Error>> {
        let (mut sums, mut at) = (Checksums::default(), 0);
        while at < stored.len {
            let unit = self.unit(stored.start + at)?;
            let len = (stored.len - at).min(UNIT as u32);
            sums.add(at, unit.get(..len as usize).unwrap_or(&unit));
            at += len;
        }
        Ok(sums)
    }
}

/// The first words of a unit.
fn words(unit: &[u8; UNIT]) -> [u32; 5] {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(unit.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Checksums of bytes that come one unit after the other.
#[derive(Clone, Copy, Default)]
struct Checksums {
    /// Of all of them.
    payload: u32,
    /// Of the model file, its checksum left out; what follows it (a signature) is not the file's.
    file: u32,
    /// What the header says: magic, length, checksum.
    header: [u32; 3],
}

impl Checksums {
    fn add(&mut self, at: u32, mut bytes: &[u8]) {
        self.payload = crc32(self.payload, bytes);
        if let (0, Some((head, rest))) = (at, bytes.split_first_chunk::<16>()) {
            let mut words = [0; 4];
            for (word, bytes) in words.iter_mut().zip(head.as_chunks().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            let [magic, _, len, checksum] = words;
            self.header = [magic, len, checksum];
            self.file = crc32(0, head.first_chunk::<12>().map_or(&[], |before| before));
            bytes = rest;
        }
        let [_, len, _] = self.header;
        let first = if at == 0 { 16 } else { at };
        let inside = (len.saturating_sub(first) as usize).min(bytes.len());
        self.file = crc32(self.file, bytes.get(..inside).unwrap_or_default());
    }

    fn is_model(&self, len: u32) -> bool {
        let [magic, file_len, checksum] = self.header;
        magic == u32::from_le_bytes(layout::MAGIC) && file_len <= len && checksum == self.file
    }
}

/// A model on its way into flash. Dropped before [`Update::finish`], it leaves the model in use as it was.
#[derive(Debug)]
pub struct Update<'s, F> {
    slots: &'s mut Slots<F>,
    target: Stored,
    written: u32,
    /// The unit that is not full yet.
    pending: [u8; UNIT],
}

impl<F: NorFlash> Update<'_, F> {
    /// Takes the next bytes of the model, as many as there are.
    ///
    /// # Errors
    /// [`SlotError::Length`] when they are more than announced, or when the flash cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SlotError<F::Error>> {
        let expected = self.target.len;
        if bytes.len() > (expected - self.written) as usize {
            let written = self.written.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            return Err(SlotError::Length { expected, written });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.written as usize % UNIT;
            let (now, later) = rest.split_at_checked(UNIT - used).unwrap_or((rest, &[]));
            let free = self.pending.get_mut(used..).unwrap_or_default();
            free.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.written += now.len() as u32;
            rest = later;
            if self.written.is_multiple_of(UNIT as u32) || self.written == expected {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Bytes that are still to come.
    pub fn missing(&self) -> u32 {
        self.target.len - self.written
    }

    /// Reads the model back, checks its CRC-32, and makes it the one in use.
    ///
    /// # Errors
    /// When bytes are missing, when flash holds something else than was written, or when it is no model.
    pub fn finish(self) -> Result<Stored, SlotError<F::Error>> {
        self.finish_if(|_, _| true)
    }

    /// As [`Update::finish`], when `check` agrees. Where flash is [`Mapped`] into memory, this is the place for
    /// `Model::new(stored.slice(flash.mapped())?).is_ok()`, and for a signature.
    ///
    /// # Errors
    /// As [`Update::finish`], and [`SlotError::Refused`].
    pub fn finish_if(self, check: impl FnOnce(&Stored, &F) -> bool) -> Result<Stored, SlotError<F::Error>> {
        if self.missing() > 0 {
            return Err(SlotError::Length { expected: self.target.len, written: self.written });
        }
        let sums = self.slots.checksums(&self.target)?;
        if sums.payload != self.target.crc {
            return Err(SlotError::ReadBack);
        }
        if !sums.is_model(self.target.len) {
            return Err(SlotError::NotAModel);
        }
        if !check(&self.target, &self.slots.flash) {
            return Err(SlotError::Refused);
        }
        let Stored { slot, len, generation, crc, .. } = self.target;
        let at = self.slots.slot_start(slot);
        let check = checksum(&[MAGIC, generation, len, crc]);
        let record = unit_of(&[MAGIC, generation, len, crc, check]);
        self.slots.flash.write(at, &record).map_err(SlotError::Flash)?;
        if self.slots.unit(at)? != record {
            return Err(SlotError::ReadBack);
        }
        let commit = unit_of(&[COMMITTED]);
        let word = commit.get(..F::WRITE_SIZE.max(4)).unwrap_or(&commit);
        self.slots.flash.write(at + UNIT as u32, word).map_err(SlotError::Flash)?;
        match self.slots.record(slot)? {
            Some(stored) if stored == self.target => Ok(stored),
            _ => Err(SlotError::ReadBack),
        }
    }

    fn flush(&mut self) -> Result<(), SlotError<F::Error>> {
        let used = (self.written - 1) % UNIT as u32 + 1;
        let bytes = self.pending.get(..used as usize).unwrap_or_default();
        self.target.crc = crc32(self.target.crc, bytes);
        let at = self.target.start + self.written - used;
        self.slots.flash.write(at, &self.pending).map_err(SlotError::Flash)?;
        self.pending = [0xFF; UNIT];
        Ok(())
    }
}

/// A unit that starts with these words; the rest stays erased.
fn unit_of(words: &[u32]) -> [u8; UNIT] {
    let mut unit = [0xFF; UNIT];
    for (bytes, word) in unit.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    unit
}

/// CRC-32 of words, as they lie in flash.
fn checksum(words: &[u32]) -> u32 {
    words.iter().fold(0, |crc, word| crc32(crc, &word.to_le_bytes()))
}
