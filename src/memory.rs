//! The arena's bytes, seen as the slices that operators read and write.
//!
//! An operator never holds two overlapping slices: it *stages* (reads a tensor, writes scratch), then *computes*
//! (reads scratch, writes a tensor), or works on two tensors that the plan keeps apart. `Model::new` has proven
//! every region to lie inside the arena and every pair to be disjoint. Were a region wrong all the same, debug builds stop;
//! others hand out an empty slice and remember it, and the inference ends in a fault: there is no panic and no unsafe code.

use core::ops::Range;

use crate::float16::{self, f16};
use crate::sys::cast;

/// A range of bytes of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region {
    /// First byte, from the start of the arena.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

impl Region {
    /// No bytes.
    pub(crate) const EMPTY: Self = Self { offset: 0, len: 0 };

    /// The same bytes; if they are none, at the start. Slices count an empty range within another one as overlapping.
    pub(crate) const fn canonical(self) -> Self {
        if self.len == 0 { Self::EMPTY } else { self }
    }

    /// As indices into the arena.
    const fn range(self) -> Range<usize> {
        self.offset as usize..self.end() as usize
    }

    /// As indices into the memory that has the offsets from `border` on; empty when the region lies before it.
    const fn beyond(self, border: usize) -> Range<usize> {
        match (self.offset as usize).checked_sub(border) {
            Some(start) => start..start.saturating_add(self.len as usize),
            None => 0..0,
        }
    }

    /// One past the last byte, saturating.
    pub const fn end(self) -> u32 {
        self.offset.saturating_add(self.len)
    }

    /// Whether the two share a byte.
    pub const fn overlaps(self, other: Self) -> bool {
        self.len != 0 && other.len != 0 && self.offset < other.end() && other.offset < self.end()
    }

    /// The part from `start`, `len` bytes long, cut to this region.
    pub const fn part(self, start: u32, len: u32) -> Self {
        let rest = self.len.saturating_sub(start);
        Self { offset: self.offset.saturating_add(start), len: if len < rest { len } else { rest } }
    }
}

/// An element type as Rust's numbers.
pub trait Element: Copy {
    /// The elements in `bytes`; none when they are misaligned.
    fn of(bytes: &[i8]) -> &[Self];

    /// The elements in `bytes`, writable; none when they are misaligned.
    fn of_mut(bytes: &mut [i8]) -> &mut [Self];

    /// The integer that stands for the element, in the order of the numbers.
    fn ordinal(self) -> i32;

    /// The element of an integer that stands for one.
    fn from_ordinal(ordinal: i32) -> Self;
}

impl Element for i8 {
    #[inline]
    fn of(bytes: &[i8]) -> &[Self] {
        bytes
    }

    #[inline]
    fn of_mut(bytes: &mut [i8]) -> &mut [Self] {
        bytes
    }

    #[inline]
    fn ordinal(self) -> i32 {
        self.into()
    }

    #[inline]
    fn from_ordinal(ordinal: i32) -> Self {
        ordinal as Self
    }
}

impl Element for i16 {
    #[inline]
    fn of(bytes: &[i8]) -> &[Self] {
        cast::as_i16(bytes)
    }

    #[inline]
    fn of_mut(bytes: &mut [i8]) -> &mut [Self] {
        cast::as_i16_mut(bytes)
    }

    #[inline]
    fn ordinal(self) -> i32 {
        self.into()
    }

    #[inline]
    fn from_ordinal(ordinal: i32) -> Self {
        ordinal as Self
    }
}

impl Element for f16 {
    #[inline]
    fn of(bytes: &[i8]) -> &[Self] {
        cast::as_f16(bytes)
    }

    #[inline]
    fn of_mut(bytes: &mut [i8]) -> &mut [Self] {
        cast::as_f16_mut(bytes)
    }

    #[inline]
    fn ordinal(self) -> i32 {
        float16::ordinal(self)
    }

    #[inline]
    fn from_ordinal(ordinal: i32) -> Self {
        float16::from_ordinal(ordinal)
    }
}

/// The arena while a step runs: one buffer, or two, of which the first has the offsets below its length.
#[derive(Debug)]
pub struct Memory<'a> {
    bytes: &'a mut [u8],
    slow: &'a mut [u8],
    /// Whether some region was not there, or two that should be apart overlapped.
    refused: bool,
}

/// The arena while nothing writes to it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    slow: &'a [u8],
}

impl<'a> View<'a> {
    /// Reads `region`; nothing when it is not there.
    pub fn read(self, region: Region) -> &'a [i8] {
        cast::as_i8(match self.bytes.get(region.range()) {
            Some(bytes) => bytes,
            None => self.slow.get(region.beyond(self.bytes.len())).unwrap_or_default(),
        })
    }
}

