//! The encoding of operators' parameters: each kind of parameter has a module with both directions, `read` and `write`.

use super::{ConvAlgorithm, Curve, DepthwiseAlgorithm};
#[cfg(feature = "std")]
use crate::bytes::Writer;
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::quant::{Channels, Clamp, Multiplier, Rounding};
use crate::sys::cast;
use crate::window::Window;

/// An operator's parameters in the order of the file, `field: kind`, where a kind is a module of [`encoding`](self); `[kind]`
/// stands for words that are no field.
macro_rules! encoding {
    ($op:ident $(<$life:lifetime>)? { $($([$fixed:ident])? $field:ident: $kind:ident),* $(,)? }) => {
        impl $(<$life>)? $op $(<$life>)? {
            pub(super) const fn decode(block: &mut $crate::bytes::Block<$($life)?>) -> Result<Self, $crate::ModelError> {
                let _ = &block;
                $(
                    $($crate::bytes::attempt!($crate::ops::encoding::$fixed::read(block));)?
                    let $field = $crate::bytes::attempt!($crate::ops::encoding::$kind::read(block));
                )*
                Ok(Self { $($field),* })
            }

            #[cfg(feature = "std")]
            pub(super) fn encode(&self, writer: &mut $crate::bytes::Writer) {
                let _ = &writer;
                $(
                    $($crate::ops::encoding::$fixed::write(writer);)?
                    $crate::ops::encoding::$kind::write(writer, self.$field);
                )*
            }
        }
    };
}
pub(super) use encoding;

/// Words of any meaning.
pub mod words {
    use super::*;

    pub const fn read<const N: usize>(block: &mut Block<'_>) -> Result<[u32; N], ModelError> {
        let (mut words, mut index) = ([0; N], 0);
        while index < N {
            words[index] = attempt!(block.word());
            index += 1;
        }
        Ok(words)
    }

    #[cfg(feature = "std")]
    pub fn write<const N: usize>(writer: &mut Writer, words: [u32; N]) {
        writer.words(words);
    }
}

/// A signed integer.
pub mod integer {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<i32, ModelError> {
        Ok(attempt!(block.word()) as i32)
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, value: i32) {
        writer.words([value as u32]);
    }
}

/// An element of any type: an integer of 16 bits.
pub mod element {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<i16, ModelError> {
        let at = block.at();
        let value = attempt!(block.word()) as i32;
        if value as i16 as i32 == value { Ok(value as i16) } else { Err(ModelError::new(Fault::Clamp, at)) }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, value: i16) {
        integer::write(writer, value.into());
    }
}

/// A number in single precision.
pub mod float {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<f32, ModelError> {
        Ok(f32::from_bits(attempt!(block.word())))
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, value: f32) {
        writer.words([value.to_bits()]);
    }
}

/// Kernel, stride, padding before, padding after, each vertical then horizontal.
pub mod window {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<Window, ModelError> {
        let at = block.at();
        let [a, b, c, d, e, f, g, h] = attempt!(words::read(block));
        let window = Window { kernel: [a, b], stride: [c, d], before: [e, f], after: [g, h] };
        if window.is_valid() { Ok(window) } else { Err(ModelError::new(Fault::Window, at)) }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, window: Window) {
        let Window { kernel, stride, before, after } = window;
        [kernel, stride, before, after].into_iter().for_each(|pair| writer.words(pair));
    }
}

/// The rounding mode of an operator with weights.
pub mod weighted_rounding {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<Rounding, ModelError> {
        let at = block.at();
        match Rounding::from_code(attempt!(block.word())) {
            Some(rounding) => Ok(rounding),
            None => Err(ModelError::new(Fault::Rounding, at)),
        }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, rounding: Rounding) {
        writer.words([rounding.code()]);
    }
}

/// The rounding mode of an operator without weights.
pub mod rounding {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<Rounding, ModelError> {
        let at = block.at();
        match attempt!(weighted_rounding::read(block)) {
            Rounding::Wide => Err(ModelError::new(Fault::Rounding, at)),
            rounding => Ok(rounding),
        }
    }

    #[cfg(feature = "std")]
    pub use weighted_rounding::write;
}

/// The activation range.
pub mod clamp {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<Clamp, ModelError> {
        let at = block.at();
        let clamp = Clamp { min: attempt!(block.word()) as i32, max: attempt!(block.word()) as i32 };
        if clamp.min <= clamp.max { Ok(clamp) } else { Err(ModelError::new(Fault::Clamp, at)) }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, clamp: Clamp) {
        writer.words([clamp.min as u32, clamp.max as u32]);
    }
}

/// A multiplier and its shift.
pub mod multiplier {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<Multiplier, ModelError> {
        let at = block.at();
        let factor = Multiplier { multiplier: attempt!(block.word()) as i32, shift: attempt!(block.word()) as i32 };
        if factor.is_valid() { Ok(factor) } else { Err(ModelError::new(Fault::Multiplier, at)) }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, factor: Multiplier) {
        writer.words([factor.multiplier as u32, factor.shift as u32]);
    }
}

