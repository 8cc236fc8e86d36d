//! MLPerf Tiny's monitor on the board's serial line: what the official runner measures.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet::device::{Lap, Mlperf};
use kinglet_firmware::{arena, board, clock, fault, start};

kinglet_firmware::model!(Network);
static INPUT: Arena<[u8; Network::MODEL.input().shape.len() as usize]> = Arena::new();

/// The benchmark's task, by the input that it has.
const TASK: &str = match Network::MODEL.input().shape.len() {
    27_648 => "vww01",
    _ => "ic01",
};

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(input), Some(line)) = (kinglet_firmware::arena!(Network), INPUT.take(), board::serial())
    else {
        fault::exit(fault::FAILED)
    };
    let session = arena::session::<Network>(arena);
    clock::start();
    let mut monitor = Mlperf::new(line, Lap(clock::Ticks), session, input, board::NAME, TASK);
    monitor.serve();
    fault::exit(fault::FAILED)
}
