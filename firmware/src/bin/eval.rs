//! Runs the host's images through the model: reads `inputs.bin`, writes `outputs.bin`, measures the first inference.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet_firmware::{evaluate::evaluate, fault, report::Record, start};

kinglet_firmware::model!(Network);
static FRAME: Arena<[u8; Network::MODEL.input_bytes()]> = Arena::new();
static RECORDS: [Record; Network::MODEL.step_count()] = [const { Record::new() }; Network::MODEL.step_count()];

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(frame)) = (kinglet_firmware::arena!(Network), FRAME.take()) else {
        fault::exit(fault::FAILED)
    };
    fault::exit(evaluate::<Network>(arena, frame, &RECORDS))
}
