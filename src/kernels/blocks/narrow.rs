//! Weights of fewer bits than eight, widened some at a time. They are stored in groups of eight, and in parts that start at whole words.
//!
//! Of 4 bits, a group is a word: the first four weights in the lower halves of its bytes, the others in the upper halves, so that it
//! becomes two words of bytes by masks alone. Of a palette, a group is eight indices, packed from the lowest bit on.

use super::pairs::{even, odd};
use crate::sys::cast;
use crate::uses::{Codes, Linked};

/// How weights are stored: the upper four bits of the length word in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Encoding {
    /// One byte each; of halves two.
    #[default]
    Plain,
    /// 4 bits each.
    Nibbles,
    /// Indices of 2 to 4 bits into a palette of 4, 8 or 16 weights of one byte, which lies before them.
    Palette {
        /// Bits of an index.
        bits: u8,
    },
    /// Two bytes each, of int8 elements: those of TensorFlow Lite's uint8 models less their zero point. They are computed directly.
    Halfwords,
    /// Those of two units of a fully connected layer together: [`dense`](super::dense).
    Paired,
}

impl Encoding {
    /// Those with a palette.
    const PALETTES: Codes = Codes::of(2).union(Codes::of(3)).union(Codes::of(4));

    /// Those of fewer bits than eight.
    const NARROW: Codes = Self::PALETTES.union(Codes::of(Encoding::Nibbles.code()));

    /// Whether weights have fewer bits than eight.
    pub(crate) const fn is_narrow(self) -> bool {
        matches!(self, Encoding::Nibbles | Encoding::Palette { .. })
    }

    /// The same, in a program that has such weights.
    #[inline(always)]
    pub(crate) const fn is_linked_narrow<L: Linked>(self) -> bool {
        Self::NARROW.meets(L::SET.encodings) && self.is_narrow()
    }

    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            Encoding::Plain => 0,
            Encoding::Nibbles => 1,
            Encoding::Palette { bits } => bits as u32,
            Encoding::Halfwords => 5,
            Encoding::Paired => 6,
        }
    }

    /// The encoding of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Encoding::Plain),
            1 => Some(Encoding::Nibbles),
            2..=4 => Some(Encoding::Palette { bits: code as u8 }),
            5 => Some(Encoding::Halfwords),
            6 => Some(Encoding::Paired),
            _ => None,
        }
    }

    /// Bits of a weight.
    pub const fn bits(self) -> usize {
        match self {
            Encoding::Plain | Encoding::Paired => 8,
            Encoding::Nibbles => 4,
            Encoding::Palette { bits } => bits as usize,
            Encoding::Halfwords => 16,
        }
    }

    /// Words of a part of so many weights.
    pub const fn words(self, weights: usize) -> usize {
        weights.div_ceil(8).saturating_mul(self.bits()).div_ceil(4)
    }

    /// Words of the palette.
    pub const fn palette_words(self) -> usize {
        match self {
            Encoding::Palette { bits } => 1 << (bits.saturating_sub(2) & 3),
            Encoding::Plain | Encoding::Nibbles | Encoding::Halfwords | Encoding::Paired => 0,
        }
    }
}

/// A part of such weights, and what follows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Narrow<'m> {
    encoding: Encoding,
    palette: &'m [u32],
    words: &'m [u32],
}

impl<'m> Narrow<'m> {
    /// The palette, if the encoding has one, then the weights.
    #[inline]
    pub fn new(encoding: Encoding, stored: &'m [u32]) -> Self {
        let (palette, words) = stored.split_at_checked(encoding.palette_words()).unwrap_or_default();
        Self { encoding, palette, words }
    }

