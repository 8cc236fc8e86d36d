//! Patches times weights: what direct convolution and the fully connected layer share.

use super::Weights;
use crate::kernels::Backend;
use crate::kernels::blocks::narrow::Narrow;
use crate::memory::{Element, part};
use crate::numbers::Numbers;
use crate::quant::{Channels, OutputStage};
use crate::sys::cast;
use crate::uses::Linked;

/// Channels that are computed at a time.
const CHANNELS: usize = 4;

/// Narrow weights of each channel that are widened at a time: what the stack of a small core can spare.
const WIDENED: usize = 64;

/// Weights `[channels][k]`, of fewer bits than eight if they are `NARROW`, and what makes outputs of their sums.
pub(super) struct Matrix<'m, N: Numbers, const NARROW: bool> {
    weights: &'m [N::Weight],
    narrow: Narrow<'m>,
    k: usize,
    stage: N::Stage<'m>,
}

impl<'m, N: Numbers, const NARROW: bool> Matrix<'m, N, NARROW> {
    /// `k` weights for each entry of `channels`.
    pub(super) fn new(weights: Weights<'m>, channels: Channels<'m>, stage: OutputStage, k: usize) -> Self {
        let (plain, narrow) =
            if NARROW { (Default::default(), weights.narrow()) } else { (weights.bytes, Narrow::default()) };
        Self { weights: N::Weight::of(plain), narrow, k, stage: N::stage(stage, channels) }
    }

    /// The rows of `len` elements of `all` that belong to the four channels from `first` of `count` on; in a last block of fewer the
    /// last one several times.
    #[inline]
    fn rows<T>(all: &[T], len: usize, first: usize, count: usize) -> [&[T]; CHANNELS] {
        let last = count.saturating_sub(1);
        [0, 1, 2, 3].map(|channel| part(all, first.wrapping_add(channel).min(last).wrapping_mul(len), len))
    }

    /// What the sums of the channels from `first` on start from.
    #[inline]
    fn start(&self, first: usize) -> [N::Sum; CHANNELS] {
        let mut sums = [N::Sum::default(); CHANNELS];
        N::start(&self.stage, first, &mut sums);
        sums
    }

    /// Adds the products of patches with the four channels from `first` of `count` on, some weights of each widened at a time.
    #[inline]
    fn widened<B: Backend, L: Linked, const P: usize>(
        &self,
        patches: [&[N::Element]; P],
        [first, count]: [usize; 2],
        sums: &mut [[N::Sum; CHANNELS]; P],
    ) {
        let encoding = self.narrow.encoding();
        let rows = Self::rows(self.narrow.stored(), encoding.words(self.k), first, count);
        let mut start = 0usize;
        while start < self.k {
            let len = WIDENED.min(self.k.wrapping_sub(start));
            let mut words = [[0u32; WIDENED / 4]; CHANNELS];
            for (words, row) in words.iter_mut().zip(rows) {
                self.narrow.part(row).from(encoding.words(start)).widen::<L>(words);
            }
            let weights = words.each_ref().map(|words| part(N::Weight::of(cast::words_as_i8(words)), 0, len));
            for (patch, sums) in patches.iter().zip(&mut *sums) {
                N::dot_1x4::<B>(part(patch, start, len), weights, sums);
            }
            start = start.wrapping_add(WIDENED);
        }
    }

    /// All channels of one output pixel, from its patch.
    pub(super) fn one<B: Backend, L: Linked>(&self, patch: &[N::Element], out: &mut [N::Element]) {
        let patch = part(patch, 0, self.k);
        let count = out.len();
        let mut first = if NARROW { 0 } else { N::dense::<B>(&self.stage, patch, self.weights, out) };
        for out in out.get_mut(first..).unwrap_or_default().chunks_mut(CHANNELS) {
            let mut sums = [self.start(first)];
            if NARROW {
                self.widened::<B, L, 1>([patch], [first, count], &mut sums);
            } else {
                let [sums] = &mut sums;
                N::dot_1x4::<B>(patch, Self::rows(self.weights, self.k, first, count), sums);
            }
            let [sums] = &sums;
            N::finish(&self.stage, first, sums, out);
            first = first.wrapping_add(CHANNELS);
        }
    }

    /// All channels of two output pixels, from their patches.
    pub(super) fn two<B: Backend, L: Linked>(&self, patches: [&[N::Element]; 2], [out, next]: [&mut [N::Element]; 2]) {
        let patches = patches.map(|patch| part(patch, 0, self.k));
        let (count, mut first) = (out.len(), 0);
        for (out, next) in out.chunks_mut(CHANNELS).zip(next.chunks_mut(CHANNELS)) {
            let mut sums = [self.start(first); 2];
            if NARROW {
                self.widened::<B, L, 2>(patches, [first, count], &mut sums);
            } else {
                N::dot_2x4::<B>(patches, Self::rows(self.weights, self.k, first, count), &mut sums);
            }
            let [sums, others] = &sums;
            N::finish(&self.stage, first, sums, out);
            N::finish(&self.stage, first, others, next);
            first = first.wrapping_add(CHANNELS);
        }
    }
}
