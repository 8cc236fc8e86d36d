//! Nordic nRF52840-DK, over nrf52840-hal: Cortex-M4F at 64 MHz, 1 MB flash, 256 KB RAM. Its J-Link carries the serial line, transmitting on P0.06
//! and receiving on P0.08, 115,200 baud. The trigger pin is P1.01, D0 of the headers.

use nrf52840_hal::Clocks;
use nrf52840_hal::clocks::HFCLK_FREQ;
use nrf52840_hal::gpio::{Level, Output, Pin, PushPull, p0, p1};
use nrf52840_hal::pac;

use super::nrf_uart::NrfUart;
use super::once::Once;

/// The line, until [`serial`] takes it.
static SERIAL: Once<NrfUart> = Once::new();

/// The pin, until [`trigger`] takes it.
static TRIGGER: Once<Pin<Output<PushPull>>> = Once::new();

/// Runs the clock from the crystal, fills the instruction cache from now on, and opens the serial line.
pub fn init() {
    let Some(parts) = pac::Peripherals::take() else { return };
    let _ = Clocks::new(parts.CLOCK).enable_ext_hfosc();
    parts.NVMC.icachecnf.write(|w| w.cacheen().enabled());
    let (left, right) = (p0::Parts::new(parts.P0), p1::Parts::new(parts.P1));
    let tx = left.p0_06.into_push_pull_output(Level::High).degrade();
    let rx = left.p0_08.into_floating_input().degrade();
    SERIAL.put(NrfUart::start(tx.psel_bits(), rx.psel_bits()));
    TRIGGER.put(right.p1_01.into_push_pull_output(Level::Low).degrade());
}

/// The core's frequency.
pub fn core_hz() -> u32 {
    HFCLK_FREQ
}

/// The serial line; once.
pub fn serial() -> Option<NrfUart> {
    SERIAL.take()
}

/// The trigger pin, low; once.
pub fn trigger() -> Option<Pin<Output<PushPull>>> {
    TRIGGER.take()
}
