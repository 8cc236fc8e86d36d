//! Classifies one digit: the program that README.md shows.
#![no_std]
#![no_main]
use kinglet::{Arena, Session};
use kinglet_firmware as board; // start-up, log and exit of the boards in firmware/src/board: those of others come with their HAL

board::model!(static MODEL); // kinglet::model!(static MODEL = "digits.kgl"), checked by the compiler
static ARENA: Arena<{ MODEL.arena_len() }> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("digit.bin"); // what a camera would see

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start();
    let mut session = Session::new(MODEL, ARENA.take().unwrap()).unwrap();
    session.set_pixels(DIGIT).unwrap();
    session.run();
    let best = session.top_k::<1>()[0];
    defmt::info!("digit {} with probability {}", best.class, session.probability(best.class));
    board::fault::exit(board::fault::OK)
}
