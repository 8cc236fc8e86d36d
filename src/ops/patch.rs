//! Gathering what a window covers into scratch, and copying between tensors.

use super::Io;
use crate::kernels::algorithms::pool::Rectangle;
use crate::memory::{Memory, Region, part};
use crate::tensor::Tensor;
use crate::window::{Taps, Window};

/// Copies as much of `from` as fits. LLVM makes a `memcpy` of it, and needs no proof of equal lengths.
#[inline]
pub(super) fn copy(to: &mut [i8], from: &[i8]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// Cuts `len` elements off the front of `rest`; fewer when there are fewer.
#[inline]
fn take<'a>(rest: &mut &'a mut [i8], len: usize) -> &'a mut [i8] {
    let len = len.min(rest.len());
    match core::mem::take(rest).split_at_mut_checked(len) {
        Some((head, tail)) => {
            *rest = tail;
            head
        }
        None => &mut [],
    }
}

/// A feature map: the bytes of a tensor's region, by pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map<'a> {
    tensor: &'a Tensor,
    bytes: &'a [i8],
}

impl<'a> Map<'a> {
    /// That of `tensor`, whose region `bytes` are.
    pub(super) const fn new(tensor: &'a Tensor, bytes: &'a [i8]) -> Self {
        Self { tensor, bytes }
    }

    /// `pixels` pixels of row `y` from column `x` on: in one run when they follow each other without gaps, else each by itself.
    #[inline]
    pub(super) fn runs(self, y: u32, x: u32, pixels: u32) -> impl Iterator<Item = &'a [i8]> {
        let Self { tensor, bytes } = self;
        let (c, pitch) = (tensor.pixel_bytes() as usize, tensor.place.pitch as usize);
        let first = tensor.slot(y).wrapping_mul(tensor.shape.w).wrapping_add(x) as usize;
        let dense = tensor.has_dense_rows();
        let (runs, len) = if dense { (pixels.min(1), (pixels as usize).wrapping_mul(c)) } else { (pixels, c) };
        (0..runs as usize).map(move |run| part(bytes, first.wrapping_add(run).wrapping_mul(pitch), len))
    }
}

/// Copies the bytes under the window at output position `(y, x)` to `patch`, tap by tap, `fill` where the window
/// lies outside the input.
#[inline]
pub(super) fn gather(
    memory: &mut Memory<'_>,
    input: &Tensor,
    window: &Window,
    fill: i8,
    (y, x): (u32, u32),
    patch: Region,
) {
    let (elements, mut patch) = memory.read_write(input.region(), patch);
    let map = Map::new(input, elements);
    let c = input.pixel_bytes() as usize;
    let columns = window.taps(1, x, input.shape.w);
    let before = (columns.tap as usize).wrapping_mul(c);
    let row_len = (window.kernel[1] as usize).wrapping_mul(c);
    let rows = window.taps(0, y, input.shape.h);
    take(&mut patch, (rows.tap as usize).wrapping_mul(row_len)).fill(fill);
    for row in 0..rows.len {
        let mut to = take(&mut patch, row_len);
        take(&mut to, before).fill(fill);
        for run in map.runs(rows.start.wrapping_add(row), columns.start, columns.len) {
            copy(take(&mut to, run.len()), run);
        }
        to.fill(fill);
    }
    patch.fill(fill);
}

/// All elements of `input` in one stretch: where they are, or gathered in scratch.
pub(super) fn contiguous(io: &mut Io<'_, '_>, input: &Tensor) -> Region {
    if input.is_contiguous() {
        return input.region();
    }
    let gathered = io.scratch(0, input.shape.len().saturating_mul(input.dtype.size()));
    let whole = Window::global([input.shape.h, input.shape.w]);
    gather(io.memory, input, &whole, 0, (0, 0), gathered);
    gathered
}

/// The taps of a window that lie inside its input, both ways.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside {
    /// Along the height.
    pub rows: Taps,
    /// Along the width.
    pub columns: Taps,
}

impl Inside {
    /// For the window at output position `(y, x)`.
    pub(super) fn of(window: &Window, input: &Tensor, y: u32, x: u32) -> Self {
        Self { rows: window.taps(0, y, input.shape.h), columns: window.taps(1, x, input.shape.w) }
    }

    /// Number of pixels.
    pub(super) const fn len(&self) -> u32 {
        self.rows.len.wrapping_mul(self.columns.len)
    }

    /// The pixels, from byte `channel` of them on, of a tensor whose bytes are `elements`.
    pub(super) fn pixels_of<'a>(&self, input: &Tensor, elements: &'a [i8], channel: u32) -> Rectangle<'a> {
        let start = self.columns.start.wrapping_mul(input.place.pitch).wrapping_add(channel);
        Rectangle {
            elements: elements.get(start as usize..).unwrap_or_default(),
            first_row: input.slot(self.rows.start) as usize,
            kept_rows: input.place.rows as usize,
            rows: self.rows.len as usize,
            columns: self.columns.len as usize,
            row_pitch: input.shape.w.wrapping_mul(input.place.pitch) as usize,
            pitch: input.place.pitch as usize,
        }
    }
}

/// Copies row `y` of `input` to row `y` of `output`, which has the same shape; nothing when they are one.
pub(super) fn copy_row(memory: &mut Memory<'_>, input: &Tensor, output: &Tensor, y: u32) {
    if input.same_place(output) {
        return;
    }
    let mut copy_pixels = |x, pixels| {
        let (from, to) = memory.read_write(input.pixels(y, x, pixels), output.pixels(y, x, pixels));
        copy(to, from);
    };
    if input.has_dense_rows() && output.has_dense_rows() {
        copy_pixels(0, output.shape.w);
    } else {
        (0..output.shape.w).for_each(|x| copy_pixels(x, 1));
    }
}
