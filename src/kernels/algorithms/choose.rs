//! The algorithms of a convolution by name: what each needs, what it costs, and which to take.

use core::ops::Range;

use super::conv_gemm::Width;
use super::conv_winograd2::When;
use super::{Layer, conv_gemm, conv_stride2, conv_winograd2, conv_winograd4};
use crate::kernels::blocks::Blocks;
use crate::uses::{Codes, Linked};

/// How a convolution is computed, and with it how its weights are packed. Every algorithm gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConvAlgorithm {
    /// The window's elements are gathered pixel by pixel and multiplied with the weights as they are,
    /// `[output channel][kernel row][kernel column][input channel]`.
    #[default]
    Direct,
    /// A matrix product, 2 pixels x 4 channels at a time, with weights of 8 bits: [`conv_gemm`].
    Gemm8,
    /// The same with weights of 16 bits.
    Gemm16,
    /// The same in bytes altogether: for cores with Helium.
    GemmBytes,
    /// 3x3 at stride 1: exact integer Winograd F(2x2, 3x3), [`conv_winograd2`].
    Winograd2,
    /// The same, with weights transformed in every inference over this many rows of tiles (1 to 255).
    Winograd2AtRunTime {
        /// Rows of tiles, of two output rows each, whose transformed inputs are kept at a time.
        tile_rows: u32,
    },
    /// 3x3 at stride 1: exact integer Winograd F(4x4, 3x3), [`conv_winograd4`].
    Winograd4,
    /// 3x3 at stride 2: exact Winograd, [`conv_stride2`].
    Stride2,
}

const _: () = {
    use ConvAlgorithm::*;
    let run_time = Winograd2AtRunTime { tile_rows: 1 };
    let all = [Direct, Gemm8, Gemm16, GemmBytes, Winograd2, run_time, Winograd4, Stride2];
    let (mut ids, mut at) = ([0; 8], 0);
    while at < ids.len() {
        ids[at] = all[at].id();
        at += 1;
    }
    assert!(Codes::distinct(&ids));
};

