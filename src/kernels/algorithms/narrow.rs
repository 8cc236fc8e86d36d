//! Convolutions over packed weights of fewer bits than eight.
//!
//! They are stored as the same algorithm packs them in 8 bits, [narrowed](crate::kernels::blocks::narrow), without the channels' records,
//! which are made of the operator's table: palette, header, then the weights of all blocks, each a part of its own. What is needed at a
//! time is widened in scratch and computed as ever, so that every instruction set has them: for a matrix product a slab of output
//! channels, which goes over all rows that are asked for; over tiles of pixels a block for each tile; for Winograd's algorithm the
//! filters that are transformed next; for a depthwise convolution all.
//!
//! A matrix product of 16 bits is stored as that of 8.

use core::ops::Range;

use super::conv_gemm::{Width, block_words};
use super::winograd::{Scheme, When};
use super::{
    Layer, Map, Packed, Packing, block_start, channel, conv_gemm, conv_tiled, depthwise as packed_depthwise, winograd,
};
use crate::kernels::Backend;
use crate::kernels::blocks::narrow::{Encoding, Narrow};
use crate::kernels::blocks::pieces::pieces_mut;
use crate::quant::{Channel, Channels};
use crate::uses::Linked;

/// The accumulators that the fast requantization takes are below this.
const LIMIT: i64 = 1 << 30;

/// Words of widened weights of a matrix product at a time, unless a block of four channels has more.
const SLAB: usize = 1024;

/// Words that narrow packed weights take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    stored: usize,
    widened: usize,
}

impl Size {
    /// Of some blocks, each of so many weights, and of what is widened at a time with its records.
    const fn new(encoding: Encoding, blocks: usize, weights: usize, widened: usize) -> Self {
        let stored = blocks.saturating_mul(encoding.words(weights));
        Self { stored: stored.saturating_add(Packed::HEADER.saturating_add(encoding.palette_words())), widened }
    }

    /// Words in flash.
    pub const fn words(self) -> usize {
        self.stored
    }

    /// Bytes in flash.
    pub const fn bytes(self) -> usize {
        self.stored.saturating_mul(4)
    }

    /// Bytes of scratch, beside that of the algorithm over weights of 8 bits.
    pub const fn scratch_bytes(self) -> usize {
        self.widened.saturating_mul(4)
    }
}

impl Packing {
    /// What weights in this encoding take; `None` where the algorithm has none: transformed weights have more bits.
    pub const fn narrow(self, layer: &Layer, encoding: Encoding) -> Option<Size> {
        let Some(weights) = self.block_weights(layer) else { return None };
        let blocks = layer.output.c.div_ceil(4);
        let records = blocks.saturating_mul(16);
        let widened = match self {
            Packing::Gemm(width) => {
                let slab = slab_blocks(layer, width).saturating_mul(block_words(layer, width).saturating_add(16));
                slab.saturating_add(Packed::HEADER)
            }
            Packing::Winograd(..) => weights.div_ceil(4).saturating_add(records),
            Packing::Tiled(..) => records,
        };
        Some(Size::new(encoding, blocks, weights, widened))
    }

    /// Weights of a block of four output channels, filled up as they are packed in 8 bits; `None` where they are transformed.
    const fn block_weights(self, layer: &Layer) -> Option<usize> {
        let words = match self {
            // They are widened to halves of words, which is what weights are paired to avoid.
            Packing::Gemm(Width::Paired) | Packing::Tiled(_, Width::Paired) => return None,
            Packing::Gemm(Width::Bits16) | Packing::Tiled(..) => block_words(layer, Width::Bits8),
            Packing::Gemm(width) => block_words(layer, width),
            Packing::Winograd(Scheme::F2, When::RunTime(_)) => filter_words(layer),
            Packing::Winograd(..) => return None,
        };
        Some(words.saturating_mul(4))
    }

