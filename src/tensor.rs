//! What a tensor is: shape, element type, quantization, and its place in the arena.

use core::ops::Range;

use crate::float16;
use crate::internal::internal;
use crate::memory::Region;
use crate::uses::Codes;

/// The shape of one image or feature map, `H x W x C` (NHWC with N = 1).
///
/// Vectors are `1 x 1 x C`, so flattening a map keeps its bytes and changes only this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    pub h: u32,
    /// Columns.
    pub w: u32,
    /// Channels.
    pub c: u32,
}

impl Shape {
    /// `h x w x c`.
    pub const fn new(h: u32, w: u32, c: u32) -> Self {
        Self { h, w, c }
    }

    /// Number of elements, saturating at [`u32::MAX`].
    pub const fn len(self) -> u32 {
        self.h.saturating_mul(self.w).saturating_mul(self.c)
    }

    /// Whether some dimension is zero.
    pub const fn is_empty(self) -> bool {
        self.h == 0 || self.w == 0 || self.c == 0
    }

    internal! {
        /// The largest extent of one dimension and the largest number of elements of a tensor.
        ///
        /// Below these, no offset computed from a checked tensor overflows 32 bits.
        const MAX_DIM: u32 = 1 << 20;
        /// See [`Shape::MAX_DIM`].
        const MAX_LEN: u32 = 1 << 28;
    }

    internal! {
        /// A vector of `c` elements, `1 x 1 x c`.
        const fn vector(c: u32) -> Self {
            Self { h: 1, w: 1, c }
        }

        /// Equality that a `const fn` can ask for.
        const fn same(self, other: Self) -> bool {
            self.h == other.h && self.w == other.w && self.c == other.c
        }

        /// Whether every dimension is in `1..=MAX_DIM` and the element count at most [`Shape::MAX_LEN`].
        const fn is_valid(self) -> bool {
            !self.is_empty()
                && self.h <= Self::MAX_DIM
                && self.w <= Self::MAX_DIM
                && self.c <= Self::MAX_DIM
                && self.len() <= Self::MAX_LEN
        }
    }
}

/// Element type of an activation tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DType {
    /// Signed 8-bit, `real = (q - zero_point) * scale`.
    I8,
    /// Signed 16-bit, `real = q * scale`: the zero point is 0.
    I16,
    /// IEEE 754 half precision, finite; scale 1 and zero point 0. Where an integer stands for an element, as in a
    /// [`Clamp`](crate::quant::Clamp), it is its [ordinal](float16::ordinal).
    F16,
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> u32 {
        match self {
            DType::I8 => 1,
            DType::I16 | DType::F16 => 2,
        }
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::F16 => "float16",
        }
    }

    internal! {
        /// The smallest element.
        const fn min(self) -> i32 {
            match self {
                DType::I8 => i8::MIN as i32,
                DType::I16 => i16::MIN as i32,
                DType::F16 => -float16::LARGEST,
            }
        }

        /// The largest element.
        const fn max(self) -> i32 {
            match self {
                DType::I8 => i8::MAX as i32,
                DType::I16 => i16::MAX as i32,
                DType::F16 => float16::LARGEST,
            }
        }

        /// Whether a tensor of this type may have that zero point: any of its elements, or only 0.
        const fn has_zero_point(self, zero_point: i32) -> bool {
            match self {
                DType::I8 => self.min() <= zero_point && zero_point <= self.max(),
                DType::I16 | DType::F16 => zero_point == 0,
            }
        }

        /// Whether a tensor of this type may have that scale: any that is positive and finite, or only 1.
        const fn has_scale(self, scale: f32) -> bool {
            match self {
                DType::I8 | DType::I16 => scale.is_finite() && scale > 0.0,
                DType::F16 => scale == 1.0,
            }
        }

        /// Equality that a `const fn` can ask for.
        const fn same(self, other: Self) -> bool {
            self.code() == other.code()
        }

        /// The code of this type in a model file.
        const fn code(self) -> u32 {
            match self {
                DType::I8 => 0,
                DType::I16 => 1,
                DType::F16 => 2,
            }
        }

        /// The type of a code in a model file.
        const fn from_code(code: u32) -> Option<Self> {
            match code {
                0 => Some(DType::I8),
                1 => Some(DType::I16),
                2 => Some(DType::F16),
                _ => None,
            }
        }
    }
}

