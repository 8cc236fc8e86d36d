//! Patches times weights: what convolution and the fully connected layer share.

use core::mem::take;

use crate::kernels::Backend;
use crate::kernels::blocks::pieces::pieces;
use crate::quant::{Channel, Channels, OutputStage};

/// A channel's entry as it lies in the model file.
type Entry = [u8; Channel::BYTES];

/// Weights `[channels][k]` with their table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'m> {
    /// The weights of each channel, one after the other.
    pub weights: &'m [i8],
    /// The per-channel table.
    pub channels: Channels<'m>,
    /// Weights of one channel.
    pub k: usize,
}

/// The weights of four channels.
#[inline]
fn four(weights: &[i8], k: usize) -> [&[i8]; 4] {
    let mut rows = pieces(weights, k);
    let mut row = || rows.next().unwrap_or_default();
    [row(), row(), row(), row()]
}

/// The output of a channel: once in the program, for it is long.
#[inline(never)]
fn finish(stage: &OutputStage, sum: i32, channel: &Entry) -> i8 {
    stage.apply(sum, Channel::from_bytes(channel))
}

impl<'m> Weights<'m> {
    /// The blocks of four channels with their weights.
    #[inline]
    fn blocks(&self) -> impl Iterator<Item = (&'m [Entry; 4], [&'m [i8]; 4])> {
        let k = self.k;
        let (blocks, _) = self.channels.entries().as_chunks::<4>();
        blocks
            .iter()
            .zip(pieces(self.weights, k.saturating_mul(4)))
            .map(move |(block, weights)| (block, four(weights, k)))
    }

    /// The channels that are left over, with their weights.
    #[inline]
    fn rest(&self) -> impl Iterator<Item = (&'m Entry, &'m [i8])> {
        let (blocks, rest) = self.channels.entries().as_chunks::<4>();
        let at = blocks.len().wrapping_mul(4).wrapping_mul(self.k);
        rest.iter().zip(pieces(self.weights.get(at..).unwrap_or_default(), self.k))
    }

    /// All channels of one output pixel, from its patch.
    pub(super) fn one<B: Backend>(&self, patch: &[i8], out: &mut [i8], stage: &OutputStage) {
        let patch = patch.get(..self.k).unwrap_or_default();
        let (mut weights, mut entries, mut out) = (self.weights, self.channels.entries(), out);
        while !entries.is_empty() {
            // The last block may be of fewer channels: then some rows are multiplied twice.
            let row = |index: usize| {
                let start = index.min(entries.len().saturating_sub(1)).wrapping_mul(self.k);
                weights.get(start..start.wrapping_add(self.k)).unwrap_or_default()
            };
            let sums = B::dot_1x4(patch, [row(0), row(1), row(2), row(3)]);
            for &sum in &sums {
                let (Some((entry, more)), Some((to, rest))) = (entries.split_first(), take(&mut out).split_first_mut())
                else {
                    return;
                };
                *to = finish(stage, sum, entry);
                (entries, out) = (more, rest);
            }
            weights = weights.get(self.k.wrapping_mul(4)..).unwrap_or_default();
        }
    }

    /// All channels of two output pixels, from their patches.
    pub(super) fn two<B: Backend>(&self, patches: [&[i8]; 2], outs: [&mut [i8]; 2], stage: &OutputStage) {
        let patches = patches.map(|patch| patch.get(..self.k).unwrap_or_default());
        let [first, second] = outs;
        let mut outs = first.iter_mut().zip(second);
        for (channels, weights) in self.blocks() {
            let [sums, others] = B::dot_2x4(patches, weights);
            for (((sum, other), channel), (out, next)) in sums.into_iter().zip(others).zip(channels).zip(&mut outs) {
                *out = finish(stage, sum, channel);
                *next = finish(stage, other, channel);
            }
        }
        let [patch, other] = patches;
        for ((channel, weights), (out, next)) in self.rest().zip(&mut outs) {
            *out = finish(stage, B::dot(patch, weights), channel);
            *next = finish(stage, B::dot(other, weights), channel);
        }
    }
}
