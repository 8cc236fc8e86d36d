//! Measures one inference, step by step: instructions, checksums, stack.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet_firmware::{fault, profile::profile, report::Record, start};

kinglet_firmware::model!(Network);
static FRAME: Arena<[u8; Network::MODEL.input_bytes()]> = Arena::new();
static RECORDS: [Record; Network::MODEL.step_count()] = [const { Record::new() }; Network::MODEL.step_count()];
static SUMS: [u32; Network::MODEL.step_count()] = Network::MODEL.step_checksums();

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(frame)) = (kinglet_firmware::arena!(Network), FRAME.take()) else {
        fault::exit(fault::FAILED)
    };
    fault::exit(profile::<Network>(arena, frame, &RECORDS, &SUMS))
}
