//! The maximum over a window of each channel.

use core::ops::Range;

use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::kernels::algorithms::Map;
use crate::kernels::algorithms::pool::MaxPool;
use crate::quant::Clamp;
use crate::tensor::{DType, Shape};
use crate::window::{Reach, Window};
use crate::uses::Linked;

/// The maximum over a window; positions outside the input do not take part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool2d {
    /// Kernel, stride and padding.
    pub window: Window,
    /// The activation range.
    pub clamp: Clamp,
}

impl MaxPool2d {
    /// The shape rule, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window) -> Option<Shape> {
        params::pooled(input, window)
    }

    pub(super) const fn decode(block: Block<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            window: attempt!(params::window(&block, 0)),
            clamp: attempt!(params::clamp(&block, params::WINDOW_WORDS)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words(params::window_words(&self.window));
        writer.words([self.clamp.min as u32, self.clamp.max as u32]);
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        params::check_pool(tensors, &self.window, self.clamp)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        if !tensors.a.dtype.same(DType::I8) {
            return 0;
        }
        let len = self.pool(tensors).scratch_bytes();
        if len > u32::MAX as usize { u32::MAX } else { len as u32 }
    }

    const fn pool(&self, tensors: &Operands) -> MaxPool {
        MaxPool {
            input: Map::of(&tensors.a),
            output: Map::of(&tensors.output),
            window: self.window,
            low: self.clamp.min as i8,
            high: self.clamp.max as i8,
        }
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::of(&self.window)
    }

    pub(super) const fn macs(&self, _tensors: &Operands) -> u64 {
        0
    }

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let pool = self.pool(&io.tensors);
        let Operands { a: input, output, .. } = io.tensors;
        let rows = rows.start as usize..rows.end.min(output.shape.h) as usize;
        let (input, output, scratch) = io.memory.read_write2(input.region(), output.region(), io.scratch);
        pool.run::<B>(input, output, scratch, rows);
    }
}
