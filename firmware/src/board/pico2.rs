//! Raspberry Pi Pico 2, over rp235x-hal: a Cortex-M33F of the RP2350 at 150 MHz, 4 MB flash, 520 KB RAM. The serial line is UART0 at 115,200 baud,
//! transmitting on GP0 and receiving on GP1, where a Raspberry Pi Debug Probe takes it. The trigger pin is GP15.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Write};
use rp235x_hal::block::ImageDef;
use rp235x_hal::clocks::init_clocks_and_plls;
use rp235x_hal::fugit::RateExtU32;
use rp235x_hal::gpio::bank0::{Gpio0, Gpio1, Gpio15};
use rp235x_hal::gpio::{FunctionSioOutput, FunctionUart, Pin, Pins, PullDown, PullNone};
use rp235x_hal::pac::{self, UART0};
use rp235x_hal::uart::{DataBits, Enabled, StopBits, UartConfig, UartPeripheral};
use rp235x_hal::{Clock, Sio, Watchdog};

use super::once::Once;

/// What the boot ROM looks for in the first 4 KB of flash: a program for the Arm cores in secure state.
#[used]
#[unsafe(link_section = ".start_block")]
static IMAGE: ImageDef = ImageDef::secure_exe();

/// The crystal's frequency.
const CRYSTAL_HZ: u32 = 12_000_000;

/// The core's frequency: what [`init_clocks_and_plls`] sets.
const CORE_HZ: u32 = 150_000_000;

/// UART0 on the pins of the serial line.
type Uart = UartPeripheral<Enabled, UART0, (Pin<Gpio0, FunctionUart, PullNone>, Pin<Gpio1, FunctionUart, PullNone>)>;

/// The pin of the trigger.
type TriggerPin = Pin<Gpio15, FunctionSioOutput, PullDown>;

/// The line, until [`serial`] takes it.
static SERIAL: Once<Serial> = Once::new();

/// The pin, until [`trigger`] takes it.
static TRIGGER: Once<TriggerPin> = Once::new();

/// Runs the core at 150 MHz from the crystal and opens the serial line.
pub fn init() {
    let Some(mut parts) = pac::Peripherals::take() else { return };
    // SAFETY: the core has just started, and runs no code of the coprocessors yet.
    unsafe { rp235x_hal::arch::enable_coprocessors() };
    let mut watchdog = Watchdog::new(parts.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL_HZ,
        parts.XOSC,
        parts.CLOCKS,
        parts.PLL_SYS,
        parts.PLL_USB,
        &mut parts.RESETS,
        &mut watchdog,
    );
    let Ok(clocks) = clocks else { return };
    let sio = Sio::new(parts.SIO);
    let pins = Pins::new(parts.IO_BANK0, parts.PADS_BANK0, sio.gpio_bank0, &mut parts.RESETS);
    TRIGGER.put(pins.gpio15.into_push_pull_output());
    let uart = UartPeripheral::new(
        parts.UART0,
        (pins.gpio0.reconfigure(), pins.gpio1.reconfigure()),
        &mut parts.RESETS,
    );
    let config = UartConfig::new(115_200.Hz(), DataBits::Eight, None, StopBits::One);
    SERIAL.put(uart.enable(config, clocks.peripheral_clock.freq()).ok().map(Serial));
}

/// The core's frequency.
pub fn core_hz() -> u32 {
    CORE_HZ
}

/// The serial line; once.
pub fn serial() -> Option<Serial> {
    SERIAL.take()
}

/// The trigger pin, low; once.
pub fn trigger() -> Option<TriggerPin> {
    TRIGGER.take()
}

/// The line. A byte that was damaged or lost on it is missing, and no error: protocols notice.
pub struct Serial(Uart);

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            if let Ok(len) = self.0.read(bytes) {
                return Ok(len);
            }
        }
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // Sending cannot fail.
        Ok(self.0.write(bytes).unwrap_or(0))
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        let _ = self.0.flush();
        Ok(())
    }
}
