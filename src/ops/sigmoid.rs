//! The logistic function and the hyperbolic tangent of int16 elements, interpolated in a table as TensorFlow Lite does it.

use core::ops::Range;

use super::encoding::encoding;
use super::members::pointwise;
use super::{Io, Operands, elementwise, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::tensor::{DType, Shape};
use crate::uses::Linked;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// `1 / (1 + e^-x)`.
    Logistic,
    /// `tanh(x)`, which is `2 * logistic(2x) - 1`.
    Tanh,
}

impl Curve {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            Curve::Logistic => 0,
            Curve::Tanh => 1,
        }
    }

    /// The function of a code in a model file.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Curve::Logistic),
            1 => Some(Curve::Tanh),
            _ => None,
        }
    }
}

/// LOGISTIC or TANH of int16 elements; the output has scale 2^-15.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid<'m> {
    /// Which function.
    pub curve: Curve,
    /// What elements are multiplied with, and the bits by which they are shifted right then: that gives x in steps of
    /// 1/12288. The multiplier is not negative and below 2^16, the shift below 32.
    pub scale: [u32; 2],
    /// 256 little-endian values of the logistic function in Q0.16, at 0, 1/24, 2/24 and so on.
    pub table: &'m [u8; 512],
}

encoding!(Sigmoid<'m> { curve: curve, scale: pair, table: table });

impl<'m> Sigmoid<'m> {
    /// The shape rule: the input's.
    pub const fn output_shape(input: Shape) -> Shape {
        input
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::of_type(&tensors.output, DType::I16));
        let [multiplier, shift] = self.scale;
        attempt!(rules::demand(multiplier <= u16::MAX as u32 && shift <= 31, Fault::Multiplier));
        rules::shape(Some(Self::output_shape(tensors.a.shape)), &tensors.output)
    }

    pointwise!();

    pub(super) const fn constants(&self) -> [&'m [u8]; 2] {
        [self.table, &[]]
    }

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        elementwise::each_pixel::<i16>(io, rows, |pixel| {
            pixel.iter_mut().for_each(|element| *element = self.apply(*element));
        });
    }

    /// The function of one element.
    fn apply(&self, element: i16) -> i16 {
        let [multiplier, shift] = self.scale;
        let half = if shift == 0 { 0 } else { 1i32.wrapping_shl(shift.wrapping_sub(1)) };
        let x = i32::from(element).wrapping_mul(multiplier as i32).wrapping_add(half).wrapping_shr(shift);
        // Between two entries of the table there are 2^9 values of x, or of 2x 2^8.
        let (bits, most) = match self.curve {
            Curve::Logistic => (9, 0x7fff << 10),
            Curve::Tanh => (8, 0xffff << 8),
        };
        let magnitude = x.unsigned_abs();
        let (entries, _) = self.table.as_chunks::<2>();
        let entry = |at: u32| entries.get(at as usize).map_or(0, |&bytes| u32::from(u16::from_le_bytes(bytes)));
        let at = magnitude.wrapping_shr(bits);
        let value = if at >= 255 {
            most
        } else {
            let (low, high) = (entry(at), entry(at.wrapping_add(1)));
            let between = magnitude & (1u32.wrapping_shl(bits)).wrapping_sub(1);
            low.wrapping_shl(bits).wrapping_add(between.wrapping_mul(high.wrapping_sub(low))) as i32
        };
        let result = match (self.curve, x >= 0) {
            (Curve::Logistic, true) => value.wrapping_add(1 << 9).wrapping_shr(10),
            (Curve::Logistic, false) => (1i32 << 25).wrapping_sub(value).wrapping_add((1 << 9) - 1).wrapping_shr(10),
            (Curve::Tanh, true) => value.wrapping_sub(1 << 23).wrapping_add(1 << 7).wrapping_shr(8),
            (Curve::Tanh, false) => (1i32 << 23).wrapping_sub(value).wrapping_add((1 << 7) - 1).wrapping_shr(8),
        };
        result as i16
    }
}
