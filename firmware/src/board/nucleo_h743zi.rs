//! ST NUCLEO-H743ZI and NUCLEO-H743ZI2, over stm32h7xx-hal: Cortex-M7F (STM32H743ZI) at 480 MHz (400 MHz before revision V), 2 MB flash, 128 KB
//! tightly coupled RAM, 512 KB RAM; caches are on. The ST-LINK carries the serial line, USART3 (PD8, PD9) at 115,200 baud, and gives the
//! clock. The trigger pin is PB0, which has the green LED too.

use core::convert::Infallible;
use core::sync::atomic::{AtomicU32, Ordering};

use embedded_hal::digital::{ErrorType, OutputPin};
use stm32h7xx_hal::gpio::{Output, PB0};
use stm32h7xx_hal::pac::{self, USART3};
use stm32h7xx_hal::prelude::*;
use stm32h7xx_hal::rcc::PllConfigStrategy;
use stm32h7xx_hal::serial;

use super::once::Once;
use super::polled::Polled;

/// The first revision of the chip that runs at 480 MHz, as its identity register has it.
const REVISION_V: u16 = 0x2003;

/// The core's frequency; until [`init`] that after reset.
static CORE_HZ: AtomicU32 = AtomicU32::new(64_000_000);

/// The serial line's type.
pub type Serial = Polled<serial::Serial<USART3>>;

/// The line, until [`serial`] takes it.
static SERIAL: Once<Serial> = Once::new();

/// The pin, until [`trigger`] takes it.
static TRIGGER: Once<Trigger> = Once::new();

/// Runs the core at its full speed from the ST-LINK's clock, switches the caches on, and opens the serial line.
pub fn init() {
    let (Some(parts), Some(mut core)) = (pac::Peripherals::take(), pac::CorePeripherals::take()) else { return };
    let power = parts.PWR.constrain();
    let (power, core_mhz) = if parts.DBGMCU.idc.read().rev_id().bits() >= REVISION_V {
        (power.vos0(&parts.SYSCFG).freeze(), 480)
    } else {
        (power.freeze(), 400)
    };
    let clocks = parts.RCC.constrain().use_hse(8.MHz()).bypass_hse().sys_ck(core_mhz.MHz());
    // This strategy allows 960 MHz in the PLL, which 480 MHz take.
    let clocks = clocks.pll1_strategy(PllConfigStrategy::Iterative).freeze(power, &parts.SYSCFG);
    CORE_HZ.store(clocks.clocks.sys_ck().raw(), Ordering::Relaxed);
    // No peripheral reads or writes memory besides the core, so there is nothing to keep coherent.
    core.SCB.enable_icache();
    core.SCB.enable_dcache(&mut core.CPUID);

    let pins = parts.GPIOB.split(clocks.peripheral.GPIOB);
    TRIGGER.put(Trigger(pins.pb0.into_push_pull_output()));
    let pins = parts.GPIOD.split(clocks.peripheral.GPIOD);
    let pins = (pins.pd8.into_alternate(), pins.pd9.into_alternate());
    let line = parts.USART3.serial(pins, 115_200.bps(), clocks.peripheral.USART3, &clocks.clocks);
    SERIAL.put(line.ok().map(Polled));
}

/// The core's frequency.
pub fn core_hz() -> u32 {
    CORE_HZ.load(Ordering::Relaxed)
}

/// The serial line; once.
pub fn serial() -> Option<Serial> {
    SERIAL.take()
}

/// The trigger pin, low; once.
pub fn trigger() -> Option<Trigger> {
    TRIGGER.take()
}

/// The pin over embedded-hal 1.0, which the HAL has not.
pub struct Trigger(PB0<Output>);

impl ErrorType for Trigger {
    type Error = Infallible;
}

impl OutputPin for Trigger {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set_low();
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set_high();
        Ok(())
    }
}
