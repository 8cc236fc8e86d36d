//! BBC micro:bit: Cortex-M0 (nRF51822), 256 KB flash, 16 KB RAM. Emulated.

use super::nrf_uart::NrfUart;

/// The board's name.
pub const NAME: &str = "microbit";

/// SysTick's frequency on the processor clock.
pub const SYSTICK_HZ: u32 = 16_000_000;

/// Emulated, an instruction takes `2^ICOUNT_SHIFT` ns.
pub const ICOUNT_SHIFT: u32 = 8;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}

/// The serial line, which is that of the interface chip: it transmits on P0.24 and receives on P0.25.
pub fn serial() -> Option<NrfUart> {
    Some(NrfUart::start(24, 25))
}
