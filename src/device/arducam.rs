//! ArduCAM's Mega cameras (3 and 5 megapixels), which need four pins of SPI and nothing else: [`Mega`].
//!
//! The module keeps the image in memory of its own, so that lines may be read as slowly as the bus is. SPI mode 0, up to 8 MHz.

use core::fmt;

use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{Operation, SpiDevice};

use super::camera::{Frame, FrameSource, PixelFormat};

/// Registers, and what is written to them. The top bit of an address says write.
mod register {
    pub const WRITE: u8 = 0x80;
    pub const FIFO: u8 = 0x04;
    pub const FIFO_CLEAR: u8 = 0x01;
    pub const FIFO_START: u8 = 0x02;
    pub const RESET: u8 = 0x07;
    pub const RESET_ALL: u8 = 0x40;
    pub const SENSOR_ADDRESS: u8 = 0x0A;
    /// Where both sensors listen on the module's own I2C bus.
    pub const SENSOR_AT: u8 = 0x78;
    pub const FORMAT: u8 = 0x20;
    pub const RESOLUTION: u8 = 0x21;
    pub const BURST: u8 = 0x3C;
    pub const SENSOR_ID: u8 = 0x40;
    pub const STATE: u8 = 0x44;
    /// The module's bus to its sensor: idle when these two bits are 2.
    pub const BUS: u8 = 0x03;
    pub const BUS_IDLE: u8 = 0x02;
    pub const CAPTURED: u8 = 0x04;
    pub const FIFO_LEN: u8 = 0x45;
}

/// Identifiers of the sensors that the module is sold with.
const SENSORS: core::ops::RangeInclusive<u8> = 0x81..=0x84;

/// How long the module gets for each thing that it is told, in ms. An image in the dark takes some 500.
const PATIENCE_MS: u32 = 3000;

/// The sizes of images that are small enough for a microcontroller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Size {
    /// 96 x 96 pixels.
    Square96,
    /// 128 x 128 pixels.
    Square128,
    /// 320 x 320 pixels.
    Square320,
    /// 320 x 240 pixels.
    Qvga,
    /// 640 x 480 pixels.
    Vga,
}

impl Size {
    const fn pixels(self) -> [u32; 2] {
        match self {
            Size::Square96 => [96, 96],
            Size::Square128 => [128, 128],
            Size::Square320 => [320, 320],
            Size::Qvga => [320, 240],
            Size::Vga => [640, 480],
        }
    }

    const fn code(self) -> u8 {
        match self {
            Size::Qvga => 0x01,
            Size::Vga => 0x02,
            Size::Square96 => 0x0A,
            Size::Square128 => 0x0B,
            Size::Square320 => 0x0C,
        }
    }
}

/// What can go wrong with a [`Mega`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MegaError<E> {
    /// The bus's own error.
    Spi(E),
    /// Another sensor than the module is sold with: its identifier.
    Unknown(u8),
    /// The module takes no images in this format: give one of `Rgb565Be`, `Rgb565Le`, `Yuyv` and `Uyvy`.
    Format(PixelFormat),
    /// It did not do what it was told within three seconds; or there is none, or a wire is loose.
    Timeout,
    /// The image is shorter than it should be.
    Short {
        /// Bytes that an image has.
        needed: u32,
        /// Bytes that the module has of it.
        given: u32,
    },
}

