//! Convolutions over packed weights of 4 bits.
//!
//! They are stored as the same algorithm packs them in 8 bits, two to a byte, without the channels' records, which are made of the
//! operator's table: header, then the [`nibbles`] of all blocks. What is needed at a time is widened in scratch and
//! computed as ever, so that every instruction set has them: for a matrix product a slab of output channels, which goes over all
//! rows that are asked for; for Winograd's algorithm the filters that are transformed next; for a depthwise convolution all.
//!
//! A matrix product of 16 bits is stored as that of 8. Tiles have no weights of 4 bits: what they save, widening those of 8 for many
//! pixels at once, a slab does for all pixels.
//!
//! [`nibbles`]: crate::kernels::blocks::nibbles

use core::ops::Range;

use super::conv_gemm::{Width, block_words};
use super::winograd::{Scheme, When};
use super::{Layer, Map, Packed, Packing, block_start, channel, conv_gemm, depthwise as packed_depthwise, winograd};
use crate::kernels::Backend;
use crate::kernels::blocks::nibbles::{widen, widen_pairs};
use crate::quant::{Channel, Channels};
use crate::sys::shapes::proven;
use crate::uses::Linked;

/// How weights are stored: the upper four bits of the length word in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Encoding {
    /// One byte each; of halves two.
    #[default]
    Plain,
    /// 4 bits each: [`blocks::nibbles`](crate::kernels::blocks::nibbles). Rows start at whole words.
    Nibbles,
}

impl Encoding {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            Encoding::Plain => 0,
            Encoding::Nibbles => 1,
        }
    }

    /// The encoding of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Encoding::Plain),
            1 => Some(Encoding::Nibbles),
            _ => None,
        }
    }
}

/// The accumulators that the fast requantization takes are below this.
const LIMIT: i64 = 1 << 30;

/// Words of widened weights of a matrix product at a time, unless a block of four channels has more.
const SLAB: usize = 1024;

/// Words that packed weights of 4 bits take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    stored: usize,
    widened: usize,
}

impl Size {
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
    /// What weights of 4 bits take; `None` where the algorithm has none: transformed weights have more bits.
    pub const fn nibbles(self, layer: &Layer) -> Option<Size> {
        let blocks = layer.output.c.div_ceil(4);
        let (block, widened) = match self {
            Packing::Gemm(width) => {
                let words = block_words(layer, width);
                let slab = slab_blocks(layer, width).saturating_mul(words.saturating_add(16));
                (words / width.per_nibbles(), slab.saturating_add(Packed::HEADER))
            }
            Packing::Winograd(Scheme::F2, When::RunTime(_)) => {
                let words = filter_words(layer);
                (words / 2, words.saturating_add(blocks.saturating_mul(16)))
            }
            Packing::Winograd(..) | Packing::Tiled(_) => return None,
        };
        Some(Size { stored: Packed::HEADER.saturating_add(blocks.saturating_mul(block)), widened })
    }

    /// Computes output rows `rows` by an algorithm that the program links, with weights of 4 bits and the table `channels`.
    #[allow(clippy::too_many_arguments)]
    pub fn run_nibbles<B: Backend, L: Linked>(
        self,
        layer: &Layer,
        packed: &[u32],
        channels: Channels<'_>,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) {
        let Some(packed) = Packed::new(packed, 0) else { return };
        let stored = Stored { layer, packed, channels, limit: self.limit() };
        match self {
            Packing::Gemm(width) => stored.multiply::<B, L>(width, input, output, scratch, rows),
            Packing::Winograd(_, when) => stored.transform::<B, L>(when, input, output, scratch, rows),
            Packing::Tiled(_) => _ = proven(false),
        }
    }
}

impl Packing {
    /// The accumulators, with their bias, that the fast requantization takes are below this: Winograd's products are 4 times a sum.
    const fn limit(self) -> i64 {
        if matches!(self, Packing::Winograd(..)) { 1 << 28 } else { LIMIT }
    }
}

impl Width {
    /// Words of the packed weights for each word of nibbles.
    const fn per_nibbles(self) -> usize {
        match self {
            Width::Bits16 => 4,
            Width::Bits8 | Width::Bytes => 2,
        }
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
pub const fn depthwise(layer: &Layer) -> Size {
    let groups = layer.output.c.div_ceil(4);
    let pairs = depthwise_pairs(layer);
    let records = groups.saturating_mul(16).saturating_add(Packed::HEADER);
    Size { stored: Packed::HEADER.saturating_add(pairs.div_ceil(4)), widened: records.saturating_add(pairs) }
}

/// Words of the widened weights of a depthwise convolution.
const fn depthwise_pairs(layer: &Layer) -> usize {
    let taps = layer.kernel()[0].saturating_mul(layer.kernel()[1]);
    layer.output.c.div_ceil(4).saturating_mul(taps).saturating_mul(2)
}

/// Computes output rows `rows` of a depthwise convolution.
pub fn run_depthwise<B: Backend>(
    layer: &Layer,
    packed: &[u32],
    channels: Channels<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
    rows: Range<usize>,
) {
    let Some(packed) = Packed::new(packed, 0) else { return };
    let stored = Stored { layer, packed, channels, limit: LIMIT };
    let groups = layer.output.c.div_ceil(4);
    let Some((wide, rest)) = stored.unpacked(0..groups, depthwise_pairs(layer), scratch) else { return };
    let (_, pairs) =
        wide.split_at_mut_checked(Packed::HEADER.wrapping_add(groups.wrapping_mul(16))).unwrap_or_default();
    widen_pairs(packed.weights, pairs);
    packed_depthwise::run::<B>(layer, wide, input, output, rest, rows);
}

/// A convolution's weights of 4 bits.
struct Stored<'m> {
    layer: &'m Layer,
    packed: Packed<'m>,
    channels: Channels<'m>,
    limit: i64,
}

impl Stored<'_> {
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
        if self.packed.flags & Packed::EXACT == 0 {
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
        *header.first_mut()? = self.packed.flags;
        self.records(blocks, body.get_mut(..records)?);
        Some((wide, rest))
    }

