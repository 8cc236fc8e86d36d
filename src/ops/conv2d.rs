//! 2-D convolution with per-channel weights and a fused activation.

use core::ops::Range;

use super::encoding::encoding;
use super::matmul::Matrix;
use super::members::windowed;
use super::patch::gather;
use super::{Encoding, Io, Operands, Weights, lanes, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::internal::internal;
use crate::kernels::Backend;
pub use crate::kernels::algorithms::ConvAlgorithm;
use crate::kernels::algorithms::{Layer, conv_gemm};
use crate::memory::{Element, Region};
use crate::numbers::{Halfwords, Numbers};
use crate::quant::{Channels, Clamp, OutputStage, Rounding};
use crate::sys::cast;
use crate::tensor::{DType, Shape, Tensor};
use crate::uses::Linked;
use crate::window::Window;

/// 2-D convolution: `clamp(requantize(bias + sum of weight * input) + zero point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2d<'m> {
    /// How it is computed.
    pub algorithm: ConvAlgorithm,
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

encoding!(Conv2d<'m> {
    algorithm: conv_algorithm,
    window: window,
    [undilated] rounding: weighted_rounding,
    clamp: clamp,
    weights: weights,
    channels: channels,
});

impl<'m> Conv2d<'m> {
    /// The shape rule: the output of `channels` channels for `input`, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window, channels: u32) -> Option<Shape> {
        match window.output([input.h, input.w]) {
            Some([h, w]) => Some(Shape::new(h, w, channels)),
            None => None,
        }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        let packing = self.algorithm.packing();
        attempt!(rules::weighted(tensors, self.rounding, self.weights, &self.channels, packing.is_none()));
        attempt!(rules::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        let outputs = rules::outputs(&self.channels, output);
        attempt!(rules::shape(Self::output_shape(input.shape, &self.window, outputs), output));
        let Some(packing) = packing else {
            let fits = self.weights.has_rows(outputs as u64, self.patch_len(input), input.dtype);
            return rules::demand(fits, Fault::Weights);
        };
        // Packed weights hold constants for double rounding.
        attempt!(rules::demand(matches!(self.rounding, Rounding::Double), Fault::Rounding));
        let layer = self.layer(tensors);
        attempt!(rules::demand(packing.supports(&layer), Fault::Algorithm));
        let bytes = match self.weights.encoding {
            Encoding::Plain => packing.packed_bytes(&layer),
            Encoding::Halfwords | Encoding::Paired => return Err(Fault::Algorithm),
            narrow => match packing.narrow(&layer, narrow) {
                Some(size) => size.bytes(),
                None => return Err(Fault::Algorithm),
            },
        };
        rules::demand(self.weights.bytes.len() == bytes, Fault::Weights)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        let Operands { a: input, output, .. } = tensors;
        let len = match self.algorithm.packing() {
            Some(packing) => {
                let layer = self.layer(tensors);
                let widened = match packing.narrow(&layer, self.weights.encoding) {
                    Some(size) if self.weights.encoding.is_narrow() => size.scratch_bytes(),
                    _ => 0,
                };
                packing.scratch_bytes(&layer).saturating_add(widened) as u64
            }
            None if takes_lanes(output) => lanes::BYTES * self.patch_len(input),
            None if self.reads_in_place(tensors) => 0,
            // Two patches of bytes, or one of 16-bit elements.
            None => 2 * self.patch_len(input),
        };
        if len > u32::MAX as u64 { u32::MAX } else { len as u32 }
    }

