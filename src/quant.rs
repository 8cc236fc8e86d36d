//! Quantized arithmetic: multipliers, rounding, activation ranges, and the per-channel tables of a model file.
//!
//! Everything follows TensorFlow Lite bit for bit where TensorFlow Lite is defined; where it would overflow, the
//! arithmetic here wraps, so that debug and release builds agree.

use crate::float16::{self, f16};
use crate::internal::internal;
use crate::tensor::{DType, QuantParams};

/// How a scaled accumulator is rounded to the output's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rounding {
    /// Twice, as TensorFlow Lite Micro and CMSIS-NN do by default: after the high multiplication and after the
    /// shift, the latter half away from zero.
    #[default]
    Double,
    /// Once, half up, as `TFLITE_SINGLE_ROUNDING` does.
    Single,
    /// Once, half up, of a 64-bit sum times a multiplier of 16 bits: what TensorFlow Lite does with 16-bit activations and
    /// 64-bit biases. Only in operators with weights, whose table then holds [`WideChannel`]s.
    Wide,
}

impl Rounding {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            Rounding::Double => 0,
            Rounding::Single => 1,
            Rounding::Wide => 2,
        }
    }

    /// The rounding mode of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Rounding::Double),
            1 => Some(Rounding::Single),
            2 => Some(Rounding::Wide),
            _ => None,
        }
    }
}

/// A positive real factor, `multiplier * 2^(shift - 31)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Multiplier {
    /// The mantissa in Q0.31; not negative, and at least `2^30` unless the factor is (nearly) zero.
    pub multiplier: i32,
    /// The power of two: positive shifts left.
    pub shift: i32,
}

impl Multiplier {
    /// The factor 0.
    pub const ZERO: Self = Self { multiplier: 0, shift: 0 };

    /// Whether the multiplier is not negative and the shift in `-31..=30`.
    pub const fn is_valid(self) -> bool {
        self.multiplier >= 0 && self.shift >= -31 && self.shift <= 30
    }

    /// The nearest representable factor, as TensorFlow Lite's `QuantizeMultiplier` chooses it: the mantissa is rounded
    /// half away from zero, factors below `2^-32` become 0, factors of `2^30` and more saturate.
    ///
    /// `None` for a negative, infinite or not-a-number `real`.
    pub const fn from_real(real: f64) -> Option<Self> {
        let bits = real.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i32;
        if exponent == 0x7ff || (bits >> 63 != 0 && bits << 1 != 0) {
            return None;
        }
        let mut shift = exponent - 1022;
        if exponent == 0 || shift < -32 {
            return Some(Self::ZERO);
        }
        let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
        let mut multiplier = (mantissa + (1 << 21)) >> 22;
        if multiplier == 1 << 31 {
            multiplier = 1 << 30;
            shift += 1;
        }
        if shift < -31 {
            return Some(Self::ZERO);
        }
        if shift > 30 {
            return Some(Self { multiplier: i32::MAX, shift: 30 });
        }
        Some(Self { multiplier: multiplier as i32, shift })
    }

    /// This factor divided by `n`, as TensorFlow Lite's integer MEAN folds its division into the output multiplier.
    ///
    /// The quotient is truncated with as many bits kept as the precondition `shift >= -31` allows. `n = 0` counts as 1.
    pub const fn divided_by(self, n: u32) -> Self {
        let n = if n == 0 { 1 } else { n };
        let mut keep = 31 - n.leading_zeros() as i32;
        if keep > 31 + self.shift {
            keep = 31 + self.shift;
        }
        if keep < 0 {
            keep = 0;
        }
        let multiplier = ((self.multiplier as i64) << keep) / n as i64;
        Self { multiplier: multiplier as i32, shift: self.shift.wrapping_sub(keep) }
    }
}

/// `(x * m + (round << 16)) >> 32` for `round` of 0, which rounds down, or 2^15, which rounds to the nearest.
#[inline(always)]
pub(crate) const fn high_product(x: i32, m: i32, round: i32) -> i32 {
    if cfg!(kinglet_armv6) {
        high_product_of_halves(x, m, round)
    } else {
        ((x as i64 * m as i64).wrapping_add((round as i64) << 16) >> 32) as i32
    }
}

