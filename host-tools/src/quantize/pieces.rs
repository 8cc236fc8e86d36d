//! Functions of one element in float16: the line of halves cut into pieces, each with a cubic polynomial that is near enough.

use kinglet::f16;
use kinglet::kernels::float16::{LARGEST, from_ordinal};
use kinglet::ops::Piecewise;

use crate::graph::Pieces;

/// How near a polynomial is to the function, in units of the space between halves there. Rounding to a half adds at most one
/// half, so that an output is the nearest half to the function or its neighbour on the function's other side.
pub const TOLERANCE: f64 = 0.25;

/// Coefficients of a polynomial, the constant first.
const TERMS: usize = 4;

/// Halves of a piece by which its polynomial is found; all of them are then held against it.
const SAMPLES: usize = 96;

/// The function `f` in as few pieces as are found, for every half within [`TOLERANCE`]. Results beyond the largest half are that, and
/// where `f` gives no number the result is 0.
pub fn fit(f: impl Fn(f64) -> f64) -> Pieces {
    let line = Line::new(f);
    let mut pieces = Pieces { starts: Vec::new(), polynomials: Vec::new() };
    let mut start = -LARGEST;
    while start <= LARGEST {
        let (last, polynomial) = line.longest(start);
        pieces.starts.push(start as i16);
        pieces.polynomials.push(polynomial);
        start = last + 1;
    }
    pieces
}

/// The function of all halves.
struct Line {
    /// By ordinal, from the least half on.
    values: Vec<f64>,
}

/// The space between halves at `y`: 11 bits are significant, and none is finer than 2^-24.
pub fn spacing(y: f64) -> f64 {
    const LEAST: f64 = 1.0 / (1 << 24) as f64;
    let exponent = if y == 0.0 { f64::NEG_INFINITY } else { y.abs().log2().floor() };
    (exponent - 10.0).exp2().max(LEAST)
}

fn real(ordinal: i32) -> f64 {
    from_ordinal(ordinal).to_f64()
}

fn limited(y: f64) -> f64 {
    if y.is_nan() { 0.0 } else { y.clamp(f16::MIN.to_f64(), f16::MAX.to_f64()) }
}

impl Line {
    fn new(f: impl Fn(f64) -> f64) -> Self {
        Self { values: (-LARGEST..=LARGEST).map(|at| limited(f(real(at)))).collect() }
    }

    fn value(&self, at: i32) -> f64 {
        self.values[(at + LARGEST) as usize]
    }

    /// The last half of the longest piece from `start` on that is found, by doubling and halving, and its polynomial.
    fn longest(&self, start: i32) -> (i32, [f32; TERMS]) {
        // One half alone is always right.
        let mut found = (start, [self.value(start) as f32, 0.0, 0.0, 0.0]);
        let mut wrong = LARGEST + 1;
        let mut step = 1;
        while found.0 + step < wrong {
            match self.polynomial(start, found.0 + step) {
                Some(polynomial) => (found, step) = ((found.0 + step, polynomial), 2 * step),
                None => (wrong, step) = (found.0 + step, 1),
            }
            step = step.min((wrong - found.0) / 2).max(1);
        }
        found
    }

    /// The polynomial of least degree that is near enough for all halves from `start` to `last`.
    fn polynomial(&self, start: i32, last: i32) -> Option<[f32; TERMS]> {
        (0..TERMS).find_map(|degree| self.of_degree(start, last, degree))
    }

    fn of_degree(&self, start: i32, last: i32, degree: usize) -> Option<[f32; TERMS]> {
        let origin = real(start.max(0.min(last + 1)).min(LARGEST));
        let step = ((last - start) as usize / SAMPLES).max(1);
        let samples: Vec<i32> = (start..last).step_by(step).chain([last]).collect();
        let extent = samples.iter().map(|&at| (real(at) - origin).abs()).fold(f64::MIN_POSITIVE, f64::max);
        let rows = samples.iter().map(|&at| ((real(at) - origin) / extent, self.value(at)));
        let terms = least_squares(rows, degree)?;
        let mut polynomial = [0.0; TERMS];
        for (power, (coefficient, term)) in polynomial.iter_mut().zip(&terms).enumerate() {
            *coefficient = (term / extent.powi(power as i32)) as f32;
        }
        let limited = polynomial.iter().all(|c| c.abs() < Piecewise::LIMIT);
        let near = |at: i32| {
            let t = (real(at) - origin) as f32;
            let found = polynomial.iter().rev().fold(0.0, |sum: f32, &c| sum * t + c);
            let y = self.value(at);
            (self::limited(found.into()) - y).abs() <= TOLERANCE * spacing(y)
        };
        // Samples first: they tell most of what is wrong.
        (limited && samples.iter().all(|&at| near(at)) && (start..=last).all(near)).then_some(polynomial)
    }
}

/// The polynomial in `t` that is nearest to `y`, in units of the spaces at `y`: the normal equations, by Gauss and Jordan.
fn least_squares(rows: impl Iterator<Item = (f64, f64)>, degree: usize) -> Option<Vec<f64>> {
    let n = degree + 1;
    let mut matrix = vec![vec![0.0; n + 1]; n];
    for (t, y) in rows {
        let weight = spacing(y).powi(-2);
        let mut powers = vec![1.0; n + 1];
        (1..n).for_each(|i| powers[i] = powers[i - 1] * t);
        powers[n] = y;
        for (row, &power) in matrix.iter_mut().zip(&powers) {
            row.iter_mut().zip(&powers).for_each(|(sum, other)| *sum += weight * power * other);
        }
    }
    for column in 0..n {
        let largest = (column..n).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, largest);
        let pivot = matrix[column].clone();
        if pivot[column] == 0.0 {
            return None;
        }
        for (_, row) in matrix.iter_mut().enumerate().filter(|(at, _)| *at != column) {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    Some((0..n).map(|i| matrix[i][n] / matrix[i][i]).collect())
}
