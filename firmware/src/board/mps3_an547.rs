//! Arm MPS3, AN547 image: Cortex-M55 with Helium at 32 MHz, 512 KB ITCM, 512 KB DTCM. Emulated.

pub use super::cmsdk_uart::serial;

/// The board's name.
pub const NAME: &str = "mps3-an547";

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 32_000_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 7;

/// Where UART 0 is, by its secure alias: the serial line.
pub(super) const UART: usize = 0x5930_3000;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}
