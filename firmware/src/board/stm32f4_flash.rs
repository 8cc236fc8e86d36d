//! The flash of an STM32F4, over stm32f4xx-hal: where `keep` keeps models, from the linker script's `_models` on.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use kinglet::slots::{Mapped, Slots};
use stm32f4xx_hal::flash::{self, FlashExt, UnlockedFlash};
use stm32f4xx_hal::pac::FLASH;

use super::once::Once;

/// The flash, until [`models`] takes it.
static MODELS: Once<Flash> = Once::new();

/// The flash, unlocked only while it is erased or written: the core waits meanwhile, up to four seconds for a sector.
pub struct Flash(FLASH);

/// Keeps the flash for [`models`].
pub fn init(flash: FLASH) {
    MODELS.put(Flash(flash));
}

/// The places for models, a sector each; once.
pub fn models() -> Option<Slots<Flash>> {
    unsafe extern "C" {
        static _models: u8;
    }
    let flash = MODELS.take()?;
    let start = (&raw const _models as usize).checked_sub(flash.0.address())?;
    Slots::new(flash, start as u32, Flash::ERASE_SIZE as u32).ok()
}

impl Mapped for Flash {
    fn mapped(&self) -> &[u8] {
        self.0.read()
    }
}

impl ErrorType for Flash {
    type Error = flash::Error;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), flash::Error> {
        let from = self.mapped().get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(flash::Error::Operation)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = UnlockedFlash::WRITE_SIZE;
    /// A large sector: before `_models` there are small ones, behind it none.
    const ERASE_SIZE: usize = UnlockedFlash::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), flash::Error> {
        let done = NorFlash::erase(&mut self.0.unlocked(), from, to);
        // The data cache still has what was there; it is emptied while it is off (RM0390, 3.4.2). Writing goes through it.
        let control = self.0.acr();
        control.modify(|_, w| w.dcen().disabled());
        control.modify(|_, w| w.dcrst().reset());
        control.modify(|_, w| w.dcrst().no_reset());
        control.modify(|_, w| w.dcen().enabled());
        done
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), flash::Error> {
        self.0.unlocked().write(offset, bytes)
    }
}
