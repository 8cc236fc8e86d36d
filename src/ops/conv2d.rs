//! 2-D convolution with per-channel weights and a fused activation.

use core::ops::Range;

use super::matmul::Weights;
use super::patch::gather;
use super::{Io, Operands, float16, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
pub use crate::kernels::algorithms::ConvAlgorithm;
use crate::kernels::algorithms::{Layer, conv_gemm};
use crate::sys::cast;
use crate::memory::Region;
use crate::quant::{self, Channels, Clamp, OutputStage, Rounding};
use crate::tensor::{DType, Shape, Tensor};
use crate::uses::Linked;
use crate::window::{Reach, Window};

/// Elements under a window.
pub(super) const fn patch_len(window: &Window, inputs: u32) -> u64 {
    window.taps_len() as u64 * inputs as u64
}

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
    pub weights: &'m [i8],
    /// Folded bias and scale of each output channel.
    pub channels: Channels<'m>,
}

impl<'m> Conv2d<'m> {
    /// The shape rule: the output of `channels` channels for `input`, `None` when the window does not fit.
    pub const fn output_shape(input: Shape, window: &Window, channels: u32) -> Option<Shape> {
        match window.output([input.h, input.w]) {
            Some([h, w]) => Some(Shape::new(h, w, channels)),
            None => None,
        }
    }

    pub(super) const fn decode(block: Block<'m>) -> Result<Self, ModelError> {
        let Some(algorithm) = ConvAlgorithm::from_code(attempt!(block.word(0))) else {
            return Err(block.error(0, Fault::Algorithm));
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
        writer.words([self.algorithm.code()]);
        writer.words(params::window_words(&self.window));
        writer.words([1, 1, self.rounding.code(), self.clamp.min as u32, self.clamp.max as u32]);
        writer.data(crate::sys::cast::as_u8(self.weights));
        writer.data(self.channels.bytes());
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        let (input, output) = (&tensors.a, &tensors.output);
        let direct = matches!(self.algorithm, ConvAlgorithm::Direct);
        attempt!(params::weighted(tensors, self.rounding, self.weights, &self.channels, direct));
        attempt!(params::demand(self.clamp.is_valid(output.dtype), Fault::Clamp));
        let outputs = params::outputs(&self.channels, output);
        match Self::output_shape(input.shape, &self.window, outputs) {
            Some(shape) if shape.same(output.shape) => {}
            _ => return Err(Fault::ShapeRule),
        }
        if matches!(self.algorithm, ConvAlgorithm::Direct) {
            let len = outputs as u64 * patch_len(&self.window, input.shape.c) * params::weight_size(input.dtype);
            return params::demand(self.weights.len() as u64 == len, Fault::Weights);
        }
        // Packed weights hold constants for double rounding.
        attempt!(params::demand(matches!(self.rounding, Rounding::Double), Fault::Rounding));
        let layer = self.layer(tensors);
        attempt!(params::demand(self.algorithm.supports(&layer), Fault::Algorithm));
        params::demand(self.weights.len() == self.algorithm.packed_bytes(&layer), Fault::Weights)
    }

    pub(super) const fn scratch_len(&self, tensors: &Operands) -> u32 {
        match self.algorithm {
            ConvAlgorithm::Direct => {
                // Two patches of bytes, one of 16-bit elements, or what halves take.
                let bytes = if tensors.a.dtype.same(DType::F16) { float16::element_bytes(&tensors.output) } else { 2 };
                if bytes == 2 && self.reads_in_place(tensors) {
                    return 0;
                }
                let len = bytes * patch_len(&self.window, tensors.a.shape.c);
                if len > u32::MAX as u64 { u32::MAX } else { len as u32 }
            }
            algorithm => {
                let len = algorithm.scratch_bytes(&self.layer(tensors));
                if len > u32::MAX as usize { u32::MAX } else { len as u32 }
            }
        }
    }

    pub(super) const fn in_place(&self, _operand: u32) -> bool {
        false
    }

    pub(super) const fn reach(&self, _operand: u32) -> Reach {
        Reach::of(&self.window)
    }

    pub(super) const fn macs(&self, tensors: &Operands) -> u64 {
        patch_len(&self.window, tensors.a.shape.c).saturating_mul(tensors.output.shape.len() as u64)
    }

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [crate::sys::cast::as_u8(self.weights), self.channels.bytes()]
    }

