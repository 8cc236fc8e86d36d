//! Depthwise convolution: each input channel is convolved by itself, `multiplier` times.

use core::ops::Range;

use super::encoding::encoding;
use super::members::windowed;
use super::patch::gather;
use super::{Encoding, Io, Operands, Weights, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::algorithms::{Layer, depthwise as packed, depthwise_rows, narrow};
use crate::kernels::{BLOCK, Backend};
use crate::memory::Element;
use crate::numbers::{Halfwords, Numbers};
use crate::quant::{Channels, Clamp, OutputStage, Rounding};
use crate::sys::cast;
use crate::tensor::{Shape, Tensor};
use crate::uses::Linked;
use crate::window::Window;

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
    /// 3x3, a row of four channels at a time: [`depthwise_rows`].
    Rows,
}

impl DepthwiseAlgorithm {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            DepthwiseAlgorithm::Direct => 0,
            DepthwiseAlgorithm::Packed => 1,
            DepthwiseAlgorithm::Rows => 2,
        }
    }

    /// The algorithm of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(DepthwiseAlgorithm::Direct),
            1 => Some(DepthwiseAlgorithm::Packed),
            2 => Some(DepthwiseAlgorithm::Rows),
            _ => None,
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
    pub weights: Weights<'m>,
    /// Folded bias and scale of each output channel.
    pub channels: Channels<'m>,
}

encoding!(DepthwiseConv2d<'m> {
    algorithm: depthwise_algorithm,
    window: window,
    [undilated] rounding: weighted_rounding,
    clamp: clamp,
    weights: weights,
    channels: channels,
});

impl<'m> DepthwiseConv2d<'m> {
    /// The shape rule: `multiplier` output channels for each input channel, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window, multiplier: u32) -> Option<Shape> {
        match window.output([input.h, input.w]) {
            Some([h, w]) => Some(Shape::new(h, w, input.c.saturating_mul(multiplier))),
            None => None,
        }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        let direct = matches!(self.algorithm, DepthwiseAlgorithm::Direct);
        attempt!(rules::weighted(tensors, self.rounding, self.weights, &self.channels, direct));
        attempt!(rules::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        let outputs = rules::outputs(&self.channels, output);
        attempt!(rules::demand(input.shape.c != 0 && outputs.is_multiple_of(input.shape.c), Fault::ShapeRule));
        attempt!(rules::demand(outputs == output.shape.c, Fault::ShapeRule));
        attempt!(rules::shape(Self::output_shape(input.shape, &self.window, multiplier(tensors)), output));
        if direct {
            let fits = self.weights.has_rows(self.window.taps_len() as u64, output.shape.c as u64, input.dtype);
            return rules::demand(fits, Fault::Weights);
        }
        // Packed weights hold constants for double rounding.
        attempt!(rules::demand(matches!(self.rounding, Rounding::Double), Fault::Rounding));
        let layer = self.layer(tensors);
        let (supported, words) = match (self.algorithm, self.weights.encoding) {
            (DepthwiseAlgorithm::Rows, Encoding::Plain) => {
                (depthwise_rows::supports(&layer), depthwise_rows::packed_words(&layer))
            }
            (DepthwiseAlgorithm::Rows, _) | (_, Encoding::Halfwords | Encoding::Paired) => return Err(Fault::Algorithm),
            (_, Encoding::Plain) => (packed::supports(&layer), packed::packed_words(&layer)),
            (_, encoding) => (packed::supports(&layer), narrow::depthwise(&layer, encoding).words()),
        };
        attempt!(rules::demand(supported, Fault::Algorithm));
        rules::demand(self.weights.bytes.len() == words.saturating_mul(4), Fault::Weights)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        let taps = self.window.taps_len() as u64;
        let widened = match self.algorithm {
            _ if !self.weights.encoding.is_narrow() => 0,
            DepthwiseAlgorithm::Direct => taps * row_bytes(&tensors.output) as u64,
            _ => narrow::depthwise(&self.layer(tensors), self.weights.encoding).scratch_bytes() as u64,
        };
        let len = match self.algorithm {
            DepthwiseAlgorithm::Direct => tensors.a.pixel_bytes() as u64 * taps,
            DepthwiseAlgorithm::Packed => packed::scratch_words(&self.layer(tensors)) as u64 * 4,
            DepthwiseAlgorithm::Rows => depthwise_rows::scratch_words(&self.layer(tensors)) as u64 * 4,
        };
        let len = len.saturating_add(widened);
        if len > u32::MAX as u64 { u32::MAX } else { len as u32 }
    }

    const fn layer(&self, tensors: &Operands) -> Layer {
        Layer::of(&self.window, self.clamp, &tensors.a, &tensors.output)
    }

