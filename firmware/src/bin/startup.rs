//! Starts and ends: what every other program has in flash besides.
#![no_std]
#![no_main]

use kinglet_firmware::{fault, start};

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    fault::exit(fault::OK)
}
