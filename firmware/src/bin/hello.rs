//! Classifies one digit: the program that README.md shows.
#![no_std]
#![no_main]
use kinglet::{Arena, Pixels, Session};
use kinglet_firmware as board; // start-up, log and exit of the boards in firmware/src/board: those of others come with their HAL

board::model!(Digits); // kinglet::model!(Digits = "digits.kgl"), checked by the compiler
static ARENA: Arena<Digits> = Arena::new();
static DIGIT: &[u8; 8 * 8] = include_bytes!("digit.bin"); // what a camera would see

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start();
    let mut session = Session::<Digits>::new(ARENA.take().unwrap());
    let best = session.infer(Pixels(DIGIT)).unwrap().best().unwrap();
    defmt::info!("digit {} with probability {}", best.class, best.probability);
    board::fault::exit(board::fault::OK)
}
