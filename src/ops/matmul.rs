//! Patches times weights: what direct convolution and the fully connected layer share.

use super::Weights;
use crate::kernels::Backend;
use crate::kernels::blocks::nibbles::widen;
use crate::memory::{Element, part};
use crate::numbers::Numbers;
use crate::quant::{Channels, OutputStage};
use crate::sys::cast;

/// Channels that are computed at a time.
const CHANNELS: usize = 4;

/// Weights of 4 bits of each channel that are widened at a time: what the stack of a small core can spare.
const WIDENED: usize = 64;

/// Weights `[channels][k]`, of 4 bits if they are `NIBBLES`, and what makes outputs of their sums.
pub(super) struct Matrix<'m, N: Numbers, const NIBBLES: bool> {
    weights: &'m [N::Weight],
    nibbles: &'m [u32],
    k: usize,
    stage: N::Stage<'m>,
}

impl<'m, N: Numbers, const NIBBLES: bool> Matrix<'m, N, NIBBLES> {
    /// `k` weights for each entry of `channels`.
    pub(super) fn new(weights: Weights<'m>, channels: Channels<'m>, stage: OutputStage, k: usize) -> Self {
        let (plain, nibbles) =
            if NIBBLES { (Default::default(), weights.words()) } else { (weights.bytes, Default::default()) };
        Self { weights: N::Weight::of(plain), nibbles, k, stage: N::stage(stage, channels) }
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
    fn widened<B: Backend, const P: usize>(
        &self,
        patches: [&[N::Element]; P],
        [first, count]: [usize; 2],
        sums: &mut [[N::Sum; CHANNELS]; P],
    ) {
        let rows = Self::rows(self.nibbles, self.k.div_ceil(8), first, count);
        let mut start = 0usize;
        while start < self.k {
            let len = WIDENED.min(self.k.wrapping_sub(start));
            let mut words = [[0u32; WIDENED / 4]; CHANNELS];
            for (words, row) in words.iter_mut().zip(rows) {
                widen(row.get(start / 8..).unwrap_or_default(), words);
            }
            let weights = words.each_ref().map(|words| part(N::Weight::of(cast::words_as_i8(words)), 0, len));
            for (patch, sums) in patches.iter().zip(&mut *sums) {
                N::dot_1x4::<B>(part(patch, start, len), weights, sums);
            }
            start = start.wrapping_add(WIDENED);
        }
    }

    /// All channels of one output pixel, from its patch.
    pub(super) fn one<B: Backend>(&self, patch: &[N::Element], out: &mut [N::Element]) {
        let patch = part(patch, 0, self.k);
        let count = out.len();
        let mut first = if NIBBLES { 0 } else { N::dense::<B>(&self.stage, patch, self.weights, out) };
        for out in out.get_mut(first..).unwrap_or_default().chunks_mut(CHANNELS) {
            let mut sums = [self.start(first)];
            if NIBBLES {
                self.widened::<B, 1>([patch], [first, count], &mut sums);
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
    pub(super) fn two<B: Backend>(&self, patches: [&[N::Element]; 2], [out, next]: [&mut [N::Element]; 2]) {
        let patches = patches.map(|patch| part(patch, 0, self.k));
        let (count, mut first) = (out.len(), 0);
        for (out, next) in out.chunks_mut(CHANNELS).zip(next.chunks_mut(CHANNELS)) {
            let mut sums = [self.start(first); 2];
            if NIBBLES {
                self.widened::<B, 2>(patches, [first, count], &mut sums);
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
