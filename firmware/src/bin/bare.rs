//! Runs the model once and says nothing: what this takes of flash, less what `startup` does, is the runtime.
#![no_std]
#![no_main]

use core::hint::black_box;

use kinglet::{Arena, RawWith, Session};
use kinglet_firmware::{fault, start};

kinglet_firmware::model!(Network);
static ARENA: Arena<Network> = Arena::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    if let Some(arena) = ARENA.take() {
        let mut session = Session::<Network>::new(arena);
        let input = RawWith(|input: &mut [u8]| {
            black_box(input);
        });
        let _ = black_box(session.infer(input).map(|output| output.bytes()));
    }
    fault::exit(fault::OK)
}
