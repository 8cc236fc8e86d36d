//! The number type of a network: f32 to train, f64 to check gradients.

use ndarray::NdFloat;

use super::blocks::{self, Outer, Row};
use super::simd;
use super::transforms::{self, Run};

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

    /// Winograd's transform of inputs, see `transforms::input`.
    fn winograd_input(run: Run, rows: [&[Self]; 4], out: &mut [Self]) {
        transforms::input(run, rows, out);
    }

    /// Winograd's transform of gradients, see `transforms::gradient`.
    fn winograd_gradient(run: Run, rows: [&[Self]; 2], out: &mut [Self]) {
        transforms::gradient(run, rows, out);
    }

    /// Winograd's transform of products, see `transforms::output`.
    fn winograd_output(run: Run, products: &[Self], rows: [&mut [Self]; 2], accumulate: bool) {
        transforms::output(run, products, rows, accumulate);
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

    fn winograd_input(run: Run, rows: [&[Self]; 4], out: &mut [Self]) {
        simd::winograd_input(run, rows, out);
    }

    fn winograd_gradient(run: Run, rows: [&[Self]; 2], out: &mut [Self]) {
        simd::winograd_gradient(run, rows, out);
    }

    fn winograd_output(run: Run, products: &[Self], rows: [&mut [Self]; 2], accumulate: bool) {
        simd::winograd_output(run, products, rows, accumulate);
    }
}
