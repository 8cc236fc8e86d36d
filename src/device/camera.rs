//! Cameras that deliver an image line by line, and the way from there to a model's input: crop, scale, table. No image is ever in
//! memory as a whole, only a line of it and a row of sums.
//!
//! ```no_run
//! use kinglet::device::arducam::{Mega, Size};
//! use kinglet::device::camera::{Crop, FrameSource, Lines, PixelFormat, capture};
//! # use embedded_hal::{delay::DelayNs, spi::SpiDevice};
//! # fn demo<S: SpiDevice>(spi: S, delay: impl DelayNs, session: &mut kinglet::Session<'_>) -> Option<()> {
//! // A line of the camera, 96 pixels of 2 bytes; a row of the model's input, 32 pixels of 3 channels.
//! let mut lines = Lines::<{ 96 * 2 }, { 32 * 3 }>::new();
//! let mut camera = Mega::new(spi, delay, Size::Square96, PixelFormat::Rgb565Be).ok()?;
//! let crop = Crop::centre(camera.frame(), session.model().input().shape);
//! loop {
//!     let inference = capture(&mut camera, crop, &mut lines, session).ok()?;
//!     let best = inference.finish().ok()?.best();
//! }
//! # }
//! ```
//!
//! A camera of your own (a parallel one behind DMA, a file) is two functions: [`FrameSource`].

use core::fmt;

use crate::inference::Inference;
use crate::input::InputError;
use crate::kernels::Backend;
use crate::model::Model;
use crate::pixels::ChannelOrder;
use crate::session::Session;
use crate::tensor::Shape;
use crate::uses::Linked;

/// The bytes of a line's pixels, from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PixelFormat {
    /// One byte, the brightness.
    Grey,
    /// Three bytes: red, green, blue.
    Rgb,
    /// 5 bits red, 6 green, 5 blue in a word, its high byte first, as sensors send it.
    Rgb565Be,
    /// The same, low byte first, as it lies in memory after a transfer of words.
    Rgb565Le,
    /// Pairs of pixels in four bytes: brightness, blue difference, brightness, red difference (JFIF's, full range).
    Yuyv,
    /// The same, differences first.
    Uyvy,
}

impl PixelFormat {
    /// Bytes of a pixel; of pairs, of each pixel on average.
    const fn bytes(self) -> usize {
        match self {
            PixelFormat::Grey => 1,
            PixelFormat::Rgb => 3,
            PixelFormat::Rgb565Be | PixelFormat::Rgb565Le | PixelFormat::Yuyv | PixelFormat::Uyvy => 2,
        }
    }

    /// Red, green and blue of pixel `x`; black past the line's end.
    fn rgb(self, line: &[u8], x: usize) -> [u8; 3] {
        match self {
            PixelFormat::Grey => [at::<1>(line, x)[0]; 3],
            PixelFormat::Rgb => at(line, x),
            PixelFormat::Rgb565Be => from_565(u16::from_be_bytes(at(line, x))),
            PixelFormat::Rgb565Le => from_565(u16::from_le_bytes(at(line, x))),
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                let [y, u, v] = self.yuv(line, x);
                let (y, u, v) = (i32::from(y) * 256 + 128, i32::from(u) - 128, i32::from(v) - 128);
                let byte = |value: i32| (value >> 8).clamp(0, 255) as u8;
                [byte(y + 359 * v), byte(y - 88 * u - 183 * v), byte(y + 454 * u)]
            }
        }
    }

    /// The brightness of pixel `x`, by the weights with which training turns images grey; black past the line's end.
    fn luma(self, line: &[u8], x: usize) -> u8 {
        match self {
            PixelFormat::Grey => at::<1>(line, x)[0],
            PixelFormat::Yuyv | PixelFormat::Uyvy => self.yuv(line, x)[0],
            _ => {
                let [r, g, b] = self.rgb(line, x).map(u32::from);
                ((2126 * r + 7152 * g + 722 * b) / 10_000) as u8
            }
        }
    }

    fn yuv(self, line: &[u8], x: usize) -> [u8; 3] {
        let pair = at::<4>(line, x / 2);
        let [y0, u, y1, v] = match self {
            PixelFormat::Uyvy => [pair[1], pair[0], pair[3], pair[2]],
            _ => pair,
        };
        [if x.is_multiple_of(2) { y0 } else { y1 }, u, v]
    }
}