const _: () = assert!(Codes::distinct(&[DType::I8.code(), DType::I16.code(), DType::F16.code()]));

/// Affine quantization of a whole tensor: `real = (q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QuantParams {
    /// Real units per step; positive and finite.
    pub scale: f32,
    /// The integer that stands for the real number 0.
    pub zero_point: i32,
}

impl QuantParams {
    /// The real number that `q` stands for.
    pub fn dequantize(self, q: i32) -> f32 {
        q.wrapping_sub(self.zero_point) as f32 * self.scale
    }

    internal! {
        /// Those of [`DType::F16`], whose elements are real numbers.
        const REAL: Self = Self { scale: 1.0, zero_point: 0 };
    }

    internal! {
        /// Whether scale and zero point are the same, bit for bit.
        const fn same(self, other: Self) -> bool {
            self.scale.to_bits() == other.scale.to_bits() && self.zero_point == other.zero_point
        }
    }
}

/// Where a tensor lies in the arena.
///
/// Pixel `(y, x)` starts at byte `offset + ((y % rows) * w + x) * pitch`, and its channels are contiguous.
///
/// A tensor of its own has `pitch = c * size`; a branch of a concatenation has the parent tensor's pitch, so that it
/// writes its channels straight into the parent buffer (a *view*). A tensor that never exists as a whole, because the
/// steps of its chain consume its rows while it is produced, keeps only `rows` rows (a *line buffer*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Place {
    /// Byte offset of the first element from the start of the arena.
    pub offset: u32,
    /// Bytes from one pixel to the next; at least `c * size`.
    pub pitch: u32,
    /// Rows that are kept: all `h`, or fewer in a line buffer.
    pub rows: u32,
}

/// One activation tensor of a model: what it holds, where it lies, and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tensor {
    /// `H x W x C`.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Quantization of the elements.
    pub quant: QuantParams,
    /// Bytes in the arena.
    pub place: Place,
    /// The time slot at which it is first written. Time slot 0 is the caller filling the input, the steps have time slots from
    /// 1 on (one each, or one for the steps of a chain), and the one after the last is the caller reading the output.
    pub first: u32,
    /// The time slot at which it is completely written; later than `first` when several steps write parts of it.
    pub ready: u32,
    /// The time slot at which it is last needed.
    pub last: u32,
    /// The concatenation that this tensor is a part of: the index of the parent tensor whose bytes it shares.
    pub parent: Option<u32>,
}

impl Tensor {
    /// What stands for a tensor of a model that was never checked; no checked model has one.
    pub(crate) const EMPTY: Self = Self {
        shape: Shape::new(0, 0, 0),
        dtype: DType::I8,
        quant: QuantParams { scale: 1.0, zero_point: 0 },
        place: Place { offset: 0, pitch: 0, rows: 0 },
        first: 0,
        ready: 0,
        last: 0,
        parent: None,
    };

    /// The real number that `element` stands for: a quantized integer, or the ordinal of a half.
    pub fn real(&self, element: i16) -> f32 {
        match self.dtype {
            DType::I8 | DType::I16 => self.quant.dequantize(element.into()),
            DType::F16 => float16::from_ordinal(element.into()).to_f32(),
        }
    }

    /// Whether both have the same elements in the same bytes, perhaps under another shape.
    pub(crate) const fn same_bytes(&self, other: &Self) -> bool {
        let dense = self.is_dense() && other.is_dense() && self.dtype.same(other.dtype);
        let reshaped = dense && self.shape.len() == other.shape.len();
        self.place.offset == other.place.offset && (self.same_place(other) || reshaped)
    }

