//! The encoding of operators' parameters: each kind of parameter is a module with both directions, `read` and `write`.

use super::{ConvAlgorithm, Curve, DepthwiseAlgorithm, Encoding, Weights};
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
                    $($crate::ops::encoding::$fixed::write(writer, ());)?
                    $crate::ops::encoding::$kind::write(writer, self.$field);
                )*
            }
        }
    };
}
pub(super) use encoding;

/// The kinds of parameters: `name: type or fault, reader of an option, writer`.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)?: $type:ty | $fault:ident,
        |$block:ident| $read:expr,
        |$writer:ident, $value:ident| $write:expr;
    )*) => {$(
        $(#[$doc])*
        pub mod $name {
            use super::*;

            pub const fn read $(<$life>)? ($block: &mut Block<$($life)?>) -> Result<$type, ModelError> {
                let at = $block.at();
                match $read {
                    Some(value) => Ok(value),
                    None => Err(ModelError::new(Fault::$fault, at)),
                }
            }

            #[cfg(feature = "std")]
            pub fn write $(<$life>)? ($writer: &mut Writer, $value: $type) {
                $write;
            }
        }
    )*};
}

/// A test as an option.
const fn only_if<T: Copy>(valid: bool, value: T) -> Option<T> {
    if valid { Some(value) } else { None }
}