impl ConvAlgorithm {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            ConvAlgorithm::Direct => 0,
            ConvAlgorithm::Gemm8 => 1,
            ConvAlgorithm::Gemm16 => 2,
            ConvAlgorithm::Winograd2 => 3,
            ConvAlgorithm::Winograd2AtRunTime { tile_rows } => 4 | tile_rows << 8,
            ConvAlgorithm::Winograd4 => 5,
            ConvAlgorithm::Stride2 => 6,
            ConvAlgorithm::GemmBytes => 7,
        }
    }

    /// The code without the algorithm's parameters.
    pub const fn id(self) -> u32 {
        self.code() & 0xff
    }

    /// The algorithm of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        match (code & 0xff, code >> 8) {
            (0, 0) => Some(ConvAlgorithm::Direct),
            (1, 0) => Some(ConvAlgorithm::Gemm8),
            (2, 0) => Some(ConvAlgorithm::Gemm16),
            (3, 0) => Some(ConvAlgorithm::Winograd2),
            (4, tile_rows @ 1..=255) => Some(ConvAlgorithm::Winograd2AtRunTime { tile_rows }),
            (5, 0) => Some(ConvAlgorithm::Winograd4),
            (6, 0) => Some(ConvAlgorithm::Stride2),
            (7, 0) => Some(ConvAlgorithm::GemmBytes),
            _ => None,
        }
    }

    /// Output rows that are best computed together.
    pub const fn row_block(self) -> u32 {
        match self {
            ConvAlgorithm::Direct | ConvAlgorithm::Gemm8 | ConvAlgorithm::Gemm16 | ConvAlgorithm::GemmBytes => 1,
            ConvAlgorithm::Winograd2 | ConvAlgorithm::Stride2 => 2,
            ConvAlgorithm::Winograd2AtRunTime { tile_rows } => tile_rows.saturating_mul(2),
            ConvAlgorithm::Winograd4 => 4,
        }
    }

    /// Whether the algorithm can compute a layer, constants permitting.
    pub const fn supports(self, layer: &Layer) -> bool {
        match self {
            ConvAlgorithm::Direct => true,
            ConvAlgorithm::Gemm8 => conv_gemm::supports(layer, Width::Narrow),
            ConvAlgorithm::Gemm16 => conv_gemm::supports(layer, Width::Wide),
            ConvAlgorithm::GemmBytes => conv_gemm::supports(layer, Width::Bytes),
            ConvAlgorithm::Winograd2 | ConvAlgorithm::Winograd2AtRunTime { .. } => conv_winograd2::supports(layer),
            ConvAlgorithm::Winograd4 => conv_winograd4::supports(layer),
            ConvAlgorithm::Stride2 => conv_stride2::supports(layer),
        }
    }

    /// Bytes of the packed weights.
    pub const fn packed_bytes(self, layer: &Layer) -> usize {
        let words = match self {
            ConvAlgorithm::Direct => return layer.filter().saturating_mul(layer.output.c),
            ConvAlgorithm::Gemm8 => conv_gemm::packed_words(layer, Width::Narrow),
            ConvAlgorithm::Gemm16 => conv_gemm::packed_words(layer, Width::Wide),
            ConvAlgorithm::GemmBytes => conv_gemm::packed_words(layer, Width::Bytes),
            ConvAlgorithm::Winograd2 => conv_winograd2::packed_words(layer, When::Export),
            ConvAlgorithm::Winograd2AtRunTime { tile_rows } => {
                conv_winograd2::packed_words(layer, When::RunTime(tile_rows as usize))
            }
            ConvAlgorithm::Winograd4 => conv_winograd4::packed_words(layer),
            ConvAlgorithm::Stride2 => conv_stride2::packed_words(layer),
        };
        words.saturating_mul(4)
    }

    /// Bytes of scratch, [`ConvAlgorithm::Direct`]'s excepted, which its operator knows.
    pub const fn scratch_bytes(self, layer: &Layer) -> usize {
        let words = match self {
            ConvAlgorithm::Direct => 0,
            ConvAlgorithm::Gemm8 => conv_gemm::scratch_words(layer, Width::Narrow),
            ConvAlgorithm::Gemm16 => conv_gemm::scratch_words(layer, Width::Wide),
            ConvAlgorithm::GemmBytes => conv_gemm::scratch_words(layer, Width::Bytes),
            ConvAlgorithm::Winograd2 => conv_winograd2::scratch_words(layer, When::Export),
            ConvAlgorithm::Winograd2AtRunTime { tile_rows } => {
                conv_winograd2::scratch_words(layer, When::RunTime(tile_rows as usize))
            }
            ConvAlgorithm::Winograd4 => conv_winograd4::scratch_words(layer),
            ConvAlgorithm::Stride2 => conv_stride2::scratch_words(layer),
        };
        words.saturating_mul(4)
    }

    /// Computes output rows `rows` by an algorithm that the program links; [`ConvAlgorithm::Direct`] does nothing here, its operator
    /// computes it.
    pub fn run<B: Blocks, L: Linked>(
        self,
        layer: &Layer,
        packed: &[u32],
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) {
        use ConvAlgorithm::{Gemm8, Gemm16, GemmBytes, Stride2, Winograd2, Winograd2AtRunTime, Winograd4};
        match self {
            Gemm8 if const { L::SET.convolutions.has(Gemm8.id()) } => {
                conv_gemm::run::<B, L>(layer, Width::Narrow, packed, input, output, scratch, rows);
            }
            Gemm16 if const { L::SET.convolutions.has(Gemm16.id()) } => {
                conv_gemm::run::<B, L>(layer, Width::Wide, packed, input, output, scratch, rows);
            }
            GemmBytes if const { L::SET.convolutions.has(GemmBytes.id()) } => {
                conv_gemm::run::<B, L>(layer, Width::Bytes, packed, input, output, scratch, rows);
            }
            Winograd2 if const { L::SET.convolutions.has(Winograd2.id()) } => {
                conv_winograd2::run::<B>(layer, When::Export, packed, input, output, scratch, rows);
            }
            Winograd2AtRunTime { tile_rows }
                if const { L::SET.convolutions.has(Winograd2AtRunTime { tile_rows: 1 }.id()) } =>
            {
                let when = When::RunTime(tile_rows as usize);
                conv_winograd2::run::<B>(layer, when, packed, input, output, scratch, rows);
            }
            Winograd4 if const { L::SET.convolutions.has(Winograd4.id()) } => {
                conv_winograd4::run::<B>(layer, packed, input, output, scratch, rows);
            }
            Stride2 if const { L::SET.convolutions.has(Stride2.id()) } => {
                conv_stride2::run::<B>(layer, packed, input, output, scratch, rows);
            }
            _ => {}
        }
    }
}

#[cfg(feature = "std")]
pub use export::{Candidate, candidates, choose};

#[cfg(feature = "std")]
mod export {
    use super::{ConvAlgorithm, Layer, When, Width, conv_gemm, conv_stride2, conv_winograd2, conv_winograd4};
    use crate::kernels::algorithms::cost::{self, Core};
    use crate::quant::Channel;

    impl ConvAlgorithm {
        /// Packs OHWI `weights`, or `None` when the algorithm cannot compute the layer exactly.
        pub fn pack(self, layer: &Layer, weights: &[i8], channels: &[Channel]) -> Option<Vec<u8>> {
            if !self.supports(layer) || !self.is_exact(layer, weights, channels) {
                return None;
            }
            let words = match self {
                ConvAlgorithm::Direct => return Some(weights.iter().map(|&w| w as u8).collect()),
                ConvAlgorithm::Gemm8 => conv_gemm::pack(layer, Width::Narrow, weights, channels),
                ConvAlgorithm::Gemm16 => conv_gemm::pack(layer, Width::Wide, weights, channels),
                ConvAlgorithm::GemmBytes => conv_gemm::pack(layer, Width::Bytes, weights, channels),
                ConvAlgorithm::Winograd2 => conv_winograd2::pack(layer, When::Export, weights, channels)?,
                ConvAlgorithm::Winograd2AtRunTime { tile_rows } => {
                    conv_winograd2::pack(layer, When::RunTime(tile_rows as usize), weights, channels)?
                }
                ConvAlgorithm::Winograd4 => conv_winograd4::pack(layer, weights, channels)?,
                ConvAlgorithm::Stride2 => conv_stride2::pack(layer, weights, channels)?,
            };
            Some(words.into_iter().flat_map(u32::to_le_bytes).collect())
        }

