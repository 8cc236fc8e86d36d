//! Runs whatever model a host sends over the board's serial line: `kinglet device load`.
#![no_std]
#![no_main]

use kinglet::Once;
use kinglet::device::load::Loader;
use kinglet_firmware::{arena, board, clock, fault, report, start};

/// How many steps' checksums are kept.
const STEPS: usize = 256;
static SUMS: Once<[u32; STEPS]> = Once::new([0; STEPS]);

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    report::board();
    let (Some(memory), Some(sums), Some(line), Some(pin)) =
        (arena::rest(), SUMS.take(), board::serial(), board::trigger())
    else {
        fault::exit(fault::FAILED)
    };
    clock::start();
    Loader::new(line, clock::Ticks, memory, sums, board::NAME).trigger(pin).serve();
    fault::exit(fault::FAILED)
}
