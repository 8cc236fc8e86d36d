//! Input images, embedded at build time (`KINGLET_IMAGES`) or read from the host through semihosting.
//!
//! Both have one layout: a 16-byte header (`KIMG`, kind, number of images, bytes of an image; little-endian words),
//! then the images one after the other, `H x W x C` bytes each; of a model with several inputs the elements of all.

use kinglet::{Inference, InputError, Linked, Model, Pixels, Raw, Session};

/// What the bytes of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum Kind {
    /// Pixels, which go through the model's table.
    Pixels,
    /// Elements of all inputs, quantized already.
    Quantized,
}

/// The header of an image set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub struct Header {
    /// What the bytes are.
    pub kind: Kind,
    /// Number of images.
    pub count: u32,
    /// Bytes of one image.
    pub image_len: u32,
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 16;

    /// The front of `frame` that holds one image, if images are as long as `model` takes them: a byte for each pixel's
    /// channel, or the bytes of its inputs' elements.
    pub fn fit<'f, M: Linked>(&self, model: &Model<'_, M>, frame: &'f mut [u8]) -> Option<&'f mut [u8]> {
        let needed = match self.kind {
            Kind::Pixels => model.input().shape.len(),
            Kind::Quantized => model.input_bytes() as u32,
        };
        if self.image_len != needed {
            defmt::error!("images of {=u32} bytes, the model takes {=u32}", self.image_len, needed);
            return None;
        }
        frame.get_mut(..needed as usize)
    }

    /// Begins an inference on an image of the set.
    ///
    /// # Errors
    /// When it is not as long as the model's input.
    pub fn start<'s, M: Linked>(
        &self,
        session: &'s mut Session<'_, M>,
        image: &[u8],
    ) -> Result<Inference<'s, M>, InputError> {
        match self.kind {
            Kind::Pixels => session.start(Pixels(image)),
            Kind::Quantized => session.start(Raw(image)),
        }
    }

    /// Reads a header; `None` when it is not one.
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let [b'K', b'I', b'M', b'G', k0, k1, k2, k3, c0, c1, c2, c3, l0, l1, l2, l3] = *bytes else {
            return None;
        };
        let kind = match u32::from_le_bytes([k0, k1, k2, k3]) {
            0 => Kind::Pixels,
            1 => Kind::Quantized,
            _ => return None,
        };
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        let image_len = u32::from_le_bytes([l0, l1, l2, l3]);
        Some(Self { kind, count, image_len })
    }
}

/// Where images come from.
pub trait Source {
    /// What there is.
    fn header(&self) -> Header;

    /// Fills `image` with the next one; whether there was one.
    fn next(&mut self, image: &mut [u8]) -> bool;
}

/// The images in the program.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    header: Header,
    rest: &'static [u8],
}

impl Embedded {
    /// The set that was built in, or `None` when `KINGLET_IMAGES` was not set.
    pub fn open() -> Option<Self> {
        static FILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/images.bin"));
        let (header, rest) = FILE.split_first_chunk()?;
        Some(Self { header: Header::parse(header)?, rest })
    }
}

impl Source for Embedded {
    fn header(&self) -> Header {
        self.header
    }

    fn next(&mut self, image: &mut [u8]) -> bool {
        let Some((next, rest)) = self.rest.split_at_checked(image.len()) else {
            return false;
        };
        self.rest = rest;
        image.copy_from_slice(next);
        !image.is_empty()
    }
}
