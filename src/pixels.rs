//! From a camera's bytes to the model's input elements, by table.
//!
//! Resizing apart, preprocessing maps each byte of each channel by itself (normalize, then quantize), so the
//! exporter computes it once for all 256 bytes and the device does one lookup per byte, with no arithmetic.

use crate::bytes::{slice, u32_at};
use crate::error::{Fault, ModelError};
use crate::format::layout::preprocess as record;
use crate::sys::cast;
use crate::tensor::{DType, Tensor};

/// What the channels of a pixel mean, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChannelOrder {
    /// Any channels whose meaning has no name; one of grey for images.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

impl ChannelOrder {
    /// The code in a model file.
    pub const fn code(self) -> u32 {
        match self {
            ChannelOrder::Grey => 0,
            ChannelOrder::Rgb => 1,
            ChannelOrder::Bgr => 2,
        }
    }

    const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(ChannelOrder::Grey),
            1 => Some(ChannelOrder::Rgb),
            2 => Some(ChannelOrder::Bgr),
            _ => None,
        }
    }
}

/// The tables that turn pixels into input elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelTables<'m> {
    /// What the channels mean.
    pub order: ChannelOrder,
    /// 256 elements for all channels, or 256 for each channel, indexed by the pixel's byte; their bytes.
    pub tables: &'m [i8],
    /// The type of the elements.
    pub dtype: DType,
}

impl<'m> PixelTables<'m> {
    /// Entries of one table.
    pub const LEN: usize = 256;

    /// Reads a preprocess section that starts at `at` of the file; `None` when it is empty.
    pub(crate) const fn decode(at: u32, section: &'m [u8], input: &Tensor) -> Result<Option<Self>, ModelError> {
        if section.is_empty() {
            return Ok(None);
        }
        let fault = Err(ModelError::new(Fault::Preprocess, at));
        let (Some(order), Some(count)) =
            (u32_at(section, record::ORDER as usize), u32_at(section, record::TABLES as usize))
        else {
            return fault;
        };
        let Some(order) = ChannelOrder::from_code(order) else {
            return fault;
        };
        let channels = input.shape.c;
        let named = matches!(order, ChannelOrder::Rgb | ChannelOrder::Bgr);
        if (count != 1 && count != channels) || (named && channels != 3) {
            return fault;
        }
        let len = (count as usize).saturating_mul(Self::LEN).saturating_mul(input.dtype.size() as usize);
        if section.len() != len.saturating_add(record::DATA as usize) {
            return fault;
        }
        match slice(section, record::DATA as usize, len) {
            Some(tables) => Ok(Some(Self { order, tables: cast::as_i8(tables), dtype: input.dtype })),
            None => fault,
        }
    }

    /// Tables: 1 for all channels, or one for each.
    pub const fn count(&self) -> usize {
        self.tables.len() / Self::LEN / self.dtype.size() as usize
    }

    /// Maps `pixels`, `H x W x C` bytes, to `out`, the bytes of as many elements; the shorter of the two ends the work.
    pub fn apply(&self, pixels: &[u8], out: &mut [i8]) {
        if !self.dtype.same(DType::I8) {
            return self.apply_wide(pixels, out);
        }
        let (tables, _) = self.tables.as_chunks::<256>();
        if let [table] = tables {
            for (element, &pixel) in out.iter_mut().zip(pixels) {
                *element = table[usize::from(pixel)];
            }
        } else {
            for ((element, &pixel), table) in out.iter_mut().zip(pixels).zip(tables.iter().cycle()) {
                *element = table[usize::from(pixel)];
            }
        }
    }

    /// Maps pixels to int8 elements where they lie.
    pub(crate) fn apply_in_place(&self, pixels: &mut [i8]) {
        let (tables, _) = self.tables.as_chunks::<256>();
        for (pixel, table) in pixels.iter_mut().zip(tables.iter().cycle()) {
            *pixel = table[usize::from(*pixel as u8)];
        }
    }

    /// [`PixelTables::apply`] for elements of two bytes.
    fn apply_wide(&self, pixels: &[u8], out: &mut [i8]) {
        let (entries, _) = self.tables.as_chunks::<2>();
        let (tables, _) = entries.as_chunks::<256>();
        let (out, _) = out.as_chunks_mut::<2>();
        for ((element, &pixel), table) in out.iter_mut().zip(pixels).zip(tables.iter().cycle()) {
            *element = table[usize::from(pixel)];
        }
    }
}
