//! The board: the driver that the table of boards names for it (`host-tools/boards.toml`), and the table's constants.
//!
//! Of the table are
//! - `NAME`: the board's name, which is that of its feature and (emulated) of its QEMU machine;
//! - emulated, `SYSTICK_HZ`: the frequency of SysTick when the processor clock feeds it, and `ICOUNT_SHIFT`: what QEMU is to
//!   be given, see [`clock`](crate::clock);
//! - what else the driver takes.
//!
//! A driver has
//! - `init()`: what must happen before anything else;
//! - on the desk, `core_hz()`: the core's frequency, and `trigger()`: a pin for a scope, once;
//! - with the feature `serial`, `serial()`: the serial line, to be taken once;
//! - with the feature `keep`, `models()`: the places in flash for models that come over the line, once.

include!(concat!(env!("OUT_DIR"), "/board.rs"));
pub use driver::*;

#[cfg(feature = "nrf-uart")]
mod nrf_uart;
#[cfg(any(feature = "stm32f4", feature = "hardware"))]
mod once;
#[cfg(feature = "polled")]
mod polled;
#[cfg(all(feature = "stm32f4", feature = "keep"))]
mod stm32f4_flash;

/// Boards of which nobody has a trace to look at have no trigger pin.
#[cfg(all(feature = "serial", not(any(feature = "stm32f4", feature = "hardware"))))]
pub fn trigger() -> Option<kinglet::device::NoPin> {
    Some(kinglet::device::NoPin)
}

/// Bytes of [`KINGLET_BOARD`].
const NAME_LEN: usize = 32;

/// The board's name, padded with zeros: host tools find it in the ELF file by its symbol, and so know how to run it.
#[used]
#[unsafe(no_mangle)]
pub static KINGLET_BOARD: [u8; NAME_LEN] = {
    let (mut padded, name, mut i) = ([0; NAME_LEN], NAME.as_bytes(), 0);
    while i < name.len() {
        padded[i] = name[i];
        i += 1;
    }
    padded
};