    /// How they are stored.
    #[inline]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The words of the weights.
    #[inline]
    pub const fn stored(&self) -> &'m [u32] {
        self.words
    }

    /// Other words with the same palette.
    #[inline]
    #[must_use]
    pub const fn part(self, words: &'m [u32]) -> Self {
        Self { words, ..self }
    }

    /// What is left from word `start` on.
    #[inline]
    #[must_use]
    pub fn from(self, start: usize) -> Self {
        self.part(self.words.get(start..).unwrap_or_default())
    }

    /// The weights that a palette's indices stand for; `None` where the weights are of 4 bits.
    #[inline(always)]
    fn looked_up<L: Linked>(&self) -> Option<[i8; 16]> {
        let Encoding::Palette { .. } = self.encoding else { return None };
        if !Encoding::PALETTES.meets(L::SET.encodings) {
            return None;
        }
        let mut palette = [0; 16];
        palette.iter_mut().zip(cast::words_as_i8(self.palette)).for_each(|(to, &from)| *to = from);
        Some(palette)
    }

    /// Widens weights to bytes, as many as there is room for.
    #[inline]
    pub fn widen<L: Linked>(&self, to: &mut [u32]) {
        match self.looked_up::<L>() {
            Some(palette) => self.look_up(&palette, to, |two| two),
            None => nibbles(self.words, to),
        }
    }

    /// Widens weights to halves of words, as many as there is room for: of each four bytes the even ones, then the odd ones.
    #[inline]
    pub fn widen_pairs<L: Linked>(&self, to: &mut [u32]) {
        match self.looked_up::<L>() {
            Some(palette) => self.look_up(&palette, to, |[a, b]| [even(a), odd(a), even(b), odd(b)]),
            None => nibble_pairs(self.words, to),
        }
    }

    /// The weights of each group as two words of bytes, and as what `form` makes of those.
    #[inline(always)]
    fn look_up<const N: usize>(&self, palette: &[i8; 16], to: &mut [u32], form: impl Fn([u32; 2]) -> [u32; N]) {
        let bits = self.encoding.bits();
        let mask = (1u32 << (bits & 7)).wrapping_sub(1) & 15;
        let groups = cast::as_u8(cast::words_as_i8(self.words)).chunks(bits.max(1));
        for (to, group) in to.chunks_mut(N).zip(groups) {
            let mut indices = group.iter().rev().fold(0u32, |indices, &byte| indices << 8 | u32::from(byte));
            let two = [(); 2].map(|()| {
                let mut word = 0u32;
                for _ in 0..4 {
                    let weight = palette.get((indices & mask) as usize).copied().unwrap_or_default();
                    word = word >> 8 | u32::from(weight as u8) << 24;
                    indices >>= bits & 7;
                }
                word
            });
            to.iter_mut().zip(form(two)).for_each(|(to, word)| *to = word);
        }
    }
}

/// The bytes of a word's weights.
#[inline(always)]
const fn bytes(nibbles: u32) -> [u32; 2] {
    [extended(nibbles), extended(nibbles >> 4)]
}

/// The lower halves of the bytes, sign-extended: no difference of two of these bytes borrows from the next.
#[inline(always)]
const fn extended(nibbles: u32) -> u32 {
    ((nibbles & 0x0F0F_0F0F) ^ 0x8888_8888).wrapping_sub(0x0808_0808) ^ 0x8080_8080
}

/// Widens weights of 4 bits to bytes.
fn nibbles(nibbles: &[u32], to: &mut [u32]) {
    let (whole, rest) = to.as_chunks_mut::<2>();
    let count = whole.len();
    whole.iter_mut().zip(nibbles).for_each(|(to, &from)| *to = bytes(from));
    if let ([last], Some(&from)) = (rest, nibbles.get(count)) {
        [*last, _] = bytes(from);
    }
}

/// Widens weights of 4 bits to halves of words.
fn nibble_pairs(nibbles: &[u32], to: &mut [u32]) {
    let (whole, rest) = to.as_chunks_mut::<4>();
    let count = whole.len();
    let pairs = |from: u32| {
        let [a, b] = bytes(from);
        [even(a), odd(a), even(b), odd(b)]
    };
    whole.iter_mut().zip(nibbles).for_each(|(to, &from)| *to = pairs(from));
    if let Some(&from) = nibbles.get(count) {
        rest.iter_mut().zip(pairs(from)).for_each(|(to, from)| *to = from);
    }
}

#[cfg(feature = "std")]
mod export {
    use super::Encoding;

    impl Encoding {
        /// The encodings that hold these weights in fewer than 8 bits each: those of 4 bits, where none takes more, and the least
        /// palette of them and 0, with which parts are filled up.
        pub fn narrower(weights: &[i8]) -> impl Iterator<Item = Self> {
            let nibbles = weights.iter().all(|weight| (-8..8).contains(weight)).then_some(Encoding::Nibbles);
            let colors = colors(weights).len();
            let palette = (2..=4).find(|&bits| colors <= 1 << bits).map(|bits| Encoding::Palette { bits });
            // With as many bits the masks are faster than a table.
            let palette = palette.filter(|palette| nibbles.is_none_or(|nibbles| palette.bits() < nibbles.bits()));
            nibbles.into_iter().chain(palette)
        }

        /// The palette of these weights, and nothing for an encoding without one.
        pub fn palette(self, weights: &[i8]) -> Vec<i8> {
            let mut colors = if self.palette_words() > 0 { colors(weights) } else { Vec::new() };
            colors.resize(4 * self.palette_words(), 0);
            colors
        }

