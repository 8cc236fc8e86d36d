//! The range of half-precision outputs.
//!
//! Everything in half precision is computed in single precision and in a fixed order, each operation rounded by itself,
//! so that every processor gives the same bits, with a floating-point unit or without one.

pub use crate::float16::*;
use crate::quant::Clamp;
use crate::tensor::DType;

/// The range of an operator's output, in numbers: what rounds its results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The least.
    pub low: f32,
    /// The greatest.
    pub high: f32,
}

impl Bounds {
    /// All finite halves.
    pub const FULL: Self = Self::of(Clamp::full(DType::F16));

    /// Those of a clamp, which has ordinals.
    pub const fn of(clamp: Clamp) -> Self {
        Self { low: from_ordinal(clamp.min).to_f32_const(), high: from_ordinal(clamp.max).to_f32_const() }
    }

    /// The nearest half within the bounds; zero is positive.
    #[inline]
    pub fn half(&self, x: f32) -> f16 {
        let x = if x < self.low {
            self.low
        } else if x > self.high {
            self.high
        } else {
            x
        };
        let half = narrow(x);
        if half.to_bits() == f16::NEG_ZERO.to_bits() { f16::ZERO } else { half }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_clamped_to_the_largest() {
        for (x, expected) in
            [(65519.0, 65504.0), (65520.0, 65504.0), (f32::MAX, 65504.0), (-1e9, -65504.0), (-0.0, 0.0)]
        {
            let found = Bounds::FULL.half(x);
            assert_eq!(found.to_f32().to_bits(), f32::to_bits(expected), "{x}");
        }
    }
}