        /// Whether the layer's constants allow the algorithm to be exact.
        fn is_exact(self, layer: &Layer, weights: &[i8], channels: &[Channel]) -> bool {
            match self {
                ConvAlgorithm::Direct | ConvAlgorithm::Gemm8 | ConvAlgorithm::Gemm16 | ConvAlgorithm::GemmBytes => true,
                ConvAlgorithm::Winograd2 | ConvAlgorithm::Winograd2AtRunTime { .. } => {
                    conv_winograd2::is_exact(layer, weights, channels)
                }
                ConvAlgorithm::Winograd4 => conv_winograd4::is_exact(layer, weights, channels),
                ConvAlgorithm::Stride2 => conv_stride2::is_exact(layer, weights, channels),
            }
        }
    }

    /// An algorithm that can compute a layer, with what it needs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Candidate {
        /// The algorithm.
        pub algorithm: ConvAlgorithm,
        /// Executed instructions of an inference, estimated.
        pub instructions: u64,
        /// Bytes of packed weights in flash.
        pub flash: usize,
        /// Bytes of scratch.
        pub scratch: usize,
    }

    /// The algorithms that compute a layer exactly, and what they cost on `core`; without [`ConvAlgorithm::Direct`], which is
    /// always one more.
    pub fn candidates(layer: &Layer, weights: &[i8], channels: &[Channel], core: Core) -> Vec<Candidate> {
        let mut all = vec![
            ConvAlgorithm::Gemm8,
            ConvAlgorithm::Gemm16,
            ConvAlgorithm::GemmBytes,
            ConvAlgorithm::Winograd2,
            ConvAlgorithm::Winograd4,
            ConvAlgorithm::Stride2,
        ];
        // More rows of tiles at a time cost scratch, and save transforming the weights again.
        let tile_rows = layer.output.h.div_ceil(2).clamp(1, 255) as u32;
        all.extend(
            (1..=tile_rows)
                .filter(|rows| (rows - 1) == 0 || tile_rows.div_ceil(*rows) < tile_rows.div_ceil(rows - 1))
                .map(|tile_rows| ConvAlgorithm::Winograd2AtRunTime { tile_rows }),
        );
        all.into_iter()
            .filter(|algorithm| algorithm.supports(layer) && algorithm.is_exact(layer, weights, channels))
            .map(|algorithm| Candidate {
                algorithm,
                instructions: cost::instructions(algorithm, layer, core),
                flash: algorithm.packed_bytes(layer),
                scratch: algorithm.scratch_bytes(layer),
            })
            .collect()
    }

    /// Chooses for every layer one of its candidates, of the `allowed` ones: the fewest instructions in all that `flash`
    /// bytes of packed weights allow, by upgrading where a byte saves most. When not even the smallest fit, the smallest
    /// are chosen. `None` for a layer without an allowed candidate.
    pub fn choose(
        layers: &[Vec<Candidate>],
        flash: usize,
        allowed: impl Fn(usize, &Candidate) -> bool,
    ) -> Vec<Option<Candidate>> {
        let layers: Vec<Vec<Candidate>> = layers
            .iter()
            .enumerate()
            .map(|(layer, all)| all.iter().copied().filter(|candidate| allowed(layer, candidate)).collect())
            .collect();
        let smallest = |all: &Vec<Candidate>| all.iter().copied().min_by_key(|c| (c.flash, c.instructions));
        let mut chosen: Vec<_> = layers.iter().map(smallest).collect();
        let mut left = flash.saturating_sub(chosen.iter().flatten().map(|c| c.flash).sum());
        loop {
            let upgrades = layers.iter().zip(&chosen).enumerate().flat_map(|(layer, (all, now))| {
                let now = *now;
                all.iter().filter_map(move |&next| {
                    let now = now?;
                    let (bytes, saved) =
                        (next.flash.saturating_sub(now.flash), now.instructions.saturating_sub(next.instructions));
                    (saved > 0).then_some((layer, next, bytes, saved))
                })
            });
            let best = upgrades
                .filter(|&(_, _, bytes, _)| bytes <= left)
                .max_by(|a, b| (a.3 as f64 / (a.2 + 1) as f64).total_cmp(&(b.3 as f64 / (b.2 + 1) as f64)));
            let Some((layer, next, bytes, _)) = best else { return chosen };
            left -= bytes;
            if let Some(now) = chosen[layer] {
                left += now.flash.saturating_sub(next.flash);
            }
            chosen[layer] = Some(next);
        }
    }
}
