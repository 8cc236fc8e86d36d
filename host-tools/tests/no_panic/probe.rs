//! A program that uses all of the runtime: checks a model file, takes an image, runs it under a guard, ranks its outputs, updates it in
//! flash, works it for a host over a line, and takes others over that line, into memory and into flash.
#![no_std]
#![no_main]

use core::convert::Infallible;

use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{self, Operation, SpiDevice};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use kinglet::device::{Clock, Server};
use kinglet::device::arducam::{Mega, Size};
use kinglet::device::camera::{Crop, FrameSource, Lines, PixelFormat, capture};
use kinglet::device::load::Loader;
use kinglet::slots::{Mapped, SlotError, Slots};
use kinglet::{Guard, Model, Pixels, Progress, Session};

/// Flash at an address, for the linker only.
struct Flash(&'static mut [u8]);

impl ErrorType for Flash {
    type Error = Infallible;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.iter_mut().zip(self.0.iter().skip(offset as usize)).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Infallible> {
        self.0.iter_mut().skip(from as usize).take(to.wrapping_sub(from) as usize).for_each(|to| *to = 0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.iter_mut().skip(offset as usize).zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

impl Mapped for Flash {
    fn mapped(&self) -> &[u8] {
        self.0
    }
}

/// A bus whose answers lie in memory, for the linker only.
struct Wires(&'static [u8]);

impl spi::ErrorType for Wires {
    type Error = Infallible;
}

impl SpiDevice for Wires {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        for operation in operations {
            if let Operation::Read(bytes) = operation {
                bytes.iter_mut().zip(self.0).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }
}

/// A line that has been cut off after some bytes, and a clock that stands still.
struct Line(&'static [u8]);

impl embedded_io::ErrorType for Line {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        match (self.0.split_first(), bytes.first_mut()) {
            (Some((first, rest)), Some(byte)) => (*byte, self.0) = (*first, rest),
            _ => return Err(embedded_io::ErrorKind::ConnectionReset),
        }
        Ok(1)
    }
}

impl embedded_io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl Clock for Line {
    fn ticks(&mut self) -> u64 {
        self.0.len() as u64
    }

    fn frequency(&self) -> u32 {
        self.0.len() as u32
    }
}

/// Takes no time.
struct Now;

impl DelayNs for Now {
    fn delay_ns(&mut self, _: u32) {}
}

/// An image from a camera; whether there was one.
fn photograph(wires: Wires, format: PixelFormat, session: &mut Session<'_>) -> bool {
    let Ok(mut camera) = Mega::new(wires, Now, Size::Square96, format) else { return false };
    let crop = Crop::centre(camera.frame(), session.model().input().shape);
    let Ok(inference) = capture(&mut camera, crop, &mut Lines::<192, 96>::new(), session) else { return false };
    inference.finish().is_ok()
}

/// The update of a model: its generation, and the slots.
fn update(flash: Flash, model: &[u8], pixels: &[u8]) -> Result<(u32, Slots<Flash>), SlotError<Infallible>> {
    let mut slots = Slots::new(flash, pixels.len() as u32, model.len() as u32)?;
    let old = slots.active()?.map_or(0, |stored| stored.generation);
    let mut update = slots.begin(model.len() as u32)?;
    update.write(model)?;
    let generation = update.finish_if(|stored, _| stored.generation != old)?.generation;
    Ok((generation, slots))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The entry point; everything it does not reach is dropped by the linker. Nobody runs it.
#[unsafe(export_name = "_start")]
pub fn start(
    file: &'static [u8],
    arena: &'static mut [u8],
    slow: Option<&'static mut [u8]>,
    flash: &'static mut [u8],
    pixels: &[u8],
    (line, input, sums): (&'static [u8], &'static mut [u8], &'static mut [u32]),
) -> usize {
    #[cfg(feature = "panics")]
    assert_eq!(pixels.len(), file.len());
    let Ok(model) = Model::new(file) else { return 0 };
    let session = match slow {
        Some(slow) => Session::open_split(model, arena, slow),
        None => Session::open(model, arena),
    };
    let Ok(mut session) = session else { return 1 };
    if session.infer(Pixels(pixels)).is_err() {
        return 2;
    }
    let Ok(mut values) = session.fill::<u8>() else { return 2 };
    values.iter_mut().zip(pixels).for_each(|(to, from)| *to = *from);
    drop(values.start());
    let format = if pixels.len() < 100 { PixelFormat::Rgb565Be } else { PixelFormat::Yuyv };
    if !photograph(Wires(file), format, &mut session) {
        return 3;
    }
    let Ok(mut inference) = session.start(&[pixels.len() as f32, 1.0]) else { return 2 };
    inference.step();
    while let Progress::More = inference.rows(pixels.len() as u32) {}
    drop(inference);
    let first = model.step_checksums::<4>();
    let mut guard = Guard::new(model, &first);
    let Ok(inference) = session.start(&[1i8, 2]) else { return 2 };
    let Ok(output) = inference.observe(&mut guard).finish() else { return 4 };
    if guard.damaged().is_some() {
        return 4;
    }
    let percent = output.probability(file.len()).unwrap_or(0.0) * output.scores().sum::<f32>();
    let best = output.top_k::<3>().iter().map(|best| best.class).sum::<usize>().wrapping_add(percent as usize);
    let Ok((updated, slots)) = update(Flash(flash), file, pixels) else { return 5 };
    let served = Server::new(Line(line), Line(line), session, input, sums, "").serve();
    let loaded = Loader::new(Line(line), Line(line), input, sums, "").serve();
    let kept = Loader::new(Line(line), Line(line), input, sums, "").keep(slots).serve();
    let ends = [served, loaded, kept].map(|error| error as usize).iter().sum::<usize>();
    best.wrapping_add(updated as usize).wrapping_add(ends)
}
