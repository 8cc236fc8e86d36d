//! ST NUCLEO-F446RE, over stm32f4xx-hal: 180 MHz from the ST-LINK's clock, LD2 while the network runs, logs over RTT.

use defmt_rtt as _;
use panic_probe as _;
use stm32f4xx_hal::gpio::{Output, PA5};
use stm32f4xx_hal::pac;
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config;

pub use defmt::info as log;

/// The board.
pub struct Board {
    led: PA5<Output>,
}

impl Board {
    /// Starts clocks and pins.
    pub fn start(_core: cortex_m::Peripherals) -> Self {
        let parts = pac::Peripherals::take().unwrap();
        let mut rcc = parts.RCC.freeze(
            Config::hse(8.MHz())
                .bypass_hse_oscillator()
                .sysclk(180.MHz()),
        );
        let pins = parts.GPIOA.split(&mut rcc);
        Self {
            led: pins.pa5.into_push_pull_output(),
        }
    }

    /// Switches LD2.
    pub fn led(&mut self, on: bool) {
        if on {
            self.led.set_high()
        } else {
            self.led.set_low()
        }
    }
}

/// Ends `cargo run`.
pub fn exit() -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}
