//! One file per instruction set: the few block primitives that operators are written over.
//!
//! Each primitive is a provided method of [`Backend`] whose body is its definition: an instruction set overrides
//! those that it does better and must give the same bits, on every input.

pub mod algorithms;
pub mod blocks;
pub mod float16;
mod portable;

use float16::f16;
pub use portable::Portable;

pub use crate::sys::Dsp;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub use crate::sys::Sse2;

/// The backend that this build was compiled for.
#[cfg(kinglet_dsp)]
pub type Active = Dsp;
/// The backend that this build was compiled for.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub type Active = Sse2;
/// The backend that this build was compiled for.
#[cfg(not(any(kinglet_dsp, all(target_arch = "x86_64", target_feature = "sse2"))))]
pub type Active = Portable;

/// A rectangle of pixels of a tensor, seen from one channel on.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// The tensor's elements, from the first column and the first channel of interest of its first kept row on.
    pub elements: &'a [i8],
    /// The kept row that the first row of pixels lies in.
    pub first_row: usize,
    /// Rows that the tensor keeps: after the last comes the first, in a line buffer.
    pub kept_rows: usize,
    /// Rows of pixels.
    pub rows: usize,
    /// Pixels in a row.
    pub columns: usize,
    /// Elements from one row to the next.
    pub row_pitch: usize,
    /// Elements from one pixel to the next.
    pub pitch: usize,
}

impl<'a> Pixels<'a> {
    /// Every pixel's elements from the channel of interest on, row by row.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a [i8]> {
        let Self { elements, first_row, kept_rows, rows, columns, row_pitch, pitch } = *self;
        (0..rows).flat_map(move |row| {
            let row = first_row.wrapping_add(row);
            let row = if row < kept_rows { row } else { row.wrapping_sub(kept_rows) };
            let row = elements.get(row.wrapping_mul(row_pitch)..).unwrap_or_default();
            (0..columns).map(move |column| row.get(column.wrapping_mul(pitch)..).unwrap_or_default())
        })
    }
}

/// Channels that the primitives over channels take at a time, at most.
pub const BLOCK: usize = 16;

/// The block primitives of one instruction set.
///
/// Sums wrap, as 32-bit registers do. Slices that should be of the same length are used up to the shortest.
pub trait Backend: blocks::Blocks {
    /// The name in reports.
    const NAME: &'static str;

    /// Dot products of two patches with four channels' weights: `[patch][channel]`.
    #[inline]
    fn dot_2x4(patches: [&[i8]; 2], weights: [&[i8]; 4]) -> [[i32; 4]; 2] {
        portable::dot_2x4(patches, weights)
    }

    /// Dot products of one patch with four channels' weights.
    #[inline]
    fn dot_1x4(patch: &[i8], weights: [&[i8]; 4]) -> [i32; 4] {
        portable::dot_1x4(patch, weights)
    }

    /// The dot product of one patch with one channel's weights.
    #[inline]
    fn dot(patch: &[i8], weights: &[i8]) -> i32 {
        portable::dot(patch, weights)
    }

    /// `sums[c] = sum over taps t of patch[t * pitch + c] * weights[t * pitch + c]`, for at most [`BLOCK`] channels.
    #[inline]
    fn multiply_taps(patch: &[i8], weights: &[i8], pitch: usize, sums: &mut [i32]) {
        portable::multiply_taps(patch, weights, pitch, sums);
    }

    /// `sums[c]` = the sum of the pixels' channel `c`, for at most [`BLOCK`] channels.
    #[inline]
    fn sum(pixels: &Pixels<'_>, sums: &mut [i32]) {
        portable::sum(pixels, sums);
    }

    /// Adds to `sums` the products of a patch with four channels' weights, in the order of the elements; each product and
    /// each sum is rounded to single precision.
    #[inline]
    fn dot_f16_1x4(patch: &[f16], weights: [&[f16]; 4], sums: &mut [f32; 4]) {
        float16::dot_1x4(patch, weights, sums);
    }

    /// Adds two rows of elements with rescaling, into the first: `left = left + right`.
    #[inline]
    fn add(left: &mut [i8], right: &[i8], terms: &AddTerms) {
        match &terms.linear {
            Some(constants) => Self::add_by_line(left, right, terms, constants),
            None => portable::add(left, right, terms),
        }
    }

    /// [`Backend::add`] in the linear form that `terms` has, with these constants.
    #[inline]
    fn add_by_line(left: &mut [i8], right: &[i8], terms: &AddTerms, constants: &[i32; 3]) {
        Self::add_linear(left, right, constants);
        let (low, high) = (terms.stage.clamp.min as i8, terms.stage.clamp.max as i8);
        if low != i8::MIN || high != i8::MAX {
            Self::clamp(left, low, high);
        }
    }
}

/// The constants of an addition with rescaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddTerms {
    /// Zero point of the left and of the right operand.
    pub zero_points: [i32; 2],
    /// Factors of the left and of the right operand.
    pub factors: [crate::quant::Multiplier; 2],
    /// Factor of the sum.
    pub output_factor: crate::quant::Multiplier,
    /// Rounding, zero point and clamp of the output.
    pub stage: crate::quant::OutputStage,
    /// Constants of [`blocks::elementwise::add_linear`] that give the same sums before the clamp.
    pub linear: Option<[i32; 3]>,
}

impl AddTerms {
    /// Bits that int8 operands are shifted left by before they are scaled.
    pub const LEFT_SHIFT: u32 = 20;

    /// The same for elements of type `dtype`: their differences from the zero point keep within 32 bits.
    pub const fn left_shift(dtype: crate::tensor::DType) -> u32 {
        match dtype {
            crate::tensor::DType::I8 => Self::LEFT_SHIFT,
            crate::tensor::DType::I16 | crate::tensor::DType::F16 => 15,
        }
    }

    /// The same with left and right exchanged.
    pub const fn swapped(self) -> Self {
        let ([a, b], [c, d]) = (self.zero_points, self.factors);
        let linear = match self.linear {
            Some([a, b, offset]) => Some([b, a, offset]),
            None => None,
        };
        Self { zero_points: [b, a], factors: [d, c], linear, ..self }
    }
}
