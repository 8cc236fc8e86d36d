//! Stellaris LM3S6965 evaluation board: Cortex-M3, 256 KB flash, 64 KB RAM. Emulated.

pub use super::pl011::serial;

/// The board's name.
pub const NAME: &str = "lm3s6965evb";

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 12_500_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 8;

/// Where UART 0 is: the serial line.
pub(super) const UART: usize = 0x4000_C000;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}
