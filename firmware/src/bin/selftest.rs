//! Checks the clock, every operator and every kernel on the device.
#![no_std]
#![no_main]

#[cfg(feature = "microbit")]
// All operators on two instruction sets are more than its flash; mps2-an385 compares the same code.
use kinglet::kernels::Active as Portable;
#[cfg(not(feature = "microbit"))]
use kinglet::kernels::Portable;
use kinglet_firmware::{fault, selftest::selftest, start};

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    fault::exit(selftest::<Portable>())
}
