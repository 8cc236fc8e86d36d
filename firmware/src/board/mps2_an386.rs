//! Arm MPS2, AN386 image: Cortex-M4F at 25 MHz, 4 MB code, 4 MB data. Emulated.

pub use super::cmsdk_uart::serial;

/// The board's name.
pub const NAME: &str = "mps2-an386";

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 25_000_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 7;

/// Where UART 0 is: the serial line.
pub(super) const UART: usize = 0x4000_4000;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}
