//! ST NUCLEO-F446RE: Cortex-M4F (STM32F446RE) at 180 MHz, 512 KB flash, 128 KB RAM. Its ST-LINK carries the serial line, and gives the clock.
//! The trigger pin is D13, which has the green LED too.

pub use super::stm32f4::*;

/// The board's name.
pub const NAME: &str = "nucleo-f446re";

/// The frequency of the clock that the ST-LINK puts out.
pub const HSE_MHZ: u32 = 8;

/// An oscillator, not a crystal.
pub const IS_OSCILLATOR: bool = true;

/// The core's frequency: the chip's highest.
pub const CORE_MHZ: u32 = 180;

/// The core's frequency.
pub fn core_hz() -> u32 {
    CORE_HZ
}
