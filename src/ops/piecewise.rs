//! A function of one f16, as a cubic polynomial for each of several pieces of the number line.
//!
//! A table of all halves would take 128 KB. Pieces are as long as a cubic is near enough, so that a bend of the function is
//! the end of a piece and a straight line is one piece: whoever writes the model finds them.

use core::ops::Range;

use super::encoding::encoding;
use super::members::pointwise;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::float16::{LARGEST, f16, from_ordinal, ordinal, widen};
use crate::kernels::Backend;
use crate::kernels::float16::Bounds;
use crate::numbers::Numbers;
use crate::tensor::{DType, Shape};
use crate::uses::Linked;

/// Bytes of the place where a piece starts.
const START: usize = 2;

/// Bytes of a piece's polynomial.
const POLYNOMIAL: usize = 16;

/// Any function of one half: TANH, LOGISTIC, HARD_SWISH, GELU and the like.
///
/// A piece is the halves from its start to before the next one's. Its origin is the number nearest to 0 between the two
/// starts, both included; the last piece's end is the largest half. Of `t`, the element less the origin, the function is
/// `((c3 * t + c2) * t + c1) * t + c0` in single precision, each operation rounded by itself, and the result the nearest half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piecewise<'m> {
    /// The pieces' starts, as little-endian ordinals of halves of 16 bits, the least half first, rising.
    pub starts: &'m [u8],
    /// Of each piece `c0`, `c1`, `c2`, `c3`, little-endian numbers in single precision whose magnitudes are below 2^72, with which
    /// no sum and no product overflows.
    pub polynomials: &'m [u8],
}

encoding!(Piecewise<'m> { starts: list, polynomials: list });

impl<'m> Piecewise<'m> {
    /// Magnitudes of coefficients are below this.
    pub const LIMIT: f32 = f32::from_bits((127 + 72) << 23);

    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::of_type(&tensors.output, DType::F16));
        attempt!(rules::demand(self.is_valid(), Fault::Weights));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    /// Whether there is a polynomial for each start, starts rise from the least half on, and coefficients are below the limit.
    const fn is_valid(&self) -> bool {
        let (mut starts, mut polynomials) = (self.starts, self.polynomials);
        let mut before = None;
        while let [low, high, rest @ ..] = starts {
            let start = i16::from_le_bytes([*low, *high]) as i32;
            let rises = match before {
                None => start == -LARGEST,
                Some(before) => start > before && start <= LARGEST,
            };
            let Some((polynomial, others)) = polynomials.split_first_chunk::<POLYNOMIAL>() else { return false };
            if !rises || !is_limited(polynomial) {
                return false;
            }
            (starts, polynomials, before) = (rest, others, Some(start));
        }
        starts.is_empty() && polynomials.is_empty() && before.is_some()
    }

    pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [self.starts, self.polynomials]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        if self.starts.is_empty() || self.starts.len() / START > self.polynomials.len() / POLYNOMIAL {
            return io.broken();
        }
        elementwise::each_pixel::<f16>(io, rows, |pixel| {
            pixel.iter_mut().for_each(|element| *element = self.at(*element));
        });
    }

    /// The function of one element.
    fn at(&self, x: f16) -> f16 {
        let (starts, _) = self.starts.as_chunks::<START>();
        let (polynomials, _) = self.polynomials.as_chunks::<POLYNOMIAL>();
        let place = ordinal(x);
        let of = |start: &[u8; START]| i32::from(i16::from_le_bytes(*start));
        let next = starts.partition_point(|start| of(start) <= place);
        // The first piece starts at the least half; nothing is below it but infinity.
        let piece = next.saturating_sub(1);
        let start = |at: usize| starts.get(at).map_or(LARGEST, of);
        let origin = start(piece).max(0.min(start(next)));
        let Some(polynomial) = polynomials.get(piece) else { return x };
        let t = widen(x) - widen(from_ordinal(origin));
        let (terms, _) = polynomial.as_chunks::<4>();
        let sum = terms.iter().rev().fold(0.0, |sum: f32, &term| sum * t + f32::from_le_bytes(term));
        Bounds::FULL.half(sum)
    }
}

