//! Runs the model for a host over the board's serial line: `kinglet device eval`.
#![no_std]
#![no_main]

use kinglet::device::link::Server;
use kinglet::{Arena, Once};
use kinglet_firmware::{arena, board, clock, fault, start};

kinglet_firmware::model!(Network);
static INPUT: Arena<[u8; Network::MODEL.input_bytes()]> = Arena::new();
static SUMS: Once<[u32; Network::MODEL.step_count()]> = Once::new([0; Network::MODEL.step_count()]);

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    let (Some(arena), Some(input), Some(sums)) = (kinglet_firmware::arena!(Network), INPUT.take(), SUMS.take()) else {
        fault::exit(fault::FAILED)
    };
    let (Some(line), Some(pin)) = (board::serial(), board::trigger()) else { fault::exit(fault::FAILED) };
    let session = arena::session::<Network>(arena);
    clock::start();
    Server::new(line, clock::Ticks, session, input, sums, board::NAME).trigger(pin).serve();
    fault::exit(fault::FAILED)
}
