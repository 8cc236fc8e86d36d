//! Boards with an STM32F4, over stm32f4xx-hal: the clock from a crystal or an oscillator, a serial line on USART2, transmitting on PA2 and
//! receiving on PA3, 115,200 baud, and a trigger pin, PA5.

use stm32f4xx_hal::gpio::{Output, PA5};
use stm32f4xx_hal::pac::{self, USART2};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::serial;

use super::once::Once;
use super::polled::Polled;
#[cfg(feature = "keep")]
pub use super::stm32f4_flash::models;
use super::{CORE_MHZ, HSE_MHZ, IS_OSCILLATOR};

#[cfg(feature = "hardware")]
const CORE_HZ: u32 = CORE_MHZ * 1_000_000;

/// The serial line's type.
pub type Serial = Polled<serial::Serial<USART2>>;

/// The line, until [`serial`] takes it.
static SERIAL: Once<Serial> = Once::new();

/// The pin, until [`trigger`] takes it.
static TRIGGER: Once<PA5<Output>> = Once::new();

/// Runs the core at its full speed from the crystal and opens the serial line.
pub fn init() {
    let Some(parts) = pac::Peripherals::take() else { return };
    #[cfg(feature = "qemu")]
    {
        /// Bits of the clock control register: the crystal and the PLL are ready.
        const READY: u32 = 1 << 17 | 1 << 25;
        // QEMU has the register, but never sets these bits, for which the HAL waits. On the chip only hardware writes them.
        // SAFETY: the other bits are written as they were read.
        parts.RCC.cr().modify(|r, w| unsafe { w.bits(r.bits() | READY) });
    }
    let clock = Config::hse(HSE_MHZ.MHz()).sysclk(CORE_MHZ.MHz());
    let clock = if IS_OSCILLATOR { clock.bypass_hse_oscillator() } else { clock };
    let mut rcc = parts.RCC.freeze(clock);
    let pins = parts.GPIOA.split(&mut rcc);
    TRIGGER.put(pins.pa5.into_push_pull_output());
    let line = parts.USART2.serial((pins.pa2, pins.pa3), 115_200.bps(), &mut rcc);
    SERIAL.put(line.ok().map(Polled));
    #[cfg(feature = "keep")]
    super::stm32f4_flash::init(parts.FLASH);
}

/// The core's frequency.
#[cfg(feature = "hardware")]
pub fn core_hz() -> u32 {
    CORE_HZ
}

/// The serial line; once.
pub fn serial() -> Option<Serial> {
    SERIAL.take()
}

/// The trigger pin, low; once.
pub fn trigger() -> Option<PA5<Output>> {
    TRIGGER.take()
}