/// The same on a core whose products have 32 bits: in products of halves.
#[inline(always)]
pub(crate) const fn high_product_of_halves(x: i32, m: i32, round: i32) -> i32 {
    let (x_high, x_low) = (x >> 16, x & 0xffff);
    let (m_high, m_low) = (m >> 16, m & 0xffff);
    let low = (x_low as u32).wrapping_mul(m_low as u32) >> 16;
    // No sum leaves 32 bits: (2^15 - 1) * (2^16 - 1) + (2^16 - 2) + 2^15 is the greatest number that they hold. With
    // `round` in the other sum it would be one more.
    let middle = x_high.wrapping_mul(m_low).wrapping_add((low as i32).wrapping_add(round));
    let other = x_low.wrapping_mul(m_high).wrapping_add(middle & 0xffff);
    x_high.wrapping_mul(m_high).wrapping_add(middle >> 16).wrapping_add(other >> 16)
}

/// `round(x * y / 2^31)`, half up; saturates for the one product that does not fit.
pub(crate) const fn rounding_doubling_high_mul(x: i32, y: i32) -> i32 {
    if x == i32::MIN && y == i32::MIN {
        return i32::MAX;
    }
    if cfg!(kinglet_armv6) {
        return doubling_high_mul_of_halves(x, y);
    }
    (((x as i64) * (y as i64) + (1 << 30)) >> 31) as i32
}

/// The same, without saturation, on a core whose products have 32 bits: the upper word, doubled, with the bit below and the one by which
/// it is rounded.
pub(crate) const fn doubling_high_mul_of_halves(x: i32, y: i32) -> i32 {
    let (high, low) = (high_product_of_halves(x, y, 0), x.wrapping_mul(y) as u32);
    high.wrapping_shl(1).wrapping_add((low >> 31) as i32).wrapping_add((low >> 30 & 1) as i32)
}

/// `round(x / 2^exponent)`, half away from zero; `exponent` is taken modulo 32.
pub(crate) const fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let mask = (1i32.wrapping_shl(exponent)).wrapping_sub(1);
    let remainder = x & mask;
    let threshold = ((mask as u32) >> 1) as i32 + (x < 0) as i32;
    x.wrapping_shr(exponent).wrapping_add((remainder > threshold) as i32)
}

/// `acc` times `factor`, rounded to an integer.
///
/// A left shift that overflows wraps; an invalid `factor` gives some number, never a panic.
#[inline]
pub const fn requantize(acc: i32, factor: Multiplier, rounding: Rounding) -> i32 {
    match rounding {
        Rounding::Double => {
            if factor.shift > 0 {
                rounding_doubling_high_mul(acc.wrapping_shl(factor.shift as u32), factor.multiplier)
            } else {
                let high = rounding_doubling_high_mul(acc, factor.multiplier);
                rounding_divide_by_pot(high, factor.shift.wrapping_neg() as u32)
            }
        }
        Rounding::Single | Rounding::Wide => {
            let total = 31i32.wrapping_sub(factor.shift) as u32;
            let half = 1i64.wrapping_shl(total.wrapping_sub(1));
            (acc as i64 * factor.multiplier as i64).wrapping_add(half).wrapping_shr(total) as i32
        }
    }
}

internal! {
    /// `1 / sqrt(x)` as TensorFlow Lite computes it: five steps of Newton's method in Q3.28 for an `x` that is brought between 1/4 and 1
    /// by a power of four. Of 0 it is that of 1.
    const fn inverse_root(x: u64) -> Multiplier {
        const HALF_ROOT_OF_TWO: i32 = 1_518_500_250;
        const fn rescaled(x: i32, bits: u32) -> i32 {
            let x = (x as i64).wrapping_shl(bits);
            if x > i32::MAX as i64 { i32::MAX } else if x < i32::MIN as i64 { i32::MIN } else { x as i32 }
        }
        if x <= 1 {
            return Multiplier { multiplier: i32::MAX, shift: 0 };
        }
        let (mut x, mut right) = (x, 11i32);
        while x >= 1 << 29 {
            x >>= 2;
            right = right.wrapping_add(1);
        }
        // In 2^27..2^29 thereafter.
        while x < 1 << 27 {
            x = x.wrapping_shl(2);
            right = right.wrapping_sub(1);
        }
        let input = (x >> 1) as i32;
        let half = rounding_divide_by_pot(input, 1);
        let (mut root, mut step) = (1i32 << 28, 0);
        while step < 5 {
            let square = rounding_doubling_high_mul(root, root);
            let cube = rescaled(rounding_doubling_high_mul(square, root), 6);
            let more = rounding_doubling_high_mul(3 << 27, root);
            root = rescaled(more.wrapping_sub(rounding_doubling_high_mul(half, cube)), 3);
            step += 1;
        }
        let root = rounding_doubling_high_mul(root, HALF_ROOT_OF_TWO);
        if right < 0 {
            Multiplier { multiplier: root.wrapping_shl(right.unsigned_abs()), shift: 0 }
        } else {
            Multiplier { multiplier: root, shift: right.wrapping_neg() }
        }
    }
}

