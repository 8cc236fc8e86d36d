//! The fully connected layer.

use core::ops::Range;

use super::matmul::Weights;
use super::patch::gather;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::quant::{self, Channels, Clamp, OutputStage, Rounding};
use crate::tensor::Shape;
use crate::uses::Linked;
use crate::window::{Reach, Window};

/// The fully connected layer: every unit sees every element of the input, flattened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense<'m> {
    /// How scaled sums are rounded.
    pub rounding: Rounding,
    /// The activation range.
    pub clamp: Clamp,
    /// Weights, `[unit][input element]`.
    pub weights: &'m [i8],
    /// Folded bias and scale of each unit.
    pub channels: Channels<'m>,
}

impl<'m> Dense<'m> {
    /// The shape rule: a vector of `units` elements.
    pub const fn output_shape(_input: Shape, units: u32) -> Shape {
        Shape::vector(units)
    }

    pub(super) const fn decode(block: Block<'m>) -> Result<Self, ModelError> {
        attempt!(params::only_algorithm(&block, 0));
        Ok(Self {
            rounding: attempt!(params::weighted_rounding(&block, 1)),
            clamp: attempt!(params::clamp(&block, 2)),
            weights: quant::weights(attempt!(block.data(4, 4))),
            channels: attempt!(params::channels(&block, 6)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([0, self.rounding.code(), self.clamp.min as u32, self.clamp.max as u32]);
        writer.data(crate::sys::cast::as_u8(self.weights));
        writer.data(self.channels.bytes());
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(params::weighted(tensors, self.rounding, self.weights, &self.channels, true));
        attempt!(params::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        let units = params::outputs(&self.channels, output);
        let shape = Self::output_shape(input.shape, units);
        attempt!(params::demand(shape.same(output.shape), Fault::ShapeRule));
        let len = units as u64 * input.shape.len() as u64 * params::weight_size(input.dtype);
        params::demand(self.weights.len() as u64 == len, Fault::Weights)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        if tensors.a.is_contiguous() { 0 } else { tensors.a.shape.len().saturating_mul(tensors.a.dtype.size()) }
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::WHOLE
    }

    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        tensors.a.shape.len() as u64 * tensors.output.shape.len() as u64
    }

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [crate::sys::cast::as_u8(self.weights), self.channels.bytes()]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        if rows.is_empty() {
            return;
        }
        let Operands { a: input, output, .. } = io.tensors;
        let mut from = input.region();
        if L::SET.gather && !input.is_contiguous() {
            from = io.scratch.part(0, input.shape.len());
            let whole = Window::global([input.shape.h, input.shape.w]);
            gather(io.memory, &input, &whole, 0, (0, 0), from);
        }
        let zero_point = output.quant.zero_point;
        let stage = OutputStage { rounding: self.rounding, zero_point, clamp: self.clamp };
        let weights = Weights { weights: self.weights, channels: self.channels, k: input.shape.len() as usize };
        let (input, out) = io.memory.read_write(from, output.region());
        weights.one::<B>(input, out, &stage);
    }
}
