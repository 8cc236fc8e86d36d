//! BBC micro:bit: Cortex-M0 (nRF51822), 256 KB flash, 16 KB RAM. Emulated.

/// The board's name.
pub const NAME: &str = "microbit";

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 16_000_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 8;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}