/// An activation function that an operator applies by clamping its integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
}

/// The range that an operator's output is clamped to, in quantized units, both ends included; of halves their ordinals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Clamp {
    /// The smallest value.
    pub min: i32,
    /// The largest value.
    pub max: i32,
}

impl Clamp {
    /// The whole range of `dtype`.
    pub const fn full(dtype: DType) -> Self {
        Self { min: dtype.min(), max: dtype.max() }
    }

    /// The range of `activation` for an output quantized with `quant`: `zero_point + round(bound / scale)` in single
    /// precision, half away from zero, within the range of `dtype`. Of halves the bounds are exact.
    pub const fn activation(activation: Activation, quant: QuantParams, dtype: DType) -> Self {
        let full = Self::full(dtype);
        if dtype.same(DType::F16) {
            const ONE: i32 = float16::ordinal(f16::ONE);
            const SIX: i32 = float16::ordinal(f16::from_f32_const(6.0));
            return match activation {
                Activation::None => full,
                Activation::Relu => Self { min: 0, ..full },
                Activation::Relu6 => Self { min: 0, max: SIX },
                Activation::ReluN1To1 => Self { min: -ONE, max: ONE },
            };
        }
        let (min, max) = match activation {
            Activation::None => (None, None),
            Activation::Relu => (Some(0.0), None),
            Activation::Relu6 => (Some(0.0), Some(6.0)),
            Activation::ReluN1To1 => (Some(-1.0), Some(1.0)),
        };
        let min = match min {
            Some(real) => full.apply(quantize(real, quant)),
            None => full.min,
        };
        let max = match max {
            Some(real) => full.apply(quantize(real, quant)),
            None => full.max,
        };
        Self { min, max }
    }

    /// Whether the range is not empty and lies within the range of `dtype`.
    pub const fn is_valid(self, dtype: DType) -> bool {
        let full = Self::full(dtype);
        full.min <= self.min && self.min <= self.max && self.max <= full.max
    }

    /// The value in the range that is nearest to `value`.
    #[inline]
    pub const fn apply(self, value: i32) -> i32 {
        if value < self.min {
            self.min
        } else if value > self.max {
            self.max
        } else {
            value
        }
    }
}

/// The integer that stands for `real`: `zero_point + round(real / scale)` in single precision, half away from zero,
/// not clamped to an element type. Saturates; not-a-number becomes the zero point.
pub const fn quantize(real: f32, quant: QuantParams) -> i32 {
    let scaled = real / quant.scale;
    let whole = scaled as i32;
    let rest = scaled - whole as f32;
    let rounded = if rest >= 0.5 {
        whole.saturating_add(1)
    } else if rest <= -0.5 {
        whole.saturating_sub(1)
    } else {
        whole
    };
    rounded.saturating_add(quant.zero_point)
}

/// What the accumulator of one output channel needs to become an output: one entry of a [`Channels`] table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    /// The bias with the input's zero point folded in: `bias - zero_point * sum(weights)`.
    pub bias: i32,
    /// `input scale * weight scale / output scale`.
    pub factor: Multiplier,
}

impl Channel {
    /// Bytes of an entry in a model file: bias, multiplier, shift, each a little-endian `i32`.
    pub const BYTES: usize = 12;

    /// Folds the input's zero point into `bias`; `weight_sum` is the sum of the channel's weights.
    ///
    /// The operator then pads with the zero point and multiplies plain integers.
    pub const fn folded(bias: i32, input_zero_point: i32, weight_sum: i32, factor: Multiplier) -> Self {
        Self { bias: bias.wrapping_sub(input_zero_point.wrapping_mul(weight_sum)), factor }
    }

    /// As in a model file.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.bias.to_le_bytes();
        let [e, f, g, h] = self.factor.multiplier.to_le_bytes();
        let [i, j, k, l] = self.factor.shift.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// From a model file.
    #[inline]
    pub const fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        Self {
            bias: i32::from_le_bytes([a, b, c, d]),
            factor: Multiplier {
                multiplier: i32::from_le_bytes([e, f, g, h]),
                shift: i32::from_le_bytes([i, j, k, l]),
            },
        }
    }
}

