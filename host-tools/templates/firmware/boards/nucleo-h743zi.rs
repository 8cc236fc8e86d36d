//! ST NUCLEO-H743ZI and NUCLEO-H743ZI2, over stm32h7xx-hal: 400 MHz from the ST-LINK's clock, caches on, LD1 while the network runs,
//! logs over RTT.

use defmt_rtt as _;
use panic_probe as _;
use stm32h7xx_hal::gpio::{Output, PB0};
use stm32h7xx_hal::pac;
use stm32h7xx_hal::prelude::*;

pub use defmt::info as log;

/// The board.
pub struct Board {
    led: PB0<Output>,
}

impl Board {
    /// Starts clocks, caches and pins.
    pub fn start(mut core: cortex_m::Peripherals) -> Self {
        let parts = pac::Peripherals::take().unwrap();
        let power = parts.PWR.constrain().freeze();
        let clocks = parts
            .RCC
            .constrain()
            .use_hse(8.MHz())
            .bypass_hse()
            .sys_ck(400.MHz())
            .freeze(power, &parts.SYSCFG);
        // No peripheral reads or writes memory besides the core, so there is nothing to keep coherent.
        core.SCB.enable_icache();
        core.SCB.enable_dcache(&mut core.CPUID);
        let pins = parts.GPIOB.split(clocks.peripheral.GPIOB);
        Self {
            led: pins.pb0.into_push_pull_output(),
        }
    }

    /// Switches LD1.
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
