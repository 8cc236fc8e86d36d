//! The algorithms of a convolution by name: what each needs, what it costs, and which to take.

use core::ops::Range;

use super::conv_gemm::Width;
use super::conv_tiled::{Stored, Tile};
use super::winograd::{Scheme, When};
use super::{Layer, Packed, conv_gemm, conv_tiled, winograd};
use crate::kernels::Backend;
use crate::kernels::blocks::{F2, F4, S2};
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
    /// The same with weights of 8 bits that lie by twos in the halves of words: [`Width::Paired`].
    GemmPaired,
    /// The same with weights of 16 bits.
    Gemm16,
    /// A matrix product with weights of 8 bits that are widened, and read, once for a tile of pixels: [`conv_tiled`].
    Tiled {
        /// Rows of the output that are computed together (1 to 255).
        rows: u32,
        /// In how many parts their columns are (1 to 255).
        parts: u32,
    },
    /// The same with weights by twos, which need not be widened.
    TiledPaired {
        /// Rows of the output that are computed together (1 to 255).
        rows: u32,
        /// In how many parts their columns are (1 to 255).
        parts: u32,
    },
    /// A matrix product with inputs of 8 bits too, for cores with byte dot products (Helium).
    GemmBytes,
    /// 3x3 at stride 1: exact integer Winograd F(2x2, 3x3), [`winograd`].
    Winograd2,
    /// The same, with weights transformed in every inference over this many rows of tiles (1 to 255).
    Winograd2AtRunTime {
        /// Rows of tiles, of two output rows each, whose transformed inputs are kept at a time.
        tile_rows: u32,
    },
    /// 3x3 at stride 1: exact integer Winograd F(4x4, 3x3).
    Winograd4,
    /// 3x3 at stride 2: exact Winograd.
    Stride2,
}

