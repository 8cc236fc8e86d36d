//! Olimex STM32-H405: STM32F405RG with a crystal of 8 MHz. Emulated, and a real board.

pub use super::stm32f405::*;

/// The board's name.
pub const NAME: &str = "olimex-stm32-h405";

/// The crystal.
pub const HSE_MHZ: u32 = 8;
