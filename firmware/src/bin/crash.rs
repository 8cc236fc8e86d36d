//! Fails in the way that the host's `inputs.bin` asks for.
#![no_std]
#![no_main]

use kinglet_firmware::{crash::crash, fault, start};

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    fault::exit(crash())
}
