//! Nordic nRF52840-DK, over nrf52840-hal: 64 MHz from the crystal, LED1 while the network runs, logs over RTT.

use defmt_rtt as _;
use embedded_hal::digital::OutputPin;
use nrf52840_hal::clocks::Clocks;
use nrf52840_hal::gpio::{Level, Output, PushPull, p0};
use nrf52840_hal::pac;
use panic_probe as _;

pub use defmt::info as log;

/// The board.
pub struct Board {
    /// LED1, which is on when the pin is low.
    led: p0::P0_13<Output<PushPull>>,
}

impl Board {
    /// Starts clock, cache and pins.
    pub fn start(_core: cortex_m::Peripherals) -> Self {
        let parts = pac::Peripherals::take().unwrap();
        let _ = Clocks::new(parts.CLOCK).enable_ext_hfosc();
        parts.NVMC.icachecnf.write(|w| w.cacheen().enabled());
        let pins = p0::Parts::new(parts.P0);
        Self {
            led: pins.p0_13.into_push_pull_output(Level::High),
        }
    }

    /// Switches LED1.
    pub fn led(&mut self, on: bool) {
        let _ = if on {
            self.led.set_low()
        } else {
            self.led.set_high()
        };
    }
}

/// Ends `cargo run`.
pub fn exit() -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}
