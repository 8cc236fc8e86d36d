//! Raspberry Pi Pico 2, over rp235x-hal: 150 MHz from the crystal, the LED while the network runs, logs over RTT.

use defmt_rtt as _;
use embedded_hal::digital::OutputPin;
use panic_probe as _;
use rp235x_hal::block::ImageDef;
use rp235x_hal::clocks::init_clocks_and_plls;
use rp235x_hal::gpio::bank0::Gpio25;
use rp235x_hal::gpio::{FunctionSioOutput, Pin, Pins, PullDown};
use rp235x_hal::{Sio, Watchdog, pac};

pub use defmt::info as log;

/// What the boot ROM looks for in the first 4 KB of flash: a program for the Arm cores in secure state.
#[used]
#[unsafe(link_section = ".start_block")]
static IMAGE: ImageDef = ImageDef::secure_exe();

/// The crystal's frequency.
const CRYSTAL_HZ: u32 = 12_000_000;

/// The board.
pub struct Board {
    led: Pin<Gpio25, FunctionSioOutput, PullDown>,
}

impl Board {
    /// Starts clocks and pins.
    pub fn start(_core: cortex_m::Peripherals) -> Self {
        let mut parts = pac::Peripherals::take().unwrap();
        // SAFETY: the core has just started, and runs no code of the coprocessors yet.
        unsafe { rp235x_hal::arch::enable_coprocessors() };
        let mut watchdog = Watchdog::new(parts.WATCHDOG);
        init_clocks_and_plls(
            CRYSTAL_HZ,
            parts.XOSC,
            parts.CLOCKS,
            parts.PLL_SYS,
            parts.PLL_USB,
            &mut parts.RESETS,
            &mut watchdog,
        )
        .ok()
        .unwrap();
        let sio = Sio::new(parts.SIO);
        let pins = Pins::new(
            parts.IO_BANK0,
            parts.PADS_BANK0,
            sio.gpio_bank0,
            &mut parts.RESETS,
        );
        Self {
            led: pins.gpio25.into_push_pull_output(),
        }
    }

    /// Switches the LED.
    pub fn led(&mut self, on: bool) {
        let _ = if on {
            self.led.set_high()
        } else {
            self.led.set_low()
        };
    }
}

/// Ends `cargo run`.
pub fn exit() -> ! {
    loop {
        cortex_m::asm::bkpt();
    }
}