/// Group `index` of `N` bytes.
fn at<const N: usize>(line: &[u8], index: usize) -> [u8; N] {
    line.get(index.saturating_mul(N)..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn from_565(word: u16) -> [u8; 3] {
    let (r, g, b) = (word >> 11, word >> 5 & 0x3F, word & 0x1F);
    [r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2].map(|value| value as u8)
}

/// The size and the bytes of a camera's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Frame {
    /// Pixels of a line; even when pixels come in pairs.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// What a line's bytes are.
    pub format: PixelFormat,
}

impl Frame {
    /// Bytes of a line.
    pub const fn line_len(&self) -> usize {
        (self.width as usize).saturating_mul(self.format.bytes())
    }
}

/// A camera, or whatever else delivers images from the top to the bottom.
pub trait FrameSource {
    /// What can go wrong.
    type Error;

    /// What its images are like.
    fn frame(&self) -> Frame;

    /// Takes an image, or waits for one to begin: its lines come next. What is left of an image before is dropped.
    ///
    /// # Errors
    /// The camera's.
    fn begin(&mut self) -> Result<(), Self::Error>;

    /// Fills `line`, [`Frame::line_len`] bytes, with the next line of the image.
    ///
    /// # Errors
    /// The camera's.
    fn line(&mut self, line: &mut [u8]) -> Result<(), Self::Error>;
}

impl<T: FrameSource + ?Sized> FrameSource for &mut T {
    type Error = T::Error;

    fn frame(&self) -> Frame {
        T::frame(self)
    }

    fn begin(&mut self) -> Result<(), Self::Error> {
        T::begin(self)
    }

    fn line(&mut self, line: &mut [u8]) -> Result<(), Self::Error> {
        T::line(self, line)
    }
}

/// The part of an image that is scaled to the model's input, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Crop {
    /// Pixels to the left of it.
    pub x: u32,
    /// Lines above it.
    pub y: u32,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

impl Crop {
    /// The most pixels of a crop: sums of 32 bits hold them.
    const MOST: u32 = 1 << 24;

    /// The whole image: it is distorted when the input has other proportions.
    pub const fn whole(frame: Frame) -> Self {
        Self { x: 0, y: 0, width: frame.width, height: frame.height }
    }

    /// The largest part in the middle of the image that has the proportions of a model's input.
    pub const fn centre(frame: Frame, input: Shape) -> Self {
        let (w, h) = (input.w as u64, input.h as u64);
        let (mut width, mut height) = (frame.width, frame.height);
        if w == 0 || h == 0 {
            return Self::whole(frame);
        }
        // Widths and heights are below 2^32, so that products fit; the quotients are no more than what they replace.
        if width as u64 * h > height as u64 * w {
            width = (height as u64 * w / h) as u32;
        } else {
            height = (width as u64 * h / w) as u32;
        }
        width = if width == 0 { 1 } else { width };
        height = if height == 0 { 1 } else { height };
        Self { x: frame.width.saturating_sub(width) / 2, y: frame.height.saturating_sub(height) / 2, width, height }
    }

    const fn is_within(&self, frame: Frame) -> bool {
        let area = self.width as u64 * self.height as u64;
        self.x as u64 + self.width as u64 <= frame.width as u64
            && self.y as u64 + self.height as u64 <= frame.height as u64
            && area > 0
            && area <= Self::MOST as u64
    }
}

/// What [`capture`] works in: a line of the camera, `LINE` bytes ([`Frame::line_len`]), and a row of the model's input, `ROW`
/// elements (its width times its channels). `LINE + 5 * ROW` bytes in all; larger than needed does no harm.
#[derive(Clone, Debug)]
pub struct Lines<const LINE: usize, const ROW: usize> {
    line: [u8; LINE],
    sums: [u32; ROW],
    pixels: [u8; ROW],
}

impl<const LINE: usize, const ROW: usize> Lines<LINE, ROW> {
    /// Empty ones.
    pub const fn new() -> Self {
        Self { line: [0; LINE], sums: [0; ROW], pixels: [0; ROW] }
    }
}

impl<const LINE: usize, const ROW: usize> Default for Lines<LINE, ROW> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an image did not become an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CaptureError<E> {
    /// The camera's own error.
    Camera(E),
    /// The crop is empty, leaves the image, or has more than 2^24 pixels.
    Crop,
    /// The model's input has channels that are neither one of grey nor red, green and blue.
    Channels,
    /// [`Lines`] are too short: bytes of a line and elements of a row that are needed.
    Lines {
        /// For `LINE`.
        line: usize,
        /// For `ROW`.
        row: usize,
    },
    /// The model takes no pixels.
    Input(InputError),
}

impl<E: fmt::Debug> fmt::Display for CaptureError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Camera(error) => write!(f, "the camera failed: {error:?}"),
            CaptureError::Crop => f.write_str("the crop is empty, leaves the image, or is too large"),
            CaptureError::Channels => f.write_str("the model's input is neither grey nor red, green and blue"),
            CaptureError::Lines { line, row } => {
                write!(f, "a line needs {line} bytes and a row {row} elements: Lines::<{line}, {row}>")
            }
            CaptureError::Input(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for CaptureError<E> {}

/// What the model wants of a pixel.
#[derive(Clone, Copy)]
enum Wanted {
    Luma,
    Rgb,
    Bgr,
}

impl Wanted {
    fn of<M: Linked>(model: &Model<'_, M>) -> Option<Self> {
        let order = model.pixels().map(|tables| tables.order);
        match (model.input().shape.c, order) {
            (1, _) => Some(Wanted::Luma),
            (3, Some(ChannelOrder::Bgr)) => Some(Wanted::Bgr),
            (3, Some(ChannelOrder::Rgb) | None) => Some(Wanted::Rgb),
            _ => None,
        }
    }

    const fn channels(self) -> usize {
        match self {
            Wanted::Luma => 1,
            Wanted::Rgb | Wanted::Bgr => 3,
        }
    }

    /// Adds the pixels of a line's crop, `weight` times, to the sums of a row.
    fn add(self, format: PixelFormat, line: &[u8], crop: Crop, weight: u32, sums: &mut [u32]) {
        match self {
            Wanted::Luma => add(sums, crop, weight, |x| [format.luma(line, x)]),
            Wanted::Rgb => add(sums, crop, weight, |x| format.rgb(line, x)),
            Wanted::Bgr => add(sums, crop, weight, |x| {
                let [r, g, b] = format.rgb(line, x);
                [b, g, r]
            }),
        }
    }
}

/// Adds pixels of `C` channels to sums of a row. A pixel of the line is as many units wide as the row has pixels, and one of the
/// row as many as the crop has: so no border is rounded.
fn add<const C: usize>(sums: &mut [u32], crop: Crop, weight: u32, pixel: impl Fn(usize) -> [u8; C]) {
    let (sums, _) = sums.as_chunks_mut::<C>();
    let width = sums.len() as u32;
    let mut sums = sums.iter_mut();
    let (mut sum, mut room) = (sums.next(), crop.width);
    for x in (crop.x as usize..).take(crop.width as usize) {
        let value = pixel(x);
        let mut left = width;
        while left > 0 {
            let Some(channels) = &mut sum else { return };
            let part = left.min(room);
            let factor = part.wrapping_mul(weight);
            for (channel, &value) in channels.iter_mut().zip(&value) {
                *channel = channel.wrapping_add(factor.wrapping_mul(value.into()));
            }
            left -= part;
            room -= part;
            if room == 0 {
                (sum, room) = (sums.next(), crop.width);
            }
        }
    }
}

/// Takes an image and begins an inference on it: `crop` scaled to the input's size, each element the mean over the area that it
/// covers, rounded to the nearest byte, then through the model's table ([`Session::pixel_rows`]). Takes some 30 instructions for
/// each pixel and channel of the crop.
///
/// # Errors
/// The camera's, and what does not fit: see [`CaptureError`].
pub fn capture<'s, S: FrameSource, M: Linked, B: Backend, const LINE: usize, const ROW: usize>(
    source: &mut S,
    crop: Crop,
    lines: &mut Lines<LINE, ROW>,
    session: &'s mut Session<'_, M, B>,
) -> Result<Inference<'s, M, B>, CaptureError<S::Error>> {
    let (frame, input) = (source.frame(), session.model().input().shape);
    if !crop.is_within(frame) {
        return Err(CaptureError::Crop);
    }
    let wanted = Wanted::of(session.model()).ok_or(CaptureError::Channels)?;
    let row_len = (input.w as usize).saturating_mul(wanted.channels());
    let (Some(line), Some(sums), Some(pixels)) =
        (lines.line.get_mut(..frame.line_len()), lines.sums.get_mut(..row_len), lines.pixels.get_mut(..row_len))
    else {
        return Err(CaptureError::Lines { line: frame.line_len(), row: row_len });
    };
    source.begin().map_err(CaptureError::Camera)?;
    for _ in 0..crop.y {
        source.line(line).map_err(CaptureError::Camera)?;
    }
    // Down, as across: a line is as many units high as the input has rows, a row as many as the crop has lines.
    let area = crop.width.wrapping_mul(crop.height);
    let mut room = crop.height;
    let mut rows = session.pixel_rows();
    sums.fill(0);
    for _ in 0..crop.height {
        source.line(line).map_err(CaptureError::Camera)?;
        let mut left = input.h;
        while left > 0 {
            let part = left.min(room);
            wanted.add(frame.format, line, crop, part, sums);
            left -= part;
            room -= part;
            if room == 0 {
                for (pixel, sum) in pixels.iter_mut().zip(sums.iter_mut()) {
                    *pixel = sum.wrapping_add(area / 2).checked_div(area).unwrap_or(0) as u8;
                    *sum = 0;
                }
                rows.push(pixels).map_err(CaptureError::Input)?;
                room = crop.height;
            }
        }
    }
    rows.start().map_err(CaptureError::Input)
}