        /// Packs a part, filled up with zeros to whole words; `None` when the encoding or the `palette` does not have one of the weights,
        /// or it does not narrow them.
        pub fn pack(self, palette: &[i8], weights: &[i8]) -> Option<Vec<u8>> {
            let index = |weight: i8| match self {
                Encoding::Plain | Encoding::Halfwords | Encoding::Paired => None,
                Encoding::Nibbles => (-8..8).contains(&weight).then_some(weight as u64 & 15),
                Encoding::Palette { .. } => palette.iter().position(|&color| color == weight).map(|index| index as u64),
            };
            // Where the index of each weight of a group starts.
            let bit = |at: usize| match self {
                Encoding::Nibbles => 8 * (at % 4) + 4 * (at / 4),
                _ => self.bits() * at,
            };
            let mut bytes = Vec::new();
            for group in weights.chunks(8) {
                let filled = group.iter().copied().chain(std::iter::repeat(0)).take(8).enumerate();
                let word = filled.map(|(at, weight)| Some(index(weight)? << bit(at))).sum::<Option<u64>>()?;
                bytes.extend_from_slice(&word.to_le_bytes()[..self.bits()]);
            }
            bytes.resize(4 * self.words(weights.len()), 0);
            Some(bytes)
        }

        /// Packs the rows of `len` weights each, behind their palette; `None` as [`pack`](Self::pack).
        pub fn pack_rows(self, weights: &[i8], len: usize) -> Option<Vec<u8>> {
            let palette = self.palette(weights);
            let mut bytes: Vec<u8> = palette.iter().map(|&color| color as u8).collect();
            for row in weights.chunks(len.max(1)) {
                bytes.extend(self.pack(&palette, row)?);
            }
            Some(bytes)
        }
    }

    /// The weights that there are, each once, and 0.
    fn colors(weights: &[i8]) -> Vec<i8> {
        let mut seen = [false; 256];
        [0].iter().chain(weights).for_each(|&weight| seen[usize::from(weight as u8)] = true);
        (i8::MIN..=i8::MAX).filter(|&weight| seen[usize::from(weight as u8)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dynamic;
    use crate::kernels::blocks::pairs::{high, low};

    #[test]
    fn every_weight_comes_back() {
        let all: Vec<i8> = (0..16).map(|i| (i * 7 % 16 - 8) as i8).chain([-8, 7, 3]).collect();
        let of = |colors: &[i8]| -> Vec<i8> { (0..19).map(|i| colors[i % colors.len()]).collect() };
        let cases = [
            (Encoding::Nibbles, all, 3),
            (Encoding::Palette { bits: 2 }, of(&[-128, 0, 127]), 1 + 2),
            (Encoding::Palette { bits: 3 }, of(&[-128, 5, 90, -3, 2, 0, 8]), 2 + 3),
            (Encoding::Palette { bits: 4 }, of(&[1, -128, 5, 90, -3, 2, 0, 8, 9, 10]), 4 + 3),
        ];
        for (encoding, all, len) in cases {
            assert!(Encoding::narrower(&all).any(|found| found == encoding), "{encoding:?}");
            assert_eq!(Encoding::from_code(encoding.code()), Some(encoding));
            let packed = encoding.pack_rows(&all, all.len()).unwrap();
            let words: Vec<u32> = packed.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
            assert_eq!((packed.len(), encoding.palette_words() + encoding.words(all.len())), (4 * len, len));
            let narrow = Narrow::new(encoding, &words);
            // All, and what there is room for.
            for len in 1..=5 {
                let mut to = vec![0; len];
                narrow.widen::<Dynamic>(&mut to);
                let bytes: Vec<i8> = to.iter().flat_map(|word| word.to_le_bytes()).map(|byte| byte as i8).collect();
                let room = all.len().min(4 * len);
                assert_eq!(bytes[..room], all[..room], "{encoding:?}, {len} words");
                let mut to = vec![0; 2 * len];
                narrow.widen_pairs::<Dynamic>(&mut to);
                let halves =
                    to.as_chunks::<2>().0.iter().flat_map(|&[even, odd]| [low(even), low(odd), high(even), high(odd)]);
                assert!(halves.zip(&all).all(|(half, &weight)| half == i32::from(weight)), "{encoding:?}, {len} pairs");
            }
        }
    }

    #[test]
    fn weights_that_do_not_fit_are_not_packed() {
        for weight in [8, -9] {
            assert_eq!(Encoding::Nibbles.pack(&[], &[weight]), None);
            assert_eq!(Encoding::Palette { bits: 2 }.pack(&[0, 1, 2, 3], &[weight]), None);
        }
        let many: Vec<i8> = (-8..9).collect();
        assert_eq!(Encoding::narrower(&many).count(), 0);
        // 16 and 0 are too many for a table.
        assert_eq!(Encoding::narrower(&(20..36).collect::<Vec<_>>()).count(), 0);
        assert_eq!(
            Encoding::narrower(&[1, -1]).collect::<Vec<_>>(),
            [Encoding::Nibbles, Encoding::Palette { bits: 2 }]
        );
    }
}
