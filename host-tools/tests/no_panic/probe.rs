//! A program that uses all of the runtime: checks a model file, runs it, ranks its outputs, updates it in flash.
#![no_std]
#![no_main]

use core::convert::Infallible;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use kinglet::slots::{SlotError, Slots};
use kinglet::{Model, Session};

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

/// The update of a model.
fn update(flash: Flash, model: &[u8], pixels: &[u8]) -> Result<u32, SlotError<Infallible>> {
    let mut slots = Slots::new(flash, pixels.len() as u32, model.len() as u32)?;
    let old = slots.active()?.map_or(0, |stored| stored.generation);
    let mut update = slots.begin(model.len() as u32)?;
    update.write(model)?;
    Ok(update.finish_if(|stored| stored.generation != old)?.generation)
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
) -> usize {
    #[cfg(feature = "panics")]
    assert_eq!(pixels.len(), file.len());
    let Ok(model) = Model::new(file) else { return 0 };
    let session = match slow {
        Some(slow) => Session::split(model, arena, slow),
        None => Session::new(model, arena),
    };
    let Ok(mut session) = session else { return 1 };
    if session.set_pixels(pixels).is_err() {
        return 2;
    }
    session.run();
    let percent = session.probability(0) * 100.0;
    let best = session.top_k::<3>().iter().map(|best| best.class).sum::<usize>().wrapping_add(percent as usize);
    best.wrapping_add(update(Flash(flash), file, pixels).map_or(0, |generation| generation as usize))
}