    /// Computes output rows `rows` by an algorithm that the program links, with narrow weights and the table `channels`.
    #[allow(clippy::too_many_arguments)]
    pub fn run_narrow<B: Backend, L: Linked>(
        self,
        layer: &Layer,
        weights: Narrow<'_>,
        channels: Channels<'_>,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) -> Option<()> {
        let stored = Stored::new(layer, weights, channels, self.limit())?;
        match self {
            Packing::Gemm(width) => stored.multiply::<B, L>(width, input, output, scratch, rows),
            Packing::Winograd(_, when) => {
                let (packed, rest) = stored.recorded(scratch)?;
                let (filters, rest) = rest.split_at_mut_checked(filter_words(layer))?;
                let weights = stored.weights;
                winograd::run_narrow::<B, L>(layer, when, packed, weights, filters, input, output, rest, rows)
            }
            Packing::Tiled(tile, _) => {
                let (packed, rest) = stored.recorded(scratch)?;
                let narrow = conv_tiled::Stored::Narrow(stored.weights);
                conv_tiled::run::<B, L>(layer, tile, packed, narrow, input, output, rest, rows)
            }
        }
    }
}

impl Packing {
    /// The accumulators, with their bias, that the fast requantization takes are below this: Winograd's products are 4 times a sum.
    const fn limit(self) -> i64 {
        if matches!(self, Packing::Winograd(..)) { 1 << 28 } else { LIMIT }
    }
}

/// Blocks of four output channels that are widened at a time, each time about as many.
pub(super) const fn slab_blocks(layer: &Layer, width: Width) -> usize {
    let blocks = layer.output.c.div_ceil(4);
    let fitting = match SLAB.checked_div(block_words(layer, width).saturating_add(16)) {
        Some(fitting) => fitting,
        None => 1,
    };
    parts(blocks, parts(blocks, fitting))
}

/// How many parts of at most `of` a whole has. Not `div_ceil`, which checks its divisor where the compiler optimizes for size.
const fn parts(whole: usize, of: usize) -> usize {
    match whole.saturating_add(of).saturating_sub(1).checked_div(of) {
        Some(parts) => parts,
        None => whole,
    }
}

/// Words of the filters, of 8 bits, of a block of four output channels that Winograd's algorithm transforms.
const fn filter_words(layer: &Layer) -> usize {
    layer.input.c.div_ceil(4).saturating_mul(4 * 9)
}

/// What the packed weights of a depthwise convolution take.
pub const fn depthwise(layer: &Layer, encoding: Encoding) -> Size {
    let pairs = depthwise_pairs(layer);
    let records = layer.output.c.div_ceil(4).saturating_mul(16).saturating_add(Packed::HEADER);
    Size::new(encoding, 1, pairs.saturating_mul(2), records.saturating_add(pairs))
}

/// Words of the widened weights of a depthwise convolution.
const fn depthwise_pairs(layer: &Layer) -> usize {
    let taps = layer.kernel()[0].saturating_mul(layer.kernel()[1]);
    layer.output.c.div_ceil(4).saturating_mul(taps).saturating_mul(2)
}

/// Computes output rows `rows` of a depthwise convolution.
pub fn run_depthwise<B: Backend, L: Linked>(
    layer: &Layer,
    weights: Narrow<'_>,
    channels: Channels<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) -> Option<()> {
    let stored = Stored::new(layer, weights, channels, LIMIT)?;
    let groups = layer.output.c.div_ceil(4);
    let (wide, rest) = stored.unpacked(0..groups, depthwise_pairs(layer), scratch)?;
    let (_, pairs) =
        wide.split_at_mut_checked(Packed::HEADER.wrapping_add(groups.wrapping_mul(16))).unwrap_or_default();
    stored.weights.widen_pairs::<L>(pairs);
    packed_depthwise::run::<B>(layer, wide, input, output, rest, rows)
}

/// A convolution's narrow weights.
struct Stored<'m> {
    layer: &'m Layer,
    flags: u32,
    weights: Narrow<'m>,
    channels: Channels<'m>,
    limit: i64,
}