kinds! {
    /// Two words of any meaning.
    pair: [u32; 2] | Truncated, |block| Some(attempt!(block.words())), |writer, pair| writer.words(pair);

    /// Two signed integers.
    integers: [i32; 2] | Truncated,
        |block| {
            let [a, b] = attempt!(block.words());
            Some([a as i32, b as i32])
        },
        |writer, pair| writer.words(pair.map(|value| value as u32));

    /// Three words of any meaning.
    triple: [u32; 3] | Truncated, |block| Some(attempt!(block.words())), |writer, triple| writer.words(triple);

    /// A signed integer.
    integer: i32 | Truncated, |block| Some(attempt!(block.word()) as i32), |writer, value| writer.words([value as u32]);

    /// Yes or no: 1 or 0.
    flag: bool | Algorithm,
        |block| match attempt!(block.word()) {
            flag @ 0..=1 => Some(flag == 1),
            _ => None,
        },
        |writer, flag| writer.words([flag.into()]);

    /// An element of any type: an integer of 16 bits.
    element: i16 | Clamp,
        |block| {
            let value = attempt!(block.word()) as i32;
            only_if(value as i16 as i32 == value, value as i16)
        },
        |writer, value| integer::write(writer, value.into());

    /// A number in single precision.
    float: f32 | Truncated,
        |block| Some(f32::from_bits(attempt!(block.word()))),
        |writer, value| writer.words([value.to_bits()]);

    /// Kernel, stride, padding before, padding after, each vertical then horizontal.
    window: Window | Window,
        |block| {
            let [a, b, c, d, e, f, g, h] = attempt!(block.words());
            let window = Window { kernel: [a, b], stride: [c, d], before: [e, f], after: [g, h] };
            only_if(window.is_valid(), window)
        },
        |writer, window| {
            let Window { kernel, stride, before, after } = window;
            [kernel, stride, before, after].into_iter().for_each(|pair| writer.words(pair))
        };

    /// Words for a dilation, which must be 1.
    undilated: () | Dilation,
        |block| only_if(matches!(attempt!(block.words()), [1, 1]), ()),
        |writer, _unit| writer.words([1, 1]);

    /// A word for the algorithm of an operator that has only one.
    direct: () | Algorithm, |block| only_if(attempt!(block.word()) == 0, ()), |writer, _unit| writer.words([0]);

    /// An algorithm of convolution.
    conv_algorithm: ConvAlgorithm | Algorithm,
        |block| ConvAlgorithm::from_code(attempt!(block.word())),
        |writer, algorithm| writer.words([algorithm.code()]);

    /// An algorithm of depthwise convolution.
    depthwise_algorithm: DepthwiseAlgorithm | Algorithm,
        |block| DepthwiseAlgorithm::from_code(attempt!(block.word())),
        |writer, algorithm| writer.words([algorithm.code()]);

    /// Which sigmoid.
    curve: Curve | Algorithm,
        |block| Curve::from_code(attempt!(block.word())),
        |writer, curve| writer.words([curve.code()]);

    /// The rounding mode of an operator with weights.
    weighted_rounding: Rounding | Rounding,
        |block| Rounding::from_code(attempt!(block.word())),
        |writer, rounding| writer.words([rounding.code()]);

    /// The rounding mode of an operator without weights.
    rounding: Rounding | Rounding,
        |block| match Rounding::from_code(attempt!(block.word())) {
            Some(Rounding::Wide) => None,
            rounding => rounding,
        },
        |writer, rounding| writer.words([rounding.code()]);

    /// The activation range.
    clamp: Clamp | Clamp,
        |block| {
            let [min, max] = attempt!(block.words());
            only_if(min as i32 <= max as i32, Clamp { min: min as i32, max: max as i32 })
        },
        |writer, clamp| writer.words([clamp.min as u32, clamp.max as u32]);

    /// A multiplier and its shift.
    multiplier: Multiplier | Multiplier,
        |block| {
            let [multiplier, shift] = attempt!(block.words());
            let factor = Multiplier { multiplier: multiplier as i32, shift: shift as i32 };
            only_if(factor.is_valid(), factor)
        },
        |writer, factor| writer.words([factor.multiplier as u32, factor.shift as u32]);

    /// The multipliers of both operands.
    multipliers: [Multiplier; 2] | Multiplier,
        |block| Some([attempt!(multiplier::read(block)), attempt!(multiplier::read(block))]),
        |writer, factors| factors.into_iter().for_each(|factor| multiplier::write(writer, factor));

    /// Whether there is a linear form, and its constants.
    linear: Option<[i32; 3]> | Algorithm,
        |block| match attempt!(block.words()) {
            [0, _, _, _] => Some(None),
            [1, a, b, offset] => Some(Some([a as i32, b as i32, offset as i32])),
            _ => None,
        },
        |writer, linear| {
            let [a, b, offset] = linear.unwrap_or_default().map(|constant| constant as u32);
            writer.words([u32::from(linear.is_some()), a, b, offset])
        };

    /// Bytes at a multiple of four.
    bytes<'m>: &'m [i8] | Weights,
        |block| Some(cast::as_i8(attempt!(block.data(4)))),
        |writer, bytes| writer.data(cast::as_u8(bytes));

    /// Weights: bytes at a multiple of four, and how they are stored.
    weights<'m>: Weights<'m> | Weights,
        |block| {
            let (bytes, code) = attempt!(block.coded(4));
            match Encoding::from_code(code) {
                Some(encoding) => Some(Weights { bytes: cast::as_i8(bytes), encoding }),
                None => None,
            }
        },
        |writer, weights| writer.coded(cast::as_u8(weights.bytes), weights.encoding.code());

    /// The per-channel table. Its entries are the business of `check`, which runs once: steps are decoded before every run.
    channels<'m>: Channels<'m> | Weights,
        |block| Channels::new(attempt!(block.data(4))),
        |writer, channels| writer.data(channels.bytes());

    /// A list of numbers, little-endian.
    list<'m>: &'m [u8] | Weights, |block| Some(attempt!(block.data(2))), |writer, list| writer.data(list);

    /// A table of all int8 elements.
    entries<'m>: &'m [i8; 256] | Weights,
        |block| match cast::as_i8(attempt!(block.data(1))).split_first_chunk() {
            Some((entries, [])) => Some(entries),
            _ => None,
        },
        |writer, entries| writer.data(cast::as_u8(entries));
}

/// A table of `N` bytes.
pub mod table {
    use super::*;

    pub const fn read<'m, const N: usize>(block: &mut Block<'m>) -> Result<&'m [u8; N], ModelError> {
        let at = block.at();
        match attempt!(block.data(1)).split_first_chunk() {
            Some((table, [])) => Ok(table),
            _ => Err(ModelError::new(Fault::Weights, at)),
        }
    }

    #[cfg(feature = "std")]
    pub fn write(writer: &mut Writer, table: &[u8]) {
        writer.data(table);
    }
}
