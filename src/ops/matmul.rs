//! Patches times weights: what direct convolution and the fully connected layer share.

use crate::kernels::Backend;
use crate::memory::{Element, part};
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

    /// The weights of the four channels from `first` of `count` on; in a last block of fewer the last one several times.
    #[inline]
    fn rows(&self, first: usize, count: usize) -> [&'m [N::Weight]; CHANNELS] {
        let last = count.saturating_sub(1);
        [0, 1, 2, 3].map(|channel| {
            let start = first.wrapping_add(channel).min(last).wrapping_mul(self.k);
            part(self.weights, start, self.k)
        })
    }

    /// What the sums of the channels from `first` on start from.
    #[inline]
    fn start(&self, first: usize) -> [N::Sum; CHANNELS] {
        let mut sums = [N::Sum::default(); CHANNELS];
        N::start(&self.stage, first, &mut sums);
        sums
    }

    /// All channels of one output pixel, from its patch.
    pub(super) fn one<B: Backend>(&self, patch: &[N::Element], out: &mut [N::Element]) {
        let patch = part(patch, 0, self.k);
        let count = out.len();
        let mut first = N::dense::<B>(&self.stage, patch, self.weights, out);
        for out in out.get_mut(first..).unwrap_or_default().chunks_mut(CHANNELS) {
            let mut sums = self.start(first);
            N::dot_1x4::<B>(patch, self.rows(first, count), &mut sums);
            N::finish(&self.stage, first, &sums, out);
            first = first.wrapping_add(CHANNELS);
        }
    }

    /// All channels of two output pixels, from their patches.
    pub(super) fn two<B: Backend>(&self, patches: [&[N::Element]; 2], [out, next]: [&mut [N::Element]; 2]) {
        let patches = patches.map(|patch| part(patch, 0, self.k));
        let (count, mut first) = (out.len(), 0);
        for (out, next) in out.chunks_mut(CHANNELS).zip(next.chunks_mut(CHANNELS)) {
            let mut sums = [self.start(first); 2];
            N::dot_2x4::<B>(patches, self.rows(first, count), &mut sums);
            let [sums, others] = &sums;
            N::finish(&self.stage, first, sums, out);
            N::finish(&self.stage, first, others, next);
            first = first.wrapping_add(CHANNELS);
        }
    }
}
