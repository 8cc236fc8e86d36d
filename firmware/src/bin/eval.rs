//! Runs the host's images through the model: reads `inputs.bin`, writes `outputs.bin`, measures the first inference.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet_firmware::{evaluate::evaluate, fault, report::Record, start};

kinglet_firmware::model!(static MODEL);
static FRAME: Arena<{ MODEL.input().span() as usize }> = Arena::new();
static RECORDS: [Record; MODEL.step_count()] = [const { Record::new() }; MODEL.step_count()];

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(frame)) = (kinglet_firmware::arena!(MODEL), FRAME.take()) else {
        fault::exit(fault::FAILED)
    };
    fault::exit(evaluate(MODEL, arena, frame, &RECORDS))
}