impl<E: fmt::Debug> fmt::Display for MegaError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MegaError::Spi(error) => write!(f, "the bus failed: {error:?}"),
            MegaError::Unknown(id) => write!(f, "not an ArduCAM Mega: sensor {id:#04x}"),
            MegaError::Format(format) => write!(f, "the camera has no format {format:?}"),
            MegaError::Timeout => f.write_str("the camera did not answer in time"),
            MegaError::Short { needed, given } => write!(f, "an image of {given} bytes, it should have {needed}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for MegaError<E> {}

/// An ArduCAM Mega on an SPI bus.
#[derive(Debug)]
pub struct Mega<S, D> {
    spi: S,
    delay: D,
    frame: Frame,
    /// The next line is the image's first.
    first: bool,
}

impl<S: SpiDevice, D: DelayNs> Mega<S, D> {
    /// Resets the camera, and sets the size and the format of its images: `Rgb565Be` or `Yuyv` as it is sold; `Rgb565Le` and
    /// `Uyvy` for modules whose bytes come the other way round.
    ///
    /// # Errors
    /// When it does not answer, or has no such format.
    pub fn new(spi: S, delay: D, size: Size, format: PixelFormat) -> Result<Self, MegaError<S::Error>> {
        let code = match format {
            PixelFormat::Rgb565Be | PixelFormat::Rgb565Le => 2,
            PixelFormat::Yuyv | PixelFormat::Uyvy => 3,
            other => return Err(MegaError::Format(other)),
        };
        let [width, height] = size.pixels();
        let mut camera = Self { spi, delay, frame: Frame { width, height, format }, first: false };
        camera.write(register::RESET, register::RESET_ALL)?;
        camera.wait(register::BUS, register::BUS_IDLE)?;
        let id = camera.read(register::SENSOR_ID)?;
        if !SENSORS.contains(&id) {
            return Err(MegaError::Unknown(id));
        }
        for (address, value) in [
            (register::SENSOR_ADDRESS, register::SENSOR_AT),
            (register::FORMAT, code),
            (register::RESOLUTION, size.code()),
        ] {
            camera.write(address, value)?;
            camera.wait(register::BUS, register::BUS_IDLE)?;
        }
        Ok(camera)
    }

    /// The bus and the delay.
    pub fn release(self) -> (S, D) {
        (self.spi, self.delay)
    }

    fn write(&mut self, address: u8, value: u8) -> Result<(), MegaError<S::Error>> {
        self.spi.write(&[address | register::WRITE, value]).map_err(MegaError::Spi)?;
        self.delay.delay_ms(1);
        Ok(())
    }

    /// The second byte after an address is the register's.
    fn read(&mut self, address: u8) -> Result<u8, MegaError<S::Error>> {
        let mut value = [0];
        let mut operations = [Operation::Write(&[address, 0]), Operation::Read(&mut value)];
        self.spi.transaction(&mut operations).map_err(MegaError::Spi)?;
        Ok(value[0])
    }

    /// Waits until the bits `mask` of the state are `value`.
    fn wait(&mut self, mask: u8, value: u8) -> Result<(), MegaError<S::Error>> {
        for _ in 0..PATIENCE_MS {
            if self.read(register::STATE)? & mask == value {
                return Ok(());
            }
            self.delay.delay_ms(1);
        }
        Err(MegaError::Timeout)
    }
}

impl<S: SpiDevice, D: DelayNs> FrameSource for Mega<S, D> {
    type Error = MegaError<S::Error>;

    fn frame(&self) -> Frame {
        self.frame
    }

    fn begin(&mut self) -> Result<(), Self::Error> {
        self.write(register::FIFO, register::FIFO_CLEAR)?;
        self.write(register::FIFO, register::FIFO_START)?;
        self.wait(register::CAPTURED, register::CAPTURED)?;
        let mut given = [0; 4];
        for (byte, address) in given.iter_mut().zip(register::FIFO_LEN..register::FIFO_LEN + 3) {
            *byte = self.read(address)?;
        }
        let given = u32::from_le_bytes(given);
        let needed = (self.frame.line_len() as u32).saturating_mul(self.frame.height);
        if given < needed {
            return Err(MegaError::Short { needed, given });
        }
        self.first = true;
        Ok(())
    }

    fn line(&mut self, line: &mut [u8]) -> Result<(), Self::Error> {
        // A byte of nothing comes before the image's first.
        let command: &[u8] = if self.first { &[register::BURST, 0] } else { &[register::BURST] };
        let mut operations = [Operation::Write(command), Operation::Read(line)];
        self.spi.transaction(&mut operations).map_err(MegaError::Spi)?;
        self.first = false;
        Ok(())
    }
}
