//! The maximum over a window of each channel.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{windowed, without};
use super::{Io, Operands, pooling, rules};
use crate::error::Fault;
use crate::kernels::Backend;
use crate::kernels::algorithms::Map;
use crate::kernels::algorithms::pool::MaxPool;
use crate::numbers::Numbers;
use crate::quant::Clamp;
use crate::tensor::{DType, Shape};
use crate::window::Window;
use crate::uses::Linked;

/// The maximum over a window; positions outside the input do not take part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool2d {
    /// Kernel, stride and padding.
    pub window: Window,
    /// The activation range.
    pub clamp: Clamp,
}

encoding!(MaxPool2d { window: window, clamp: clamp });

impl MaxPool2d {
    /// The shape rule, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window) -> Option<Shape> {
        rules::pooled(input, window)
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        rules::check_pool(tensors, &self.window, self.clamp)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        if !tensors.a.dtype.same(DType::I8) {
            return 0;
        }
        let len = self.pool(tensors).scratch_bytes();
        if len > u32::MAX as usize { u32::MAX } else { len as u32 }
    }

    /// The pool as the int8 algorithm sees it.
    const fn pool(&self, tensors: &Operands) -> MaxPool {
        MaxPool {
            input: Map::of(&tensors.a),
            output: Map::of(&tensors.output),
            window: self.window,
            low: self.clamp.min as i8,
            high: self.clamp.max as i8,
        }
    }

    windowed!();
    without!(macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        if !matches!(N::DTYPE, DType::I8) {
            return pooling::maxima::<N::Element>(io, &self.window, self.clamp, rows);
        }
        let pool = self.pool(&io.tensors);
        let Operands { a: input, output, .. } = io.tensors;
        let rows = rows.start as usize..rows.end.min(output.shape.h) as usize;
        let scratch = io.scratch(0, pool.scratch_bytes() as u32);
        let (input, output, scratch) = io.memory.read_write2(input.region(), output.region(), scratch);
        pool.run::<B>(input, output, scratch, rows);
    }
}