    /// Whether `output` lies on bytes of this input other than exactly in place.
    pub(crate) const fn is_overlaid_by(&self, output: &Self) -> bool {
        self.region().overlaps(output.region()) && !self.same_bytes(output)
    }

    /// Whether all elements are one stretch of bytes: pixel by pixel, or only one pixel.
    pub(crate) const fn is_contiguous(&self) -> bool {
        self.is_dense() || (self.shape.h == 1 && self.shape.w == 1)
    }

    /// The kept row, from 0, that holds row `y`.
    pub(crate) const fn slot(&self, y: u32) -> u32 {
        match y.checked_rem(self.place.rows) {
            Some(slot) if !self.is_whole() => slot,
            _ => y,
        }
    }

    /// The tensor of rows `rows`; they must not wrap around the end of a line buffer.
    pub(crate) fn only(&self, rows: Range<u32>) -> Self {
        let mut tensor = *self;
        tensor.shape.h = rows.end.saturating_sub(rows.start);
        tensor.place.offset = self.rows(rows.start, 1).offset;
        tensor.place.rows = tensor.shape.h;
        tensor
    }

    /// The channels in blocks of `size`, the last one possibly shorter.
    pub(crate) fn channel_blocks(&self, size: u32) -> impl Iterator<Item = Range<u32>> {
        let channels = self.shape.c;
        (0..channels).step_by((size as usize).max(1)).map(move |start| start..start.saturating_add(size).min(channels))
    }

    internal! {
        /// Bytes of one pixel's channels.
        const fn pixel_bytes(&self) -> u32 {
            self.shape.c.saturating_mul(self.dtype.size())
        }

        /// Bytes from the first kept element to one past the last, holes of a view included.
        const fn span(&self) -> u32 {
            let pixels = self.place.rows.saturating_mul(self.shape.w);
            pixels.saturating_sub(1).saturating_mul(self.place.pitch).saturating_add(self.pixel_bytes())
        }

        /// One past the last byte, saturating.
        const fn end(&self) -> u32 {
            self.place.offset.saturating_add(self.span())
        }

        /// Whether all elements are kept and contiguous.
        const fn is_dense(&self) -> bool {
            self.has_dense_rows() && self.is_whole()
        }

        /// Whether the pixels of a row follow each other without gaps, as in a line buffer and unlike in a part of a parent tensor.
        const fn has_dense_rows(&self) -> bool {
            self.place.pitch == self.pixel_bytes()
        }

        /// Whether all rows are kept.
        const fn is_whole(&self) -> bool {
            self.place.rows == self.shape.h
        }

        /// Whether both lie on the same bytes, element for element.
        const fn same_place(&self, other: &Self) -> bool {
            self.place.offset == other.place.offset
                && self.place.pitch == other.place.pitch
                && self.place.rows == other.place.rows
                && self.shape.same(other.shape)
                && self.dtype.same(other.dtype)
        }

        /// The bytes from the first element to the last, holes of a view included.
        const fn region(&self) -> Region {
            Region { offset: self.place.offset, len: self.span() }
        }

        /// The bytes of rows `first..first + rows`, from the first element to the last; in a line buffer they must not
        /// wrap around its end.
        const fn rows(&self, first: u32, rows: u32) -> Region {
            let row = self.shape.w.wrapping_mul(self.place.pitch);
            self.region().part(self.slot(first).wrapping_mul(row), rows.wrapping_mul(row))
        }

        /// The bytes of `pixels` pixels of row `y` from column `x`, from the first element to the last.
        const fn pixels(&self, y: u32, x: u32, pixels: u32) -> Region {
            let pixel = self.slot(y).wrapping_mul(self.shape.w).wrapping_add(x);
            let len = pixels.saturating_sub(1).saturating_mul(self.place.pitch).saturating_add(self.pixel_bytes());
            self.region().part(pixel.wrapping_mul(self.place.pitch), len)
        }
    }
}
