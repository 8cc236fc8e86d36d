//! Checks the clock, every operator and every kernel on the device.
#![no_std]
#![no_main]

use kinglet_firmware::{fault, selftest::selftest, start};

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    fault::exit(selftest())
}
