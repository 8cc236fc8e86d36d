//! Compares every kernel block with its definition, and counts the instructions of single kernels.
#![no_std]
#![no_main]

use kinglet_firmware::{fault, kernels, start};

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    fault::exit(kernels::run())
}
