//! The fully connected layer.

use core::ops::Range;

use super::encoding::encoding;
use super::matmul::Matrix;
use super::members::without;
use super::patch::contiguous;
use super::{Encoding, Io, Operands, Weights, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::memory::Element;
use crate::numbers::{Halfwords, Numbers};
use crate::quant::{Channels, Clamp, OutputStage, Rounding};
use crate::sys::cast;
use crate::sys::shapes::paired_fit;
use crate::tensor::{DType, Shape};
use crate::uses::Linked;
use crate::window::Reach;

/// The fully connected layer: every unit sees every element of the input, flattened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense<'m> {
    /// How scaled sums are rounded.
    pub rounding: Rounding,
    /// The activation range.
    pub clamp: Clamp,
    /// Weights, `[unit][input element]`.
    pub weights: Weights<'m>,
    /// Folded bias and scale of each unit.
    pub channels: Channels<'m>,
}

encoding!(Dense<'m> {
    [direct] rounding: weighted_rounding,
    clamp: clamp,
    weights: weights,
    channels: channels,
});

impl<'m> Dense<'m> {
    /// The shape rule: a vector of `units` elements.
    pub const fn output_shape(_input: Shape, units: u32) -> Shape {
        Shape::vector(units)
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        attempt!(rules::weighted(tensors, self.rounding, self.weights, &self.channels, true));
        attempt!(rules::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        let units = rules::outputs(&self.channels, output);
        attempt!(rules::shape(Some(Self::output_shape(input.shape, units)), output));
        if self.weights.is_paired() {
            attempt!(rules::of_type(input, DType::I8));
            attempt!(rules::demand(matches!(self.rounding, Rounding::Double), Fault::Rounding));
            let (inputs, units, bytes) = (input.shape.len() as usize, units as usize, self.weights.bytes.len());
            let fits = bytes.is_multiple_of(4) && paired_fit(inputs, bytes / 4, units, units);
            return rules::demand(fits, Fault::Weights);
        }
        rules::demand(self.weights.has_rows(units as u64, input.shape.len() as u64, input.dtype), Fault::Weights)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        if tensors.a.is_contiguous() { 0 } else { tensors.a.shape.len().saturating_mul(tensors.a.dtype.size()) }
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::WHOLE
    }

    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        tensors.a.shape.len() as u64 * tensors.output.shape.len() as u64
    }

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [cast::as_u8(self.weights.bytes), self.channels.bytes()]
    }

    without!(in_place, window_mut);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        if rows.is_empty() {
            return;
        }
        let Operands { a: input, output, .. } = io.tensors;
        let from = if L::SET.gather { contiguous(io, &input) } else { input.region() };
        let stage = OutputStage { rounding: self.rounding, zero_point: output.quant.zero_point, clamp: self.clamp };
        let k = input.shape.len() as usize;
        let (input, out) = io.memory.read_write(from, output.region());
        if L::SET.encodings.has(Encoding::Paired.code()) && self.weights.is_paired() {
            let stage = N::stage(stage, self.channels);
            N::dense_pairs::<B>(&stage, N::Element::of(input), self.weights.words(), N::Element::of_mut(out));
        } else if self.weights.are_halfwords::<N, L>() {
            self.product::<Halfwords, B, L, false>(stage, k, input, out);
        } else if self.weights.are_narrow::<N, L>() {
            self.product::<N, B, L, true>(stage, k, input, out);
        } else {
            self.product::<N, B, L, false>(stage, k, input, out);
        }
    }

    fn product<N: Numbers, B: Backend, L: Linked, const NARROW: bool>(
        &self,
        stage: OutputStage,
        k: usize,
        input: &[i8],
        out: &mut [i8],
    ) {
        let weights = Matrix::<N, NARROW>::new(self.weights, self.channels, stage, k);
        weights.one::<B, L>(N::Element::of(input), N::Element::of_mut(out));
    }
}
