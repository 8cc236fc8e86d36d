//! Depthwise convolution: each input channel is convolved by itself, `multiplier` times.

use core::ops::Range;

use super::patch::gather;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::algorithms::{Layer, depthwise as packed};
use crate::sys::cast;
use crate::kernels::{BLOCK, Backend};
use crate::quant::{self, Channel, Channels, Clamp, OutputStage, Rounding};
use crate::tensor::{DType, Shape};
use crate::uses::Linked;
use crate::window::{Reach, Window};

/// How a depthwise convolution is computed, and with it how its weights are packed. Both give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DepthwiseAlgorithm {
    /// Pixel by pixel, with weights `[kernel row][kernel column][output channel]`.
    #[default]
    Direct,
    /// Two pixels and four channels at a time, one output channel for each input channel:
    /// [`packed`](crate::kernels::algorithms::depthwise).
    Packed,
}

impl DepthwiseAlgorithm {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            DepthwiseAlgorithm::Direct => 0,
            DepthwiseAlgorithm::Packed => 1,
        }
    }
}

/// Depthwise convolution. Output channel `i * multiplier + j` sees input channel `i` only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthwiseConv2d<'m> {
    /// How it is computed.
    pub algorithm: DepthwiseAlgorithm,
    /// Kernel, stride and padding.
    pub window: Window,
    /// How scaled sums are rounded.
    pub rounding: Rounding,
    /// The activation range.
    pub clamp: Clamp,
    /// Weights as the algorithm packs them.
    pub weights: &'m [i8],
    /// Folded bias and scale of each output channel.
    pub channels: Channels<'m>,
}