impl<'m> Stored<'m> {
    /// Header and weights.
    fn new(layer: &'m Layer, stored: Narrow<'m>, channels: Channels<'m>, limit: i64) -> Option<Self> {
        let Packed { flags, weights, .. } = Packed::new(stored.stored(), 0)?;
        Some(Self { layer, flags, weights: stored.part(weights), channels, limit })
    }

    /// The records of some blocks of four channels.
    fn records(&self, blocks: Range<usize>, records: &mut [u32]) {
        let mut records = records.as_chunks_mut::<4>().0.iter_mut();
        for block in blocks {
            let first = block_start(block, self.layer.output.c);
            for lane in 0..4 {
                let channel = self.channels.entries().get(first.wrapping_add(lane)).map(Channel::from_bytes);
                if let Some(record) = records.next() {
                    *record = channel.map_or([0; 4], |channel| self.record(&channel));
                }
            }
        }
    }

    /// The exporter has held these records against those that it proves exact, or has left word that none is.
    fn record(&self, constants: &Channel) -> [u32; 4] {
        if self.flags & Packed::EXACT == 0 {
            channel::record(constants, self.layer.zero_out, 0, self.limit).unwrap_or_default()
        } else {
            channel::exact_record(constants)
        }
    }

    /// A header, the records of some blocks and room for `weights` words, as they are packed in 8 bits; and the rest of `scratch`.
    fn unpacked<'s>(
        &self,
        blocks: Range<usize>,
        weights: usize,
        scratch: &'s mut [u32],
    ) -> Option<(&'s mut [u32], &'s mut [u32])> {
        let records = blocks.len().wrapping_mul(16);
        let (wide, rest) = scratch.split_at_mut_checked(Packed::HEADER.wrapping_add(records).wrapping_add(weights))?;
        let (header, body) = wide.split_at_mut_checked(Packed::HEADER)?;
        header.fill(0);
        *header.first_mut()? = self.flags;
        self.records(blocks, body.get_mut(..records)?);
        Some((wide, rest))
    }

    /// The weights as they are stored behind the records of all channels, which are made in `scratch`; and the rest of that.
    fn recorded<'s>(&self, scratch: &'s mut [u32]) -> Option<(Packed<'s>, &'s mut [u32])>
    where
        'm: 's,
    {
        let blocks = self.layer.output.c.div_ceil(4);
        let (records, rest) = scratch.split_at_mut_checked(blocks.wrapping_mul(16))?;
        self.records(0..blocks, records);
        Some((Packed { flags: self.flags, records, weights: self.weights.stored() }, rest))
    }

    /// A matrix product, by slabs of output channels.
    fn multiply<B: Backend, L: Linked>(
        &self,
        width: Width,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) -> Option<()> {
        let layer = self.layer;
        let (channels, words) = (layer.output.c, block_words(layer, width));
        let (blocks, at_once) = (channels.div_ceil(4), slab_blocks(layer, width).max(1));
        let weights = Packing::Gemm(width).block_weights(layer).unwrap_or(0);
        let stored = self.weights.encoding().words(weights);
        let mut first = 0usize;
        while first < blocks {
            let slab = first..first.saturating_add(at_once).min(blocks);
            let (wide, rest) = self.unpacked(slab.clone(), slab.len().wrapping_mul(words), scratch)?;
            let body = wide.get_mut(Packed::HEADER.wrapping_add(slab.len().wrapping_mul(16))..).unwrap_or_default();
            for (block, body) in slab.clone().zip(pieces_mut(body, words)) {
                let weights = self.weights.from(block.wrapping_mul(stored));
                match width {
                    Width::Bits16 => weights.widen_pairs::<L>(body),
                    Width::Bits8 | Width::Paired | Width::Bytes => weights.widen::<L>(body),
                }
            }
            // The last block may overlap the one before it.
            let start = block_start(first, channels);
            let count = slab.end.wrapping_mul(4).min(channels).wrapping_sub(start);
            let part = Layer { output: Map { c: count, ..layer.output }, ..*layer };
            let output = output.get_mut(start..).unwrap_or_default();
            conv_gemm::run::<B, L>(&part, width, wide, input, output, rest, rows.clone())?;
            first = slab.end;
        }
        Some(())
    }
}

