//! Measures one inference, step by step: instructions, checksums, stack.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet_firmware::{fault, profile::profile, report::Record, start};

kinglet_firmware::model!(static MODEL);
static FRAME: Arena<{ MODEL.input().span() as usize }> = Arena::new();
static RECORDS: [Record; MODEL.step_count()] = [const { Record::new() }; MODEL.step_count()];
static SUMS: [u32; MODEL.step_count()] = MODEL.step_checksums();

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(frame)) = (kinglet_firmware::arena!(MODEL), FRAME.take()) else {
        fault::exit(fault::FAILED)
    };
    fault::exit(profile(MODEL, arena, frame, &RECORDS, &SUMS))
}
