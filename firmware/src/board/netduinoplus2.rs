//! Netduino Plus 2: STM32F405RG with a crystal of 25 MHz. Emulated, and a real board.

pub use super::stm32f405::*;

/// The board's name.
pub const NAME: &str = "netduinoplus2";

/// The crystal.
pub const HSE_MHZ: u32 = 25;