#[cfg(feature = "std")]
mod export {
    use super::super::choose::ConvAlgorithm;
    use super::{
        Channel, Channels, Encoding, LIMIT, Layer, Narrow, Packed, Packing, Stored, depthwise_pairs, packed_depthwise,
    };
    use crate::kernels::algorithms::conv_gemm::Width;

    impl ConvAlgorithm {
        /// Packs OHWI `weights` in a narrow encoding; `None` when it does not have one of them, when the algorithm has no such weights, or
        /// cannot compute the layer exactly.
        pub fn pack_narrow(
            self,
            layer: &Layer,
            weights: &[i8],
            channels: &[Channel],
            encoding: Encoding,
        ) -> Option<Vec<u8>> {
            let Some(packing) = self.packing() else { return encoding.pack_rows(weights, layer.filter()) };
            let block = packing.block_weights(layer)?;
            let packing8 = if packing == Packing::Gemm(Width::Bits16) { Packing::Gemm(Width::Bits8) } else { packing };
            let packed = packing8.pack(layer, weights, channels)?;
            let bytes =
                |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| byte as i8).collect();
            let stored = Parts { layer, channels, limit: packing.limit(), block, encoding };
            stored.pack(&encoding.palette(weights), &packed, bytes)
        }
    }

    /// A convolution whose weights are narrowed, `block` of them to a part.
    struct Parts<'a> {
        layer: &'a Layer,
        channels: &'a [Channel],
        limit: i64,
        block: usize,
        encoding: Encoding,
    }

    impl Parts<'_> {
        /// Palette, header and narrow weights of the packed ones in 8 bits, of whose words `weights` makes bytes; `None` as well when the
        /// records that are made of the table are not those that were proven.
        fn pack(&self, palette: &[i8], packed: &[u32], weights: impl Fn(&[u32]) -> Vec<i8>) -> Option<Vec<u8>> {
            let Self { layer, channels, limit, block, encoding } = *self;
            let blocks = layer.output.c.div_ceil(4);
            let (header, rest) = packed.split_at(Packed::HEADER);
            let (records, rest) = rest.split_at(16 * blocks);
            let table: Vec<u8> = channels.iter().flat_map(|channel| channel.to_bytes()).collect();
            let weightless = Narrow::new(Encoding::Nibbles, header);
            let mut made = vec![0; records.len()];
            Stored::new(layer, weightless, Channels::new(&table)?, limit)?.records(0..blocks, &mut made);
            let parts: Vec<_> =
                weights(rest).chunks(block.max(1)).map(|part| encoding.pack(palette, part)).collect::<Option<_>>()?;
            let header = header.iter().flat_map(|word| word.to_le_bytes());
            let palette = palette.iter().map(|&color| color as u8);
            (made == records).then(|| palette.chain(header).chain(parts.concat()).collect())
        }
    }

    /// Packs depthwise `weights`, `[kernel row][kernel column][channel]`, in a narrow encoding; `None` when it does not have one of them, or
    /// when the algorithm would not be exact.
    pub fn pack_depthwise(layer: &Layer, weights: &[i8], channels: &[Channel], encoding: Encoding) -> Option<Vec<u8>> {
        let packed = packed_depthwise::pack(layer, weights, channels)?;
        let bytes = |pair: &[u32]| [pair[0], pair[1], pair[0] >> 16, pair[1] >> 16].map(|half| half as i8);
        let stored = Parts { layer, channels, limit: LIMIT, block: 2 * depthwise_pairs(layer), encoding };
        stored.pack(&encoding.palette(weights), &packed, |pairs| pairs.chunks(2).flat_map(bytes).collect())
    }
}

#[cfg(feature = "std")]
pub use export::pack_depthwise;
