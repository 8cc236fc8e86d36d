//! Runs the model for a host over the board's serial line: `kinglet device eval`.
#![no_std]
#![no_main]

use kinglet::Arena;
use kinglet::device::link::Server;
use kinglet_firmware::{arena, board, clock, fault, start};

kinglet_firmware::model!(static MODEL);
static INPUT: Arena<{ MODEL.input().shape.len() as usize }> = Arena::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    // The entry point is called once, and cortex-m-rt makes this a static of it.
    static mut SUMS: [u32; MODEL.step_count()] = [0; MODEL.step_count()];
    start();
    let (Some(arena), Some(input)) = (kinglet_firmware::arena!(MODEL), INPUT.take()) else {
        fault::exit(fault::FAILED)
    };
    let (Some(line), Some(pin)) = (board::serial(), board::trigger()) else { fault::exit(fault::FAILED) };
    let Some(session) = arena::session(MODEL, arena) else { fault::exit(fault::BAD_INPUT) };
    clock::start();
    Server::new(line, clock::Ticks, session, input, SUMS, board::NAME).trigger(pin).serve();
    fault::exit(fault::FAILED)
}