    /// A matrix product, by slabs of output channels.
    fn multiply<B: Backend, L: Linked>(
        &self,
        width: Width,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) {
        let Stored { layer, packed, .. } = self;
        let (channels, words) = (layer.output.c, block_words(layer, width));
        let (blocks, at_once) = (channels.div_ceil(4), slab_blocks(layer, width).max(1));
        let nibbles = words.checked_div(width.per_nibbles()).unwrap_or(0);
        let mut first = 0usize;
        while first < blocks {
            let slab = first..first.saturating_add(at_once).min(blocks);
            let weights = packed.weights.get(first.wrapping_mul(nibbles)..).unwrap_or_default();
            let Some((wide, rest)) = self.unpacked(slab.clone(), slab.len().wrapping_mul(words), scratch) else {
                return;
            };
            let body = wide.get_mut(Packed::HEADER.wrapping_add(slab.len().wrapping_mul(16))..).unwrap_or_default();
            match width {
                Width::Bits16 => widen_pairs(weights, body),
                Width::Bits8 | Width::Bytes => widen(weights, body),
            }
            // The last block may overlap the one before it.
            let start = block_start(first, channels);
            let count = slab.end.wrapping_mul(4).min(channels).wrapping_sub(start);
            let part = Layer { output: Map { c: count, ..layer.output }, ..**layer };
            let output = output.get_mut(start..).unwrap_or_default();
            conv_gemm::run::<B, L>(&part, width, wide, input, output, rest, rows.clone());
            first = slab.end;
        }
    }

    /// Winograd's algorithm at run time.
    fn transform<B: Backend, L: Linked>(
        &self,
        when: When,
        input: &[i8],
        output: &mut [i8],
        scratch: &mut [u32],
        rows: Range<usize>,
    ) {
        let blocks = self.layer.output.c.div_ceil(4);
        let Some((records, rest)) = scratch.split_at_mut_checked(blocks.wrapping_mul(16)) else { return };
        let Some((filters, rest)) = rest.split_at_mut_checked(filter_words(self.layer)) else { return };
        self.records(0..blocks, records);
        let packed = Packed { records, ..self.packed };
        winograd::run_nibbles::<B, L>(self.layer, when, packed, filters, input, output, rest, rows);
    }
}

#[cfg(feature = "std")]
mod export {
    use super::super::choose::ConvAlgorithm;
    use super::{Channel, Channels, LIMIT, Layer, Packed, Packing, Stored, packed_depthwise};
    use crate::kernels::algorithms::conv_gemm::Width;
    use crate::kernels::blocks::nibbles::pack;

    impl ConvAlgorithm {
        /// Packs OHWI `weights` in 4 bits; `None` when one takes more, when the algorithm has no such weights, or cannot compute the
        /// layer exactly.
        pub fn pack_nibbles(self, layer: &Layer, weights: &[i8], channels: &[Channel]) -> Option<Vec<u8>> {
            let Some(packing) = self.packing() else {
                let rows = weights.chunks(layer.filter().max(1)).map(pack);
                return Some(rows.collect::<Option<Vec<_>>>()?.concat());
            };
            packing.nibbles(layer)?;
            let packing = if packing == Packing::Gemm(Width::Bits16) { Packing::Gemm(Width::Bits8) } else { packing };
            let packed = packing.pack(layer, weights, channels)?;
            let bytes =
                |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| byte as i8).collect();
            stored(layer, &packed, channels, packing.limit(), bytes)
        }
    }

    /// Header and nibbles of the packed weights in 8 bits, of whose words `weights` makes bytes; `None` as well when the records that are
    /// made of the table are not those that were proven.
    fn stored(
        layer: &Layer,
        packed: &[u32],
        channels: &[Channel],
        limit: i64,
        weights: impl Fn(&[u32]) -> Vec<i8>,
    ) -> Option<Vec<u8>> {
        let blocks = layer.output.c.div_ceil(4);
        let (header, rest) = packed.split_at(Packed::HEADER);
        let (records, rest) = rest.split_at(16 * blocks);
        let table: Vec<u8> = channels.iter().flat_map(|channel| channel.to_bytes()).collect();
        let stored = Stored { layer, packed: Packed::new(header, 0)?, channels: Channels::new(&table)?, limit };
        let mut made = vec![0; records.len()];
        stored.records(0..blocks, &mut made);
        let nibbles = pack(&weights(rest)).filter(|_| made == records)?;
        Some(header.iter().flat_map(|word| word.to_le_bytes()).chain(nibbles).collect())
    }

    /// Packs depthwise `weights`, `[kernel row][kernel column][channel]`, in 4 bits; `None` when one takes more, or when the algorithm
    /// would not be exact.
    pub fn pack_depthwise(layer: &Layer, weights: &[i8], channels: &[Channel]) -> Option<Vec<u8>> {
        let packed = packed_depthwise::pack(layer, weights, channels)?;
        let bytes = |pair: &[u32]| [pair[0], pair[1], pair[0] >> 16, pair[1] >> 16].map(|half| half as i8);
        stored(layer, &packed, channels, LIMIT, |pairs| pairs.chunks(2).flat_map(bytes).collect())
    }
}

#[cfg(feature = "std")]
pub use export::pack_depthwise;
