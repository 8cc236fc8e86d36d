//! The average over a window of each channel.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{windowed, without};
use super::{Io, Operands, pooling, rules};
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::quant::Clamp;
use crate::tensor::Shape;
use crate::window::Window;
use crate::uses::Linked;

/// The average over a window, rounded half away from zero; positions outside the input are not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2d {
    /// Kernel, stride and padding.
    pub window: Window,
    /// The activation range.
    pub clamp: Clamp,
}

encoding!(AveragePool2d { window: window, clamp: clamp });

impl AveragePool2d {
    /// The shape rule, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window) -> Option<Shape> {
        rules::pooled(input, window)
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        rules::check_pool(tensors, &self.window, self.clamp)
    }

    windowed!();
    without!(scratch_len, macs, constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        pooling::sums::<N, B>(io, &self.window, rows, &N::average(self.clamp));
    }
}