/// The multipliers of both operands.
pub mod multipliers {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<[Multiplier; 2], ModelError> {
        Ok([attempt!(multiplier::read(block)), attempt!(multiplier::read(block))])
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, factors: [Multiplier; 2]) {
        factors.into_iter().for_each(|factor| multiplier::write(writer, factor));
    }
}

/// Whether there is a linear form, and its constants.
pub mod linear {
    use super::*;

    pub const fn read(block: &mut Block<'_>) -> Result<Option<[i32; 3]>, ModelError> {
        let at = block.at();
        let [form, a, b, offset] = attempt!(words::read(block));
        match form {
            0 => Ok(None),
            1 => Ok(Some([a as i32, b as i32, offset as i32])),
            _ => Err(ModelError::new(Fault::Algorithm, at)),
        }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, linear: Option<[i32; 3]>) {
        writer.words([u32::from(linear.is_some())]);
        writer.words(linear.unwrap_or_default().map(|constant| constant as u32));
    }
}

/// An enumeration with `code` and `from_code`: an algorithm, a function.
macro_rules! code {
    ($name:ident: $type:ty) => {
        pub mod $name {
            use super::*;

            pub const fn read(block: &mut Block<'_>) -> Result<$type, ModelError> {
                let at = block.at();
                match <$type>::from_code(attempt!(block.word())) {
                    Some(value) => Ok(value),
                    None => Err(ModelError::new(Fault::Algorithm, at)),
                }
            }

            #[cfg(feature = "std")]
            pub fn write(writer: &mut Writer, value: $type) {
                writer.words([value.code()]);
            }
        }
    };
}
code!(conv_algorithm: ConvAlgorithm);
code!(depthwise_algorithm: DepthwiseAlgorithm);
code!(curve: Curve);

/// Words that must have these values.
macro_rules! fixed {
    ($name:ident: $words:expr, $fault:expr) => {
        pub mod $name {
            use super::*;

            pub const fn read(block: &mut Block<'_>) -> Result<(), ModelError> {
                let at = block.at();
                let mut expected: &[u32] = &$words;
                while let [word, rest @ ..] = expected {
                    if attempt!(block.word()) != *word {
                        return Err(ModelError::new($fault, at));
                    }
                    expected = rest;
                }
                Ok(())
            }

            #[cfg(feature = "std")]
            pub fn write(writer: &mut Writer) {
                writer.words($words);
            }
        }
    };
}
fixed!(undilated: [1, 1], Fault::Dilation);
fixed!(direct: [0], Fault::Algorithm);

/// Weights: bytes at a multiple of four.
pub mod weights {
    use super::*;

    pub const fn read<'m>(block: &mut Block<'m>) -> Result<&'m [i8], ModelError> {
        Ok(cast::as_i8(attempt!(block.data(4))))
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, weights: &[i8]) {
        writer.data(cast::as_u8(weights));
    }
}

/// The per-channel table. Its entries are the business of `check`, which runs once: steps are decoded before every run.
pub mod channels {
    use super::*;

    pub const fn read<'m>(block: &mut Block<'m>) -> Result<Channels<'m>, ModelError> {
        let at = block.at();
        match Channels::new(attempt!(block.data(4))) {
            Some(channels) => Ok(channels),
            None => Err(ModelError::new(Fault::Weights, at)),
        }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, channels: Channels<'_>) {
        writer.data(channels.bytes());
    }
}

/// A list of little-endian numbers.
pub mod list {
    use super::*;

    pub const fn read<'m>(block: &mut Block<'m>) -> Result<&'m [u8], ModelError> {
        block.data(2)
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, list: &[u8]) {
        writer.data(list);
    }
}

/// A table of `N` bytes.
pub mod table {
    use super::*;

    pub const fn read<'m, const N: usize>(block: &mut Block<'m>) -> Result<&'m [u8; N], ModelError> {
        let at = block.at();
        let table = attempt!(block.data(1));
        match table.first_chunk() {
            Some(chunk) if table.len() == N => Ok(chunk),
            _ => Err(ModelError::new(Fault::Weights, at)),
        }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, table: &[u8]) {
        writer.data(table);
    }
}

/// A table of 256 int8 elements.
pub mod entries {
    use super::*;

    pub const fn read<'m>(block: &mut Block<'m>) -> Result<&'m [i8; 256], ModelError> {
        let at = block.at();
        match cast::as_i8(attempt!(table::read::<256>(block))).first_chunk() {
            Some(entries) => Ok(entries),
            None => Err(ModelError::new(Fault::Weights, at)),
        }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, entries: &[i8; 256]) {
        writer.data(cast::as_u8(entries));
    }
}
