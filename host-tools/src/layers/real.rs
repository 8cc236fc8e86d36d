//! The number type of a network: f32 to train, f64 to check gradients.

use ndarray::NdFloat;

use super::blocks::{self, Outer, Row};
use crate::simd;

/// A float type that the layers compute in.
pub trait Real: NdFloat + Default + std::iter::Sum {
    /// Rounds.
    fn of(value: f64) -> Self;
    /// Widens.
    fn wide(self) -> f64;

    /// One row of a convolution, see `Row`.
    fn row(row: &Row<'_, Self>, out: &mut [Self]) {
        blocks::row(row, out);
    }

    /// One tile of a weight gradient, see `Outer`.
    fn outer(outer: &Outer<'_, Self>, out: &mut [Self]) {
        blocks::outer(outer, out);
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn row(row: &Row<'_, Self>, out: &mut [Self]) {
        simd::row(row, out);
    }

    fn outer(outer: &Outer<'_, Self>, out: &mut [Self]) {
        simd::outer(outer, out);
    }
}
