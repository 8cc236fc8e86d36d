//! What the boards with an STM32F405 share, over stm32f4xx-hal: Cortex-M4F at 168 MHz, 1 MB flash, 128 KB RAM and 64 KB
//! core-coupled RAM, which has the stack; a serial line on USART2, transmitting on PA2 and receiving on PA3, 115,200 baud.

use core::cell::Cell;
use core::convert::Infallible;

use cortex_m::interrupt::{self, Mutex};
use embedded_io::{ErrorType, Read, Write};
use nb::block;
use stm32f4xx_hal::pac::{self, USART2};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;
use stm32f4xx_hal::serial;

use super::HSE_MHZ;

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 168_000_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 5;

/// Bits of the clock control register: the crystal and the PLL are ready.
const READY: u32 = 1 << 17 | 1 << 25;

/// The line, until [`serial`] takes it.
static SERIAL: Mutex<Cell<Option<Serial>>> = Mutex::new(Cell::new(None));

/// Runs the core at 168 MHz from the crystal and opens the serial line.
pub fn init() {
    let Some(parts) = pac::Peripherals::take() else { return };
    // QEMU has the register, but never sets these bits, for which the HAL waits. On the chip only hardware writes them.
    // SAFETY: the other bits are written as they were read.
    parts.RCC.cr().modify(|r, w| unsafe { w.bits(r.bits() | READY) });
    let mut rcc = parts.RCC.freeze(Config::hse(HSE_MHZ.MHz()).sysclk(168.MHz()));
    let pins = parts.GPIOA.split(&mut rcc);
    let line = parts.USART2.serial((pins.pa2, pins.pa3), 115_200.bps(), &mut rcc);
    interrupt::free(|cs| SERIAL.borrow(cs).set(line.ok().map(Serial)));
}

/// The serial line; once.
pub fn serial() -> Option<Serial> {
    interrupt::free(|cs| SERIAL.borrow(cs).take())
}

/// USART2, polled: the HAL's own `embedded_io::Write` says `Ok(0)` when it has to wait, and it has no `Read`.
pub struct Serial(serial::Serial<USART2>);

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    /// Waits for a byte. One that was damaged or lost on the line is missing: protocols notice.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first_mut() else { return Ok(0) };
        loop {
            if let Ok(received) = block!(self.0.read()) {
                *byte = received;
                return Ok(1);
            }
        }
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        // Sending cannot fail.
        let _ = block!(self.0.write(byte));
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        let _ = block!(self.0.flush());
        Ok(())
    }
}
