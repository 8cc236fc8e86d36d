//! The arena's bytes, seen as the slices that operators read and write.
//!
//! An operator never holds two overlapping slices: it *stages* (reads a tensor, writes scratch), then *computes*
//! (reads scratch, writes a tensor), or works on two tensors that the plan keeps apart. `Model::new` has proven
//! every region to lie inside the arena and every pair to be disjoint; were a region wrong all the same, the slice
//! would be empty and the operator would do nothing: there is no panic and no unsafe code here.

use crate::kernels::intrinsics::cast;
use crate::tensor::Tensor;

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

impl Tensor {
    /// The bytes from the first element to the last, holes of a view included.
    pub const fn region(&self) -> Region {
        Region { offset: self.place.offset, len: self.span() }
    }

    /// The bytes of rows `first..first + rows`, from the first element to the last; in a line buffer they must not
    /// wrap around its end.
    pub const fn rows(&self, first: u32, rows: u32) -> Region {
        let row = self.shape.w.wrapping_mul(self.place.pitch);
        self.region().part(self.slot(first).wrapping_mul(row), rows.wrapping_mul(row))
    }

    /// The kept row, from 0, that holds row `y`.
    pub(crate) const fn slot(&self, y: u32) -> u32 {
        match y.checked_rem(self.place.rows) {
            Some(slot) if !self.is_whole() => slot,
            _ => y,
        }
    }

    /// The bytes of `pixels` pixels of row `y` from column `x`, from the first element to the last.
    pub const fn pixels(&self, y: u32, x: u32, pixels: u32) -> Region {
        let pixel = self.slot(y).wrapping_mul(self.shape.w).wrapping_add(x);
        let len = pixels.saturating_sub(1).saturating_mul(self.place.pitch).saturating_add(self.pixel_bytes());
        self.region().part(pixel.wrapping_mul(self.place.pitch), len)
    }
}

/// The arena while a step runs.
#[derive(Debug)]
pub struct Memory<'a> {
    bytes: &'a mut [u8],
}

impl<'a> Memory<'a> {
    /// Over an arena that starts at a multiple of 16 bytes.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes }
    }

    /// Reads `region`.
    pub fn read(&self, region: Region) -> &[i8] {
        let range = region.offset as usize..region.end() as usize;
        cast::as_i8(self.bytes.get(range).unwrap_or_default())
    }

    /// Writes `region`.
    pub fn write(&mut self, region: Region) -> &mut [i8] {
        let range = region.offset as usize..region.end() as usize;
        cast::as_i8_mut(self.bytes.get_mut(range).unwrap_or_default())
    }

    /// Reads one region and writes another; both are empty when they overlap.
    pub fn read_write(&mut self, read: Region, write: Region) -> (&[i8], &mut [i8]) {
        let range = |r: Region| r.offset as usize..r.end() as usize;
        match self.bytes.get_disjoint_mut([range(read), range(write)]) {
            Ok([read, write]) => (cast::as_i8(read), cast::as_i8_mut(write)),
            Err(_) => (&[], &mut []),
        }
    }

    /// Reads one region and writes two others; all are empty when two overlap.
    pub fn read_write2(&mut self, read: Region, a: Region, b: Region) -> (&[i8], &mut [i8], &mut [i8]) {
        let range = |r: Region| r.offset as usize..r.end() as usize;
        match self.bytes.get_disjoint_mut([range(read), range(a), range(b)]) {
            Ok([read, a, b]) => (cast::as_i8(read), cast::as_i8_mut(a), cast::as_i8_mut(b)),
            Err(_) => (&[], &mut [], &mut []),
        }
    }

    /// Reads two regions, which may overlap, and writes a third; all are empty when it overlaps one of them.
    pub fn read2_write(&mut self, a: Region, b: Region, write: Region) -> (&[i8], &[i8], &mut [i8]) {
        if a.overlaps(write) || b.overlaps(write) {
            return (&[], &[], &mut []);
        }
        let Some((head, rest)) = self.bytes.split_at_mut_checked(write.offset as usize) else {
            return (&[], &[], &mut []);
        };
        let Some((out, tail)) = rest.split_at_mut_checked(write.len as usize) else {
            return (&[], &[], &mut []);
        };
        let (head, tail): (&[u8], &[u8]) = (head, tail);
        let side = |r: Region| {
            let (part, start) = match (r.offset as usize).checked_sub(write.end() as usize) {
                Some(start) => (tail, start),
                None => (head, r.offset as usize),
            };
            let end = start.saturating_add(r.len as usize);
            cast::as_i8(part.get(start..end).unwrap_or_default())
        };
        (side(a), side(b), cast::as_i8_mut(out))
    }
}