/// What the 64-bit accumulator of one output channel needs to become a 16-bit output: one entry of a [`Channels`] table
/// where the operator rounds as [`Rounding::Wide`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WideChannel {
    /// The bias.
    pub bias: i64,
    /// The factor's mantissa in Q0.15; not negative.
    pub multiplier: i16,
    /// The factor's power of two, in `-31..=7`.
    pub shift: i16,
}

impl WideChannel {
    /// The entry for a bias and a factor, whose mantissa is rounded to 15 bits, half up, as TensorFlow Lite does it.
    pub const fn new(bias: i64, factor: Multiplier) -> Self {
        let reduced = (factor.multiplier as i64 + (1 << 15)) >> 16;
        let multiplier = if reduced > i16::MAX as i64 { i16::MAX } else { reduced as i16 };
        Self { bias, multiplier, shift: factor.shift as i16 }
    }

    /// Whether the multiplier is not negative and the shift in `-31..=7`.
    pub const fn is_valid(self) -> bool {
        self.multiplier >= 0 && self.shift >= -31 && self.shift <= 7
    }

    /// As in a model file: the bias, a little-endian `i64`, then multiplier and shift.
    pub const fn to_bytes(self) -> [u8; Channel::BYTES] {
        let [a, b, c, d, e, f, g, h] = self.bias.to_le_bytes();
        let ([i, j], [k, l]) = (self.multiplier.to_le_bytes(), self.shift.to_le_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// From a model file.
    #[inline]
    pub const fn from_bytes(bytes: &[u8; Channel::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        Self {
            bias: i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            multiplier: i16::from_le_bytes([i, j]),
            shift: i16::from_le_bytes([k, l]),
        }
    }

    /// `sum` plus the bias, times the factor, rounded once, half up. Wraps where it overflows.
    #[inline]
    pub const fn apply(self, sum: i64) -> i32 {
        let total = 15i32.wrapping_sub(self.shift as i32) as u32;
        let half = 1i64.wrapping_shl(total.wrapping_sub(1));
        let product = sum.wrapping_add(self.bias).wrapping_mul(self.multiplier as i64);
        product.wrapping_add(half).wrapping_shr(total) as i32
    }
}

/// The per-channel table of an operator with weights, read where it lies in the model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels<'m> {
    entries: &'m [[u8; Channel::BYTES]],
}

impl<'m> Channels<'m> {
    /// A table over `bytes`, or `None` when they are not a whole number of entries, at least one.
    pub const fn new(bytes: &'m [u8]) -> Option<Self> {
        match bytes.as_chunks() {
            (entries, []) if !entries.is_empty() => Some(Self { entries }),
            _ => None,
        }
    }

    /// Number of channels.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no channels; never true of a table that [`Channels::new`] made.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries as they lie in the model file, to be read with [`Channel::from_bytes`].
    pub const fn entries(&self) -> &'m [[u8; Channel::BYTES]] {
        self.entries
    }

    /// The bytes in the model file.
    pub const fn bytes(&self) -> &'m [u8] {
        self.entries.as_flattened()
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Channel> + 'm {
        self.entries.iter().map(Channel::from_bytes)
    }

    /// Whether every factor is valid, of an operator that rounds as `rounding` says.
    pub const fn is_valid(&self, rounding: Rounding) -> bool {
        let mut rest = self.entries;
        while let [entry, others @ ..] = rest {
            let valid = match rounding {
                Rounding::Wide => WideChannel::from_bytes(entry).is_valid(),
                _ => Channel::from_bytes(entry).factor.is_valid(),
            };
            if !valid {
                return false;
            }
            rest = others;
        }
        true
    }
}

/// The last stage of an integer operator: scale, round, add the zero point, clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputStage {
    /// How the scaled accumulator is rounded.
    pub rounding: Rounding,
    /// The output's zero point.
    pub zero_point: i32,
    /// The activation range.
    pub clamp: Clamp,
}

impl OutputStage {
    /// `acc` times `factor`, in the output's range.
    #[inline]
    pub const fn scale(&self, acc: i32, factor: Multiplier) -> i32 {
        self.clamp.apply(requantize(acc, factor, self.rounding).wrapping_add(self.zero_point))
    }

    /// The int8 output of a channel whose products sum to `acc`.
    #[inline]
    pub const fn apply(&self, acc: i32, channel: Channel) -> i8 {
        self.scale(acc.wrapping_add(channel.bias), channel.factor) as i8
    }
}