    windowed!();

    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        (self.window.taps_len() as u64).saturating_mul(tensors.output.shape.len() as u64)
    }

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [cast::as_u8(self.weights.bytes), self.channels.bytes()]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        match self.algorithm {
            algorithm if !L::SET.depthwise.has(algorithm.code()) => io.broken(),
            DepthwiseAlgorithm::Direct if self.weights.are_halfwords::<N, L>() => {
                self.run_direct::<Halfwords, L, false>(io, rows);
            }
            DepthwiseAlgorithm::Direct if self.weights.are_narrow::<N, L>() => self.run_direct::<N, L, true>(io, rows),
            DepthwiseAlgorithm::Direct => self.run_direct::<N, L, false>(io, rows),
            DepthwiseAlgorithm::Packed | DepthwiseAlgorithm::Rows => {
                let Operands { a: input, output, .. } = io.tensors;
                let layer = self.layer(&io.tensors);
                let rows = rows.start as usize..rows.end.min(output.shape.h) as usize;
                let (input, output, scratch) = io.memory.read_write2(input.region(), output.region(), io.scratch);
                let scratch = cast::i8_as_words_mut(scratch);
                let weights = self.weights.words();
                let done = if self.weights.are_narrow::<N, L>() {
                    let weights = self.weights.narrow();
                    narrow::run_depthwise::<B, L>(&layer, weights, self.channels, input, output, scratch, rows)
                } else if matches!(self.algorithm, DepthwiseAlgorithm::Rows) && L::SET.depthwise.has(DepthwiseAlgorithm::Rows.code()) {
                    depthwise_rows::run::<B>(&layer, weights, input, output, scratch, rows)
                } else if L::SET.depthwise.has(DepthwiseAlgorithm::Packed.code()) {
                    packed::run::<B>(&layer, weights, input, output, scratch, rows)
                } else {
                    None
                };
                if done.is_none() {
                    io.broken();
                }
            }
        }
    }

    fn run_direct<N: Numbers, L: Linked, const NARROW: bool>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let stage = OutputStage { rounding: self.rounding, zero_point: output.quant.zero_point, clamp: self.clamp };
        let stage = N::stage(stage, self.channels);
        let taps = self.window.taps_len();
        let row = if NARROW { row_bytes(&output) } else { output.shape.c };
        let pitches = [input.shape.c as usize, row as usize];
        let widened = io.scratch(0, if NARROW { taps.saturating_mul(row) } else { 0 });
        if NARROW {
            let (weights, words) = (self.weights.narrow(), self.weights.encoding.words(output.shape.c as usize));
            let rows = io.memory.write(widened).chunks_mut(row.max(1) as usize);
            for (tap, row) in rows.enumerate() {
                weights.from(tap.wrapping_mul(words)).widen::<L>(cast::i8_as_words_mut(row));
            }
        }
        let multiplier = multiplier(&io.tensors) as usize;
        // Channels side by side, or one by one when several share their input channel.
        let size = if multiplier == 1 { BLOCK } else { 1 };
        let patch = io.scratch(widened.len, taps.saturating_mul(input.pixel_bytes()));
        for y in rows.start..rows.end.min(output.shape.h) {
            for x in 0..output.shape.w {
                gather(io.memory, &input, &self.window, input.quant.zero_point as i8, (y, x), patch);
                let out = output.pixels(y, x, 1);
                let (patch, out, weights) = if NARROW {
                    let (patch, out, widened) = io.memory.read_write2(patch, out, widened);
                    (patch, out, &*widened)
                } else {
                    let (patch, out) = io.memory.read_write(patch, out);
                    (patch, out, self.weights.bytes)
                };
                let (patch, weights) = (N::Element::of(patch), N::Weight::of(weights));
                for (block, out) in N::Element::of_mut(out).chunks_mut(size).enumerate() {
                    let first = block.wrapping_mul(size);
                    let patch = patch.get(first.checked_div(multiplier).unwrap_or(0)..).unwrap_or_default();
                    let mut sums = [N::Sum::default(); BLOCK];
                    let sums = sums.get_mut(..out.len()).unwrap_or_default();
                    N::start(&stage, first, sums);
                    N::multiply_taps(patch, weights.get(first..).unwrap_or_default(), pitches, sums);
                    N::finish(&stage, first, sums, out);
                }
            }
        }
    }
}

/// Output channels for each input channel.
const fn multiplier(tensors: &Operands) -> u32 {
    match tensors.output.shape.c.checked_div(tensors.a.shape.c) {
        Some(multiplier) => multiplier,
        None => 0,
    }
}

/// Bytes of a row of narrow weights that are widened.
const fn row_bytes(output: &Tensor) -> u32 {
    output.shape.c.next_multiple_of(8)
}
