//! Patches times weights: what direct convolution and the fully connected layer share.

use crate::kernels::Backend;
use crate::memory::Element;
use crate::numbers::Numbers;
use crate::quant::{Channels, OutputStage};

/// Channels that are computed at a time.
const CHANNELS: usize = 4;

/// Weights `[channels][k]` and what makes outputs of their sums.
pub(super) struct Weights<'m, N: Numbers> {
    weights: &'m [N::Weight],
    k: usize,
    stage: N::Stage<'m>,
}

impl<'m, N: Numbers> Weights<'m, N> {
    /// The bytes `weights`, `k` for each entry of `channels`.
    pub(super) fn new(weights: &'m [i8], channels: Channels<'m>, stage: OutputStage, k: usize) -> Self {
        Self { weights: N::Weight::of(weights), k, stage: N::stage(stage, channels) }
    }

    /// The numbers of the channels of block `block`. In a last block of fewer channels the last one several times.
    fn channels(block: usize, count: usize) -> [usize; CHANNELS] {
        let last = count.saturating_sub(1);
        [0, 1, 2, 3].map(|channel| block.wrapping_mul(CHANNELS).wrapping_add(channel).min(last))
    }

    /// The weights of a channel.
    fn row(&self, channel: usize) -> &'m [N::Weight] {
        let start = channel.wrapping_mul(self.k);
        self.weights.get(start..start.wrapping_add(self.k)).unwrap_or_default()
    }

    /// All channels of one output pixel, from its patch.
    pub(super) fn one<B: Backend>(&self, patch: &[N::Element], out: &mut [N::Element]) {
        let patch = patch.get(..self.k).unwrap_or_default();
        let count = out.len();
        for (block, out) in out.chunks_mut(CHANNELS).enumerate() {
            let channels = Self::channels(block, count);
            let mut sums = channels.map(|channel| N::start(&self.stage, channel));
            N::dot_1x4::<B>(patch, channels.map(|channel| self.row(channel)), &mut sums);
            for ((out, sum), channel) in out.iter_mut().zip(sums).zip(channels) {
                *out = N::finish(&self.stage, channel, sum);
            }
        }
    }

    /// All channels of two output pixels, from their patches.
    pub(super) fn two<B: Backend>(&self, patches: [&[N::Element]; 2], [first, second]: [&mut [N::Element]; 2]) {
        let patches = patches.map(|patch| patch.get(..self.k).unwrap_or_default());
        let count = first.len();
        let outs = first.chunks_mut(CHANNELS).zip(second.chunks_mut(CHANNELS));
        for (block, (first, second)) in outs.enumerate() {
            let channels = Self::channels(block, count);
            let mut sums = [channels.map(|channel| N::start(&self.stage, channel)); 2];
            N::dot_2x4::<B>(patches, channels.map(|channel| self.row(channel)), &mut sums);
            for (out, sums) in [first, second].into_iter().zip(sums) {
                for ((out, sum), channel) in out.iter_mut().zip(sums).zip(channels) {
                    *out = N::finish(&self.stage, channel, sum);
                }
            }
        }
    }
}