/// Whether the magnitudes of all coefficients are below the limit.
const fn is_limited(polynomial: &[u8; POLYNOMIAL]) -> bool {
    let mut rest: &[u8] = polynomial;
    while let [a, b, c, d, tail @ ..] = rest {
        let magnitude = f32::from_le_bytes([*a, *b, *c, *d]).abs();
        if magnitude.is_nan() || magnitude >= Piecewise::LIMIT {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::elementwise::tests::tensor;
    use super::*;
    use crate::tensor::QuantParams;

    fn bytes(starts: &[i32], polynomials: &[[f32; 4]]) -> (Vec<u8>, Vec<u8>) {
        let starts = starts.iter().flat_map(|&start| (start as i16).to_le_bytes()).collect();
        (starts, polynomials.iter().flatten().flat_map(|c| c.to_le_bytes()).collect())
    }

    fn place(x: f32) -> i32 {
        ordinal(f16::from_f32(x))
    }

    /// A parabola left of -2, a line through 0 to 1, and a cubic from there on: each from the end of its piece that is nearer to 0.
    #[test]
    fn every_half_is_in_its_piece() {
        let (starts, polynomials) = bytes(
            &[-LARGEST, place(-2.0), place(1.0)],
            &[[-1.0, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.0], [0.5, 2.0, -1.0, 0.25]],
        );
        let piecewise = Piecewise { starts: &starts, polynomials: &polynomials };
        assert!(piecewise.is_valid());
        for x in (-LARGEST..=LARGEST).map(from_ordinal) {
            let real = x.to_f64();
            let expected = match real {
                ..-2.0 => -1.0 + 0.5 * (real + 2.0) * (real + 2.0),
                ..1.0 => 0.5 * real,
                _ => 0.5 + 2.0 * (real - 1.0) - (real - 1.0).powi(2) + 0.25 * (real - 1.0).powi(3),
            };
            let expected = expected.clamp(-65504.0, 65504.0);
            let found = piecewise.at(x).to_f64();
            assert!((found - expected).abs() <= expected.abs() / 2048.0 + 6e-8, "{real}: {found}, expected {expected}");
        }
        // What is no number gives some half, and no fault.
        for x in [f16::INFINITY, f16::NEG_INFINITY, f16::NAN] {
            piecewise.at(x);
        }
    }

    #[test]
    fn refuses_pieces_that_are_out_of_order_or_out_of_range() {
        let line = [0.0, 1.0, 0.0, 0.0];
        let valid = |starts: &[i32], polynomials: &[[f32; 4]]| {
            let (starts, polynomials) = bytes(starts, polynomials);
            Piecewise { starts: &starts, polynomials: &polynomials }.is_valid()
        };
        assert!(valid(&[-LARGEST, 5, LARGEST], &[line; 3]));
        for (starts, polynomials) in [
            (&[][..], &[][..]),
            (&[-LARGEST + 1], &[line]),
            (&[-LARGEST, 5, 5], &[line; 3]),
            (&[-LARGEST, 5, 4], &[line; 3]),
            (&[-LARGEST, LARGEST + 1], &[line; 2]),
            (&[-LARGEST, 5], &[line; 3]),
            (&[-LARGEST, 5], &[line]),
            (&[-LARGEST], &[[0.0, f32::NAN, 0.0, 0.0]]),
            (&[-LARGEST], &[[0.0, 0.0, 0.0, -Piecewise::LIMIT]]),
        ] {
            assert!(!valid(starts, polynomials), "{starts:?} {polynomials:?}");
        }
        let (starts, polynomials) = bytes(&[-LARGEST], &[line]);
        let piecewise = Piecewise { starts: &starts, polynomials: &polynomials };
        let map = |shape, dtype, at| crate::tensor::Tensor { dtype, ..tensor(shape, QuantParams::REAL, at) };
        let small = Shape::new(2, 2, 2);
        let check = |shape, dtype| piecewise.check(&Operands { a: map(small, DType::F16, 0), b: None, output: map(shape, dtype, 64) });
        assert_eq!(check(small, DType::F16), Ok(()));
        assert_eq!(check(Shape::vector(8), DType::F16), Err(Fault::ShapeRule));
        assert_eq!(check(small, DType::I16), Err(Fault::QuantRule));
    }
}