const _: () = {
    use ConvAlgorithm::*;
    let (run_time, tiled) = (Winograd2AtRunTime { tile_rows: 1 }, Tiled { rows: 1, parts: 1 });
    let paired = TiledPaired { rows: 1, parts: 1 };
    let all = [Direct, Gemm8, GemmPaired, Gemm16, GemmBytes, tiled, paired, Winograd2, run_time, Winograd4, Stride2];
    let (mut ids, mut at) = ([0; 11], 0);
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
            ConvAlgorithm::Tiled { rows, parts } => 8 | rows << 8 | parts << 16,
            ConvAlgorithm::GemmPaired => 9,
            ConvAlgorithm::TiledPaired { rows, parts } => 10 | rows << 8 | parts << 16,
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
            (9, 0) => Some(ConvAlgorithm::GemmPaired),
            (id @ (8 | 10), tile) => match (tile & 0xff, tile >> 8) {
                (rows @ 1..=255, parts @ 1..=255) if id == 8 => Some(ConvAlgorithm::Tiled { rows, parts }),
                (rows @ 1..=255, parts @ 1..=255) => Some(ConvAlgorithm::TiledPaired { rows, parts }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Output rows that are best computed together.
    pub const fn row_block(self) -> u32 {
        match self {
            ConvAlgorithm::Direct
            | ConvAlgorithm::Gemm8
            | ConvAlgorithm::GemmPaired
            | ConvAlgorithm::Gemm16
            | ConvAlgorithm::GemmBytes => 1,
            ConvAlgorithm::Winograd2 | ConvAlgorithm::Stride2 => 2,
            ConvAlgorithm::Winograd2AtRunTime { tile_rows } => tile_rows.saturating_mul(2),
            ConvAlgorithm::Winograd4 => 4,
            ConvAlgorithm::Tiled { rows, .. } | ConvAlgorithm::TiledPaired { rows, .. } => rows,
        }
    }

    /// How weights are packed for it; `None` of [`ConvAlgorithm::Direct`], which takes them as they are and which the operator
    /// computes for every element type.
    pub const fn packing(self) -> Option<Packing> {
        Some(match self {
            ConvAlgorithm::Direct => return None,
            ConvAlgorithm::Gemm8 => Packing::Gemm(Width::Bits8),
            ConvAlgorithm::GemmPaired => Packing::Gemm(Width::Paired),
            ConvAlgorithm::Gemm16 => Packing::Gemm(Width::Bits16),
            ConvAlgorithm::GemmBytes => Packing::Gemm(Width::Bytes),
            ConvAlgorithm::Tiled { rows, parts } => Packing::Tiled(Tile::new(rows, parts), Width::Bits8),
            ConvAlgorithm::TiledPaired { rows, parts } => Packing::Tiled(Tile::new(rows, parts), Width::Paired),
            ConvAlgorithm::Winograd2 => Packing::Winograd(Scheme::F2, When::Export),
            ConvAlgorithm::Winograd2AtRunTime { tile_rows } => {
                Packing::Winograd(Scheme::F2, When::RunTime(tile_rows as usize))
            }
            ConvAlgorithm::Winograd4 => Packing::Winograd(Scheme::F4, When::Export),
            ConvAlgorithm::Stride2 => Packing::Winograd(Scheme::S2, When::Export),
        })
    }
}

/// An algorithm over packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A matrix product: [`conv_gemm`].
    Gemm(Width),
    /// A matrix product over tiles of pixels, of weights of 8 bits or paired ones: [`conv_tiled`].
    Tiled(Tile, Width),
    /// An exact Winograd convolution: [`winograd`].
    Winograd(Scheme, When),
}

impl Packing {
    /// Whether the algorithm can compute a layer, constants permitting.
    pub const fn supports(self, layer: &Layer) -> bool {
        match self {
            Packing::Gemm(width) => conv_gemm::supports(layer, width),
            Packing::Tiled(..) => conv_tiled::supports(layer),
            Packing::Winograd(scheme, _) => winograd::supports(layer, scheme),
        }
    }

    /// Bytes of the packed weights.
    pub const fn packed_bytes(self, layer: &Layer) -> usize {
        let words = match self {
            Packing::Gemm(width) => conv_gemm::packed_words(layer, width),
            Packing::Tiled(_, width) => conv_gemm::packed_words(layer, width),
            Packing::Winograd(scheme, when) => winograd::packed_words(layer, scheme, when),
        };
        words.saturating_mul(4)
    }

    /// Bytes of scratch.
    pub const fn scratch_bytes(self, layer: &Layer) -> usize {
        let words = match self {
            Packing::Gemm(width) => conv_gemm::scratch_words(layer, width),
            Packing::Tiled(tile, width) => conv_tiled::scratch_words(layer, tile, width),
            Packing::Winograd(scheme, when) => winograd::scratch_words(layer, scheme, when),
        };
        words.saturating_mul(4)
    }

    /// Computes output rows `rows` by an algorithm that the program links; `None` of what no checked model asks for.
    pub fn run<B: Backend, L: Linked>(
        self,
        layer: &Layer,
        packed: &[u32],
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) -> Option<()> {
        const fn linked<L: Linked>(algorithm: ConvAlgorithm) -> bool {
            L::SET.convolutions.has(algorithm.id())
        }
        use ConvAlgorithm::{Gemm8, Gemm16, GemmBytes, GemmPaired, Stride2, Winograd2, Winograd2AtRunTime, Winograd4};
        match self {
            Packing::Gemm(width)
                if const {
                    linked::<L>(Gemm8) || linked::<L>(GemmPaired) || linked::<L>(Gemm16) || linked::<L>(GemmBytes)
                } =>
            {
                conv_gemm::run::<B, L>(layer, width, packed, input, output, scratch, rows)
            }
            Packing::Tiled(tile, width) => {
                let packed = Packed::new(packed, layer.output.c.div_ceil(4).wrapping_mul(16))?;
                let stored = if matches!(width, Width::Paired) { Stored::Paired } else { Stored::Bytes };
                conv_tiled::run::<B, L>(layer, tile, packed, stored, input, output, scratch, rows)
            }
            Packing::Winograd(Scheme::F2, when @ When::Export) if const { linked::<L>(Winograd2) } => {
                winograd::run::<F2, _, B, L, false>(layer, when, packed, input, output, scratch, rows)
            }
            Packing::Winograd(Scheme::F2, when @ When::RunTime(_))
                if const { linked::<L>(Winograd2AtRunTime { tile_rows: 1 }) } =>
            {
                winograd::run::<F2, _, B, L, true>(layer, when, packed, input, output, scratch, rows)
            }
            Packing::Winograd(Scheme::F4, when) if const { linked::<L>(Winograd4) } => {
                winograd::run::<F4, _, B, L, false>(layer, when, packed, input, output, scratch, rows)
            }
            Packing::Winograd(Scheme::S2, when) if const { linked::<L>(Stride2) } => {
                winograd::run::<S2, _, B, L, false>(layer, when, packed, input, output, scratch, rows)
            }
            // `Model::limited` takes no model with an algorithm that is not linked.
            _ => None,
        }
    }
}

#[cfg(feature = "std")]
pub use export::{Candidate, candidates, choose};

#[cfg(feature = "std")]
mod export {
    use std::collections::BTreeMap;

    use super::{ConvAlgorithm, Layer, Packing, Width, conv_gemm};
    use crate::kernels::algorithms::cost::{self, Core};
    use crate::kernels::algorithms::pack_winograd;
    use crate::kernels::blocks::narrow::Encoding;
    use crate::quant::Channel;

    impl ConvAlgorithm {
        /// What an inference costs: executed instructions, estimated, and what waiting for weights in flash is worth in them.
        pub fn cost(self, layer: &Layer, core: Core) -> u64 {
            cost::with_reads(self, layer, core)
        }

        /// Packs OHWI `weights`, or `None` when the algorithm cannot compute the layer exactly.
        pub fn pack(self, layer: &Layer, weights: &[i8], channels: &[Channel]) -> Option<Vec<u8>> {
            let Some(packing) = self.packing() else { return Some(weights.iter().map(|&w| w as u8).collect()) };
            Some(packing.pack(layer, weights, channels)?.into_iter().flat_map(u32::to_le_bytes).collect())
        }
    }

    impl Packing {
        /// Packs OHWI `weights` into words, or `None` when the algorithm cannot compute the layer exactly.
        pub(in super::super) fn pack(self, layer: &Layer, weights: &[i8], channels: &[Channel]) -> Option<Vec<u32>> {
            match self {
                _ if !self.supports(layer) => None,
                Packing::Gemm(_) | Packing::Tiled(..) if !self.is_exact(layer, weights, channels) => None,
                Packing::Gemm(width) | Packing::Tiled(_, width) => {
                    Some(conv_gemm::pack(layer, width, weights, channels))
                }
                Packing::Winograd(scheme, when) => pack_winograd::pack(layer, scheme, when, weights, channels),
            }
        }

        /// Whether the algorithm computes a layer with these constants exactly.
        fn is_exact(self, layer: &Layer, weights: &[i8], channels: &[Channel]) -> bool {
            self.supports(layer)
                && match self {
                    Packing::Gemm(Width::Paired) | Packing::Tiled(_, Width::Paired) => {
                        conv_gemm::is_fast(layer, weights, channels) && conv_gemm::are_paired(layer, weights)
                    }
                    Packing::Gemm(_) => true,
                    Packing::Tiled(..) => conv_gemm::is_fast(layer, weights, channels),
                    Packing::Winograd(scheme, _) => pack_winograd::is_exact(layer, scheme, weights, channels),
                }
        }
    }

    /// An algorithm that can compute a layer, with what it needs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Candidate {
        /// The algorithm.
        pub algorithm: ConvAlgorithm,
        /// How its weights are stored.
        pub encoding: Encoding,
        /// [`ConvAlgorithm::cost`], unless whoever chooses knows cycles.
        pub cost: u64,
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
        // So do larger tiles, and save reading the weights. What they gain is the DSP extension's, as what paired weights do.
        if core == Core::M4 {
            let doubled = |from: u32| (0..8).map(move |times| from << times);
            let pairs = layer.output.w.div_ceil(2) as u32;
            let parts = doubled(1).take_while(|&parts| parts == 1 || 2 * parts <= pairs);
            let rows = doubled(2).take_while(|&rows| rows < 2 * layer.output.h as u32).filter(|&rows| rows < 256);
            let tiles = parts.map(|parts| (1, parts)).chain(rows.map(|rows| (rows, 1)));
            all.push(ConvAlgorithm::GemmPaired);
            all.extend(tiles.flat_map(|(rows, parts)| {
                [ConvAlgorithm::TiledPaired { rows, parts }, ConvAlgorithm::Tiled { rows, parts }]
            }));
        }
        let narrower: Vec<Encoding> = Encoding::narrower(weights).collect();
        // Whatever the parameters: each answer goes through all weights.
        let mut known = BTreeMap::new();
        all.into_iter()
            .filter_map(|algorithm| Some((algorithm, algorithm.packing()?)))
            .filter(|(algorithm, packing)| {
                let exact = || packing.is_exact(layer, weights, channels);
                *known.entry(algorithm.id()).or_insert_with(exact)
            })
            .flat_map(|(algorithm, packing)| {
                let plain = Candidate {
                    algorithm,
                    encoding: Encoding::Plain,
                    cost: algorithm.cost(layer, core),
                    flash: packing.packed_bytes(layer),
                    scratch: packing.scratch_bytes(layer),
                };
                let narrow = narrower.iter().filter_map(move |&encoding| {
                    let size = packing.narrow(layer, encoding)?;
                    Some(Candidate {
                        encoding,
                        cost: plain.cost + packing.widening(layer, core, 1, encoding),
                        flash: size.bytes(),
                        scratch: plain.scratch + size.scratch_bytes(),
                        ..plain
                    })
                });
                std::iter::once(plain).chain(narrow)
            })
            .collect()
    }

    /// Chooses for every layer one of its candidates, of the `allowed` ones: the least cost in all that `flash`
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
        let smallest = |all: &Vec<Candidate>| all.iter().copied().min_by_key(|c| (c.flash, c.cost));
        let mut chosen: Vec<_> = layers.iter().map(smallest).collect();
        let mut left = flash.saturating_sub(chosen.iter().flatten().map(|c| c.flash).sum());
        loop {
            let upgrades = layers.iter().zip(&chosen).enumerate().flat_map(|(layer, (all, now))| {
                let now = *now;
                all.iter().filter_map(move |&next| {
                    let now = now?;
                    let (bytes, saved) = (next.flash.saturating_sub(now.flash), now.cost.saturating_sub(next.cost));
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
