//! BBC micro:bit: Cortex-M0 (nRF51822), 256 KB flash, 16 KB RAM. Emulated.

use super::nrf_uart::NrfUart;

/// Nothing to do: QEMU starts with clocks running.
pub fn init() {}

/// The serial line, which is that of the interface chip: it transmits on P0.24 and receives on P0.25.
pub fn serial() -> Option<NrfUart> {
    Some(NrfUart::start(24, 25))
}
