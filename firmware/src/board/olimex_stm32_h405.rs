//! Olimex STM32-H405: STM32F405RG with a crystal of 8 MHz. Emulated, and a real board.

pub use super::stm32f4::*;

/// The board's name.
pub const NAME: &str = "olimex-stm32-h405";

/// The crystal's frequency.
pub const HSE_MHZ: u32 = 8;

/// A crystal, not an oscillator.
pub const IS_OSCILLATOR: bool = false;

/// The core's frequency: an STM32F405's highest.
pub const CORE_MHZ: u32 = 168;

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = CORE_HZ;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 5;