    windowed!();

    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        self.patch_len(&tensors.a).saturating_mul(tensors.output.shape.len() as u64)
    }

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [cast::as_u8(self.weights.bytes), self.channels.bytes()]
    }

    /// Elements under the window.
    pub(super) const fn patch_len(&self, input: &Tensor) -> u64 {
        self.window.taps_len() as u64 * input.shape.c as u64
    }

    internal! {
        /// Whether packed weights ask for the reference requantization.
        const fn is_exact(&self) -> bool {
            use ConvAlgorithm::{Gemm8, Gemm16, GemmBytes};
            let palette = self.weights.encoding.palette_words() * 4;
            matches!(self.algorithm, Gemm8 | Gemm16 | GemmBytes)
                && matches!(self.weights.bytes.split_at_checked(palette),
                    Some((_, [flags, ..])) if *flags as u32 & conv_gemm::EXACT != 0)
        }
    }

    /// Whether every patch lies in the input as it is, one stretch of bytes: then nothing is gathered.
    const fn reads_in_place(&self, tensors: &Operands) -> bool {
        let (input, window) = (&tensors.a, &self.window);
        let [rows, columns] = window.kernel;
        let one_stretch = window.taps_len() == 1 || (input.is_dense() && (rows == 1 || columns == input.shape.w));
        one_stretch && !window.is_padded()
    }

    /// The layer as the algorithms see it.
    pub const fn layer(&self, tensors: &Operands) -> Layer {
        Layer::of(&self.window, self.clamp, &tensors.a, &tensors.output)
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        match self.algorithm.packing() {
            None if !L::SET.convolutions.has(ConvAlgorithm::Direct.id()) => io.broken(),
            None if matches!(N::DTYPE, DType::F16) && takes_lanes(&output) => {
                lanes::run::<B>(self, io, rows);
            }
            None if self.weights.are_halfwords::<N, L>() => self.run_direct::<Halfwords, B, L, false>(io, rows),
            None if self.weights.are_narrow::<N, L>() => self.run_direct::<N, B, L, true>(io, rows),
            None => self.run_direct::<N, B, L, false>(io, rows),
            Some(packing) => {
                let layer = self.layer(&io.tensors);
                let rows = rows.start as usize..rows.end.min(output.shape.h) as usize;
                let (input, output, scratch) = io.memory.read_write2(input.region(), output.region(), io.scratch);
                let scratch = cast::i8_as_words_mut(scratch);
                let done = if self.weights.are_narrow::<N, L>() {
                    let weights = self.weights.narrow();
                    packing.run_narrow::<B, L>(&layer, weights, self.channels, input, output, scratch, rows)
                } else {
                    packing.run::<B, L>(&layer, self.weights.words(), input, output, scratch, rows)
                };
                if done.is_none() {
                    io.broken();
                }
            }
        }
    }

    fn run_direct<N: Numbers, B: Backend, L: Linked, const NARROW: bool>(
        &self,
        io: &mut Io<'_, '_>,
        rows: Range<u32>,
    ) {
        let Operands { a: input, output, .. } = io.tensors;
        let stage = OutputStage { rounding: self.rounding, zero_point: output.quant.zero_point, clamp: self.clamp };
        let weights = Matrix::<N, NARROW>::new(self.weights, self.channels, stage, self.patch_len(&input) as usize);
        let bytes = (self.patch_len(&input) as u32).wrapping_mul(input.dtype.size());
        let in_place = self.reads_in_place(&io.tensors);
        for y in rows.start..rows.end.min(output.shape.h) {
            let mut x = 0;
            while x < output.shape.w {
                let pixels = N::PATCHES.min(output.shape.w.wrapping_sub(x));
                let (patches, pitch) = if in_place {
                    self.patches_in(&input, y, x, pixels, bytes)
                } else {
                    for pixel in 0..pixels {
                        let patch = io.scratch(pixel.wrapping_mul(bytes), bytes);
                        let at = (y, x.wrapping_add(pixel));
                        gather(io.memory, &input, &self.window, input.quant.zero_point as i8, at, patch);
                    }
                    (io.scratch(0, bytes.wrapping_mul(pixels)), bytes)
                };
                let (patches, out) = io.memory.read_write(patches, output.pixels(y, x, pixels));
                if N::PATCHES == 2 && pixels == 2 {
                    // Where nothing is gathered, neighboring patches may share elements.
                    let second = patches.get(pitch as usize..).unwrap_or_default();
                    let (out, next) = out.split_at_mut_checked(output.place.pitch as usize).unwrap_or_default();
                    let out = out.get_mut(..output.pixel_bytes() as usize).unwrap_or_default();
                    let outs = [N::Element::of_mut(out), N::Element::of_mut(next)];
                    weights.two::<B, L>([patches, second].map(N::Element::of), outs);
                } else {
                    weights.one::<B, L>(N::Element::of(patches), N::Element::of_mut(out));
                }
                x = x.wrapping_add(pixels);
            }
        }
    }

    /// The stretch of the input that holds the patches, of `bytes` bytes, of `pixels` output pixels from `(y, x)`, and the
    /// bytes from one patch to the next.
    fn patches_in(&self, input: &Tensor, y: u32, x: u32, pixels: u32, bytes: u32) -> (Region, u32) {
        let [down, right] = self.window.stride;
        let pitch = right.wrapping_mul(input.place.pitch);
        let first = input.slot(y.wrapping_mul(down)).wrapping_mul(input.shape.w).wrapping_add(x.wrapping_mul(right));
        let len = pixels.saturating_sub(1).wrapping_mul(pitch).wrapping_add(bytes);
        (input.region().part(first.wrapping_mul(input.place.pitch), len), pitch)
    }
}

/// Whether a convolution computes several pixels of `output` at a time, a lane for each.
const fn takes_lanes(output: &Tensor) -> bool {
    output.dtype.same(DType::F16) && output.shape.w > 1
}