    /// Whether packed weights ask for requantization by the book.
    pub(crate) const fn is_exact(&self) -> bool {
        use ConvAlgorithm::{Gemm8, Gemm16, GemmBytes};
        matches!(self.algorithm, Gemm8 | Gemm16 | GemmBytes)
            && matches!(self.weights.first(), Some(&flags) if flags as u32 & conv_gemm::EXACT != 0)
    }

    /// Whether every patch lies in the input as it is, one stretch of bytes: then nothing is gathered.
    pub(super) const fn reads_in_place(&self, tensors: &Operands) -> bool {
        let (input, window) = (&tensors.a, &self.window);
        let [rows, columns] = window.kernel;
        let one_stretch =
            window.taps_len() == 1 || (input.is_dense() && (rows == 1 || columns == input.shape.w));
        one_stretch && !window.is_padded()
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        match self.algorithm {
            ConvAlgorithm::Direct => {
                if L::SET.convolutions.has(ConvAlgorithm::Direct.id()) {
                    self.run_direct::<B>(io, rows);
                }
            }
            algorithm => {
                let Operands { a: input, output, .. } = io.tensors;
                let layer = self.layer(&io.tensors);
                let rows = rows.start as usize..rows.end.min(output.shape.h) as usize;
                let (input, output, scratch) =
                    io.memory.read_write2(input.region(), output.region(), io.scratch);
                let scratch = cast::i8_as_words_mut(scratch);
                algorithm.run::<B, L>(&layer, cast::i8_as_words(self.weights), input, output, scratch, rows);
            }
        }
    }

    /// The layer as the algorithms see it.
    pub const fn layer(&self, tensors: &Operands) -> Layer {
        Layer::of(&self.window, self.clamp, &tensors.a, &tensors.output)
    }

    fn run_direct<B: Backend>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a: input, output, .. } = io.tensors;
        let k = patch_len(&self.window, input.shape.c) as u32;
        let weights = Weights { weights: self.weights, channels: self.channels, k: k as usize };
        let zero_point = output.quant.zero_point;
        let stage = OutputStage { rounding: self.rounding, zero_point, clamp: self.clamp };
        let in_place = self.reads_in_place(&io.tensors);
        for y in rows.start..rows.end.min(output.shape.h) {
            let mut x = 0;
            while x < output.shape.w {
                let pixels = if output.shape.w - x >= 2 { 2 } else { 1 };
                let (patches, pitch) = if in_place {
                    self.patches_in(&input, y, x, pixels, k)
                } else {
                    for pixel in 0..pixels {
                        let patch = io.scratch.part(pixel.wrapping_mul(k), k);
                        let at = (y, x.wrapping_add(pixel));
                        gather(io.memory, &input, &self.window, input.quant.zero_point as i8, at, patch);
                    }
                    (io.scratch.part(0, k.wrapping_mul(pixels)), k)
                };
                let (patches, out) = io.memory.read_write(patches, output.pixels(y, x, pixels));
                let c = output.shape.c as usize;
                if pixels == 2 {
                    // Where nothing is gathered, neighboring patches may share elements.
                    let first = patches.get(..k as usize).unwrap_or_default();
                    let second = patches.get(pitch as usize..).unwrap_or_default();
                    let (out, next) = out.split_at_mut_checked(output.place.pitch as usize).unwrap_or_default();
                    let out = out.get_mut(..c).unwrap_or_default();
                    weights.two::<B>([first, second], [out, next], &stage);
                } else {
                    weights.one::<B>(patches, out, &stage);
                }
                x += pixels;
            }
        }
    }

    /// The stretch of the input that holds the patches, of `k` bytes, of `pixels` output pixels from `(y, x)`, and the
    /// bytes from one patch to the next.
    pub(super) fn patches_in(&self, input: &Tensor, y: u32, x: u32, pixels: u32, k: u32) -> (Region, u32) {
        let [down, right] = self.window.stride;
        let pitch = right.wrapping_mul(input.place.pitch);
        let first = input.slot(y.wrapping_mul(down)).wrapping_mul(input.shape.w).wrapping_add(x.wrapping_mul(right));
        let len = pixels.saturating_sub(1).wrapping_mul(pitch).wrapping_add(k);
        (input.region().part(first.wrapping_mul(input.place.pitch), len), pitch)
    }
}