impl<'a> Memory<'a> {
    /// Over an arena that starts at a multiple of 16 bytes.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, slow: &mut [], refused: false }
    }

    /// Over an arena in two memories, `fast` before `slow`, which each start at a multiple of 16 bytes.
    pub fn split(fast: &'a mut [u8], slow: &'a mut [u8]) -> Self {
        Self { bytes: fast, slow, refused: false }
    }

    /// The same memory for a while, nothing of it refused.
    pub(crate) fn reborrow(&mut self) -> Memory<'_> {
        Memory::split(self.bytes, self.slow)
    }

    /// What is in it.
    pub(crate) fn view(&self) -> View<'_> {
        View { bytes: self.bytes, slow: self.slow }
    }

    /// What is in it, for as long as it is there.
    pub(crate) fn into_view(self) -> View<'a> {
        View { bytes: self.bytes, slow: self.slow }
    }

    /// Remembers that a step could not be computed.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether some step could not be computed.
    pub fn has_refused(&self) -> bool {
        self.refused
    }

    /// Reads `region`.
    pub fn read(&mut self, region: Region) -> &[i8] {
        self.write(region)
    }

    /// Writes `region`.
    pub fn write(&mut self, region: Region) -> &mut [i8] {
        let border = self.bytes.len();
        let found = match self.bytes.get_mut(region.range()) {
            Some(bytes) => bytes,
            None => self.slow.get_mut(region.beyond(border)).unwrap_or_default(),
        };
        if found.len() != region.len as usize {
            broken(&mut self.refused, &[region]);
        }
        cast::as_i8_mut(found)
    }

    /// Reads one region and writes another; both are empty when they overlap.
    pub fn read_write(&mut self, read: Region, write: Region) -> (&[i8], &mut [i8]) {
        // The usual case, one memory, has a way of its own because it is the shortest.
        let [read, write] = if self.slow.is_empty() {
            self.bytes.get_disjoint_mut([read.range(), write.range()]).unwrap_or_else(|_| {
                broken(&mut self.refused, &[read, write]);
                Default::default()
            })
        } else {
            let [read, write, _] = self.across([read, write, Region::EMPTY]);
            [read, write]
        };
        (cast::as_i8(read), cast::as_i8_mut(write))
    }

    /// Reads one region and writes two others; all are empty when two overlap.
    pub fn read_write2(&mut self, read: Region, a: Region, b: Region) -> (&[i8], &mut [i8], &mut [i8]) {
        let [read, a, b] = self.across([read, a, b]);
        (cast::as_i8(read), cast::as_i8_mut(a), cast::as_i8_mut(b))
    }

    /// Reads two regions and writes a third; all are empty when two overlap.
    pub fn read2_write(&mut self, a: Region, b: Region, write: Region) -> (&[i8], &[i8], &mut [i8]) {
        let [a, b, write] = self.across([a, b, write]);
        (cast::as_i8(a), cast::as_i8(b), cast::as_i8_mut(write))
    }

    /// The bytes of three regions, in either memory; all are empty when two overlap.
    #[inline(never)]
    fn across(&mut self, regions: [Region; 3]) -> [&mut [u8]; 3] {
        let border = self.bytes.len();
        // In each memory the regions that lie in the other are empty.
        let fast = regions.map(|r| if r.end() as usize <= border { r.range() } else { 0..0 });
        let slow = regions.map(|r| r.beyond(border));
        let found = match (self.bytes.get_disjoint_mut(fast), self.slow.get_disjoint_mut(slow)) {
            (Ok([a, b, c]), Ok([x, y, z])) => {
                [(a, x), (b, y), (c, z)].map(|(fast, slow)| if slow.is_empty() { fast } else { slow })
            }
            _ => Default::default(),
        };
        if found.iter().zip(&regions).any(|(bytes, region)| bytes.len() != region.len as usize) {
            broken(&mut self.refused, &regions);
        }
        found
    }
}

/// `len` elements from `start` on, of a slice that was checked to have them: debug builds stop where it has not, others go without.
#[inline]
#[track_caller]
pub(crate) fn part<T>(slice: &[T], start: usize, len: usize) -> &[T] {
    let found = slice.get(start..).and_then(|rest| rest.get(..len));
    debug_assert!(found.is_some(), "{len} elements from {start} on of {}", slice.len());
    found.unwrap_or_default()
}

/// Remembers that a step asked for regions that no checked plan has.
#[cold]
fn broken(refused: &mut bool, regions: &[Region]) {
    debug_assert!(false, "outside the arena, or over each other: {regions:?}");
    *refused = true;
}
