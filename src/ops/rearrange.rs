//! Elements in another order, by strides: transposition, blocks of pixels to channels and back.

use core::ops::Range;

use super::encoding::encoding;
use super::members::without;
use super::patch::copy;
use super::{Io, Operands, rules};
use crate::bytes::{attempt, u32_at};
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::tensor::Shape;
use crate::uses::Linked;
use crate::window::Reach;

/// Elements of the input in another order. A position along an axis of the output is a number of several digits; each digit moves
/// along one axis of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rearrange<'m> {
    /// Row, column and channel of the input whose element is the first of the output.
    pub first: [u32; 3],
    /// How many digits rows, columns and channels of the output have.
    pub counts: [u32; 3],
    /// The [`Digit`]s of all three, the most significant ones first.
    pub digits: &'m [u8],
}

encoding!(Rearrange<'m> { first: triple, counts: triple, digits: list });

/// One digit of a position in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// Its values are `0..extent`.
    pub extent: u32,
    /// The axis of the input along which it moves: 0 for rows, 1 for columns, 2 for channels.
    pub axis: u32,
    /// How far.
    pub stride: u32,
}

impl Digit {
    /// Bytes in a model file.
    pub const BYTES: usize = 12;

    /// As in a model file.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.extent, self.axis, self.stride].map(u32::to_le_bytes);
        bytes.iter_mut().zip(words.as_flattened()).for_each(|(to, &from)| *to = from);
        bytes
    }

    /// Digit `index` of a list.
    const fn read(digits: &[u8], index: u32) -> Option<Self> {
        let at = index as usize * Self::BYTES;
        match (u32_at(digits, at), u32_at(digits, at + 4), u32_at(digits, at + 8)) {
            (Some(extent), Some(axis), Some(stride)) => Some(Self { extent, axis, stride }),
            _ => None,
        }
    }
}

impl<'m> Rearrange<'m> {
    /// The shape rule; empty when there are not as many digits as it says.
    const fn output_shape(&self) -> Shape {
        let (mut shape, mut index, mut axis) = ([1; 3], 0, 0);
        while axis < 3 {
            let mut left = self.counts[axis];
            while left > 0 {
                let Some(digit) = Digit::read(self.digits, index) else { return Shape::new(0, 0, 0) };
                shape[axis] = digit.extent.saturating_mul(shape[axis]);
                (left, index) = (left - 1, index + 1);
            }
            axis += 1;
        }
        let [h, w, c] = shape;
        Shape::new(h, w, c)
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::same_quant(&tensors.a, &tensors.output));
        attempt!(rules::shape(Some(self.output_shape()), &tensors.output));
        // The last element lies within the input, so all do.
        let Shape { h, w, c } = tensors.a.shape;
        let [y, x, z] = self.first;
        let mut last = [y as u64, x as u64, z as u64, 0];
        let mut index = 0;
        while let Some(Digit { extent, axis, stride }) = Digit::read(self.digits, index) {
            attempt!(rules::demand(axis < 3 && extent > 0, Fault::Weights));
            let span = (extent as u64).saturating_sub(1).saturating_mul(stride as u64);
            last[(axis & 3) as usize] = last[(axis & 3) as usize].saturating_add(span);
            index += 1;
        }
        let [rows, columns, channels] = self.counts;
        let counted = rows as u64 + columns as u64 + channels as u64 == index as u64;
        let whole = self.digits.len() == index as usize * Digit::BYTES;
        let inside = last[0] < h as u64 && last[1] < w as u64 && last[2] < c as u64;
        rules::demand(inside && counted && whole, Fault::ShapeRule)
    }

    /// Rows that a whole number of output rows needs, where only the most significant digit of a row moves along rows.
    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        let (mut each, mut stride, mut extent) = (1, 0, 1u32);
        let mut index = 0;
        while let Some(digit) = Digit::read(self.digits, index) {
            let span = digit.extent.saturating_sub(1).saturating_mul(digit.stride);
            match (index < self.counts[0], digit.axis == 0) {
                (true, true) if index == 0 => stride = digit.stride,
                (true, true) => return Reach::WHOLE,
                (true, false) if index > 0 => each = digit.extent.saturating_mul(each),
                (false, true) => extent = extent.saturating_add(span),
                _ => {}
            }
            index += 1;
        }
        Reach::Blocks { each, stride, first: self.first[0], extent }
    }

    without!(scratch_len, in_place, window_mut, macs);

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [self.digits, &[]]
    }

    /// Moves on from `at` in the input by what `position` has for its digits from `first` on.
    fn advance(&self, at: &mut [u32; 3], first: u32, count: u32, mut position: u32) {
        for index in (first..first.wrapping_add(count)).rev() {
            let Some(Digit { extent, axis, stride }) = Digit::read(self.digits, index) else { return };
            let value = position.checked_rem(extent).unwrap_or_default();
            position = position.checked_div(extent).unwrap_or_default();
            if let Some(at) = at.get_mut(axis as usize) {
                *at = at.wrapping_add(value.wrapping_mul(stride));
            }
        }
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let [vertical, horizontal, deep] = self.counts;
        let before = vertical.wrapping_add(horizontal);
        if self.digits.len() / Digit::BYTES < before.wrapping_add(deep) as usize {
            return io.broken();
        }
        // Channels that stay side by side.
        let innermost = deep.checked_sub(1).and_then(|last| Digit::read(self.digits, before.wrapping_add(last)));
        let run = match innermost {
            Some(Digit { extent, axis: 2, stride: 1 }) => extent,
            _ => 1,
        };
        let size = output.dtype.size();
        for y in rows.start..rows.end.min(output.shape.h) {
            let mut row = self.first;
            self.advance(&mut row, 0, vertical, y);
            for x in 0..output.shape.w {
                let (mut pixel, to) = (row, output.pixels(y, x, 1));
                self.advance(&mut pixel, vertical, horizontal, x);
                for c in (0..output.shape.c).step_by((run as usize).max(1)) {
                    let mut at = pixel;
                    self.advance(&mut at, before, deep, c);
                    let [from_y, from_x, channel] = at;
                    let bytes = |channel: u32| channel.wrapping_mul(size);
                    let from = input.pixels(from_y, from_x, 1).part(bytes(channel), bytes(run));
                    let (from, to) = io.memory.read_write(from, to.part(bytes(c), bytes(run)));
                    copy(to, from);
                }
            }
        }
    }
}
