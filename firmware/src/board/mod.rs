//! The boards: one file, one `memory/*.x` and one feature each.
//!
//! A board module has
//! - `NAME`: the board's name, which is that of its feature, of its memory map and (emulated) of its QEMU machine;
//! - `init()`: what must happen before anything else;
//! - emulated, `SYSTICK_HZ`: the frequency of SysTick when the processor clock feeds it, and `ICOUNT_SHIFT`: what QEMU is to
//!   be given, see [`clock`](crate::clock);
//! - on the desk, `core_hz()`: the core's frequency, and `trigger()`: a pin for a scope, once;
//! - with the feature `serial`, `serial()`: the serial line, to be taken once;
//! - with the feature `keep`, `models()`: the places in flash for models that come over the line, once.

macro_rules! boards {
    ($($feature:literal $module:ident;)*) => {
        $(
            #[cfg(feature = $feature)]
            mod $module;
            #[cfg(feature = $feature)]
            pub use $module::*;
        )*
    };
}

boards! {
    "mps2-an385" mps2_an385;
    "mps2-an386" mps2_an386;
    "mps2-an500" mps2_an500;
    "mps2-an505" mps2_an505;
    "mps3-an547" mps3_an547;
    "lm3s6965evb" lm3s6965evb;
    "microbit" microbit;
    "olimex-stm32-h405" olimex_stm32_h405;
    "netduinoplus2" netduinoplus2;
    "nucleo-f446re" nucleo_f446re;
    "nucleo-h743zi" nucleo_h743zi;
    "nrf52840-dk" nrf52840_dk;
    "pico2" pico2;
}

#[cfg(feature = "cmsdk-uart")]
mod cmsdk_uart;
#[cfg(feature = "nrf-uart")]
mod nrf_uart;
#[cfg(any(feature = "stm32f4", feature = "hardware"))]
mod once;
#[cfg(feature = "lm3s6965evb")]
mod pl011;
#[cfg(feature = "polled")]
mod polled;
#[cfg(feature = "stm32f4")]
mod stm32f4;
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
