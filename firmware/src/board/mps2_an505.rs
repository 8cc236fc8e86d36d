//! Arm MPS2, AN505 image: Cortex-M33F at 20 MHz, secure state. Emulated.

pub use super::cmsdk_uart::serial;

/// The board's name.
pub const NAME: &str = "mps2-an505";

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 20_000_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 8;

/// Where UART 0 is, by its secure alias: the serial line.
pub(super) const UART: usize = 0x5020_0000;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}