impl<'m> DepthwiseConv2d<'m> {
    /// The shape rule: `multiplier` output channels for each input channel, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window, multiplier: u32) -> Option<Shape> {
        match window.output([input.h, input.w]) {
            Some([h, w]) => Some(Shape::new(h, w, input.c.saturating_mul(multiplier))),
            None => None,
        }
    }

    pub(super) const fn decode(block: Block<'m>) -> Result<Self, ModelError> {
        let algorithm = match attempt!(block.word(0)) {
            0 => DepthwiseAlgorithm::Direct,
            1 => DepthwiseAlgorithm::Packed,
            _ => return Err(block.error(0, Fault::Algorithm)),
        };
        attempt!(params::no_dilation(&block, 9));
        Ok(Self {
            algorithm,
            window: attempt!(params::window(&block, 1)),
            rounding: attempt!(params::weighted_rounding(&block, 11)),
            clamp: attempt!(params::clamp(&block, 12)),
            weights: quant::weights(attempt!(block.data(14, 4))),
            channels: attempt!(params::channels(&block, 16)),
        })
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, writer: &mut crate::format::Writer) {
        writer.words([matches!(self.algorithm, DepthwiseAlgorithm::Packed) as u32]);
        writer.words(params::window_words(&self.window));
        writer.words([1, 1, self.rounding.code(), self.clamp.min as u32, self.clamp.max as u32]);
        writer.data(crate::sys::cast::as_u8(self.weights));
        writer.data(self.channels.bytes());
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        let direct = matches!(self.algorithm, DepthwiseAlgorithm::Direct);
        attempt!(params::weighted(tensors, self.rounding, self.weights, &self.channels, direct));
        let outputs = params::outputs(&self.channels, output);
        attempt!(params::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        if input.shape.c == 0 || !outputs.is_multiple_of(input.shape.c) {
            return Err(Fault::ShapeRule);
        }
        match Self::output_shape(input.shape, &self.window, multiplier(tensors)) {
            Some(shape) if shape.same(output.shape) && shape.c == outputs => {}
            _ => return Err(Fault::ShapeRule),
        }
        if matches!(self.algorithm, DepthwiseAlgorithm::Packed) {
            // Packed weights hold constants for double rounding.
            attempt!(params::demand(matches!(self.rounding, Rounding::Double), Fault::Rounding));
            let layer = Layer::of(&self.window, self.clamp, &tensors.a, &tensors.output);
            attempt!(params::demand(packed::supports(&layer), Fault::Algorithm));
            let len = packed::packed_words(&layer).saturating_mul(4);
            return params::demand(self.weights.len() == len, Fault::Weights);
        }
        let len = self.window.taps_len() as u64 * output.shape.c as u64 * params::weight_size(input.dtype);
        params::demand(self.weights.len() as u64 == len, Fault::Weights)
    }

    /// A patch, and of int8 elements, when there is more than one output channel for each input channel, a patch that
    /// repeats them.
    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        if matches!(self.algorithm, DepthwiseAlgorithm::Packed) {
            let layer = Layer::of(&self.window, self.clamp, &tensors.a, &tensors.output);
            let len = packed::scratch_words(&layer).saturating_mul(4);
            return if len > u32::MAX as usize { u32::MAX } else { len as u32 };
        }
        let (input, output) = (tensors.a.pixel_bytes() as u64, tensors.output.shape.c as u64);
        let repeated = if multiplier(tensors) == 1 || !tensors.a.dtype.same(DType::I8) { 0 } else { output };
        let len = (input + repeated) * self.window.taps_len() as u64;
        if len > u32::MAX as u64 { u32::MAX } else { len as u32 }
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::of(&self.window)
    }

    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        (self.window.taps_len() as u64).saturating_mul(tensors.output.shape.len() as u64)
    }

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [crate::sys::cast::as_u8(self.weights), self.channels.bytes()]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let is_packed = matches!(self.algorithm, DepthwiseAlgorithm::Packed);
        if is_packed && L::SET.depthwise.has(DepthwiseAlgorithm::Packed.code()) {
            let layer = Layer::of(&self.window, self.clamp, &input, &output);
            let rows = rows.start as usize..rows.end.min(output.shape.h) as usize;
            let (input, output, scratch) = io.memory.read_write2(input.region(), output.region(), io.scratch);
            let scratch = cast::i8_as_words_mut(scratch);
            packed::run::<B>(&layer, cast::i8_as_words(self.weights), input, output, scratch, rows);
            return;
        }
        if is_packed || !L::SET.depthwise.has(DepthwiseAlgorithm::Direct.code()) {
            return;
        }
        let zero_point = output.quant.zero_point;
        let stage = OutputStage { rounding: self.rounding, zero_point, clamp: self.clamp };
        let multiplier = multiplier(&io.tensors);
        let patch_len = self.window.taps_len().saturating_mul(input.shape.c);
        let gathered = io.scratch.part(0, patch_len);
        let repeated = io.scratch.part(patch_len, patch_len.saturating_mul(multiplier));
        for y in rows.start..rows.end.min(output.shape.h) {
            for x in 0..output.shape.w {
                gather(io.memory, &input, &self.window, input.quant.zero_point as i8, (y, x), gathered);
                let mut patch = gathered;
                if multiplier != 1 {
                    let (from, to) = io.memory.read_write(gathered, repeated);
                    for (to, &from) in to.chunks_mut((multiplier as usize).max(1)).zip(from) {
                        to.fill(from);
                    }
                    patch = repeated;
                }
                let (patch, out) = io.memory.read_write(patch, output.pixels(y, x, 1));
                self.pixel::<B>(patch, out, &stage);
            }
        }
    }

    /// All channels of one output pixel, from a patch of as many channels.
    fn pixel<B: Backend>(&self, patch: &[i8], out: &mut [i8], stage: &OutputStage) {
        let pitch = self.channels.len();
        let blocks = out.chunks_mut(BLOCK).zip(self.channels.entries().chunks(BLOCK));
        for (block, (out, channels)) in blocks.enumerate() {
            let at = block.wrapping_mul(BLOCK);
            let mut sums = [0; BLOCK];
            let sums = sums.get_mut(..out.len()).unwrap_or_default();
            let patch = patch.get(at..).unwrap_or_default();
            B::multiply_taps(patch, self.weights.get(at..).unwrap_or_default(), pitch, sums);
            for ((out, &mut sum), channel) in out.iter_mut().zip(sums).zip(channels) {
                *out = stage.apply(sum, Channel::from_bytes(channel));
            }
        }
    }
}

/// Output channels for each input channel.
pub(super) const fn multiplier(tensors: &Operands) -> u32 {
    match tensors.output.shape.c.checked_div(tensors.a.shape.c) {
        Some(multiplier) => multiplier,
        None => 0,
    }
}
