//! Writing model files, for the host tools.

/// Collects the parameter blocks and weights of a model file.
#[derive(Debug, Default)]
pub struct Writer {
    params: Vec<u8>,
    weights: Vec<u8>,
}

impl Writer {
    /// Every weights entry starts at a multiple of this many bytes, so that kernels may load words.
    pub const WEIGHT_ALIGN: usize = 16;

    /// Appends a word to the current parameter block.
    pub fn word(&mut self, word: u32) {
        self.params.extend_from_slice(&word.to_le_bytes());
    }

    /// Appends words to the current parameter block.
    pub fn words<const N: usize>(&mut self, words: [u32; N]) {
        words.into_iter().for_each(|w| self.word(w));
    }

    /// Appends `data` to the weights section, 16-byte aligned, and its offset there and length to the current
    /// parameter block.
    pub fn data(&mut self, data: &[u8]) {
        self.weights.resize(self.weights.len().next_multiple_of(Self::WEIGHT_ALIGN), 0);
        self.words([self.weights.len() as u32, data.len() as u32]);
        self.weights.extend_from_slice(data);
    }
}
