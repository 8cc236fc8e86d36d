//! Keeps whatever model a host sends over the board's serial line in flash, and runs the newest from every start on: `kinglet device load`.
#![no_std]
#![no_main]

use kinglet::device::load::Loader;
use kinglet_firmware::{arena, board, clock, fault, report, start};

/// How many steps' checksums are kept.
const STEPS: usize = 256;

#[cortex_m_rt::entry]
fn main() -> ! {
    // The entry point is called once, and cortex-m-rt makes this a static of it.
    static mut SUMS: [u32; STEPS] = [0; STEPS];
    start();
    report::board();
    let (Some(memory), Some(line), Some(pin), Some(slots)) =
        (arena::rest(), board::serial(), board::trigger(), board::models())
    else {
        fault::exit(fault::FAILED)
    };
    clock::start();
    Loader::new(line, clock::Ticks, memory, SUMS, board::NAME).keep(slots).trigger(pin).serve();
    fault::exit(fault::FAILED)
}
