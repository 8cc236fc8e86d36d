//! Netduino Plus 2: STM32F405RG with a crystal of 25 MHz. Emulated, and a real board.

pub use super::stm32f4::*;

/// The board's name.
pub const NAME: &str = "netduinoplus2";

/// The crystal's frequency.
pub const HSE_MHZ: u32 = 25;

/// A crystal, not an oscillator.
pub const IS_OSCILLATOR: bool = false;

/// The core's frequency: an STM32F405's highest.
pub const CORE_MHZ: u32 = 168;

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = CORE_HZ;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 5;
