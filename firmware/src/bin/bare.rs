//! Runs the model once and says nothing: what this takes of flash, less what `startup` does, is the runtime.
#![no_std]
#![no_main]

use core::hint::black_box;

use kinglet::{Arena, Session};
use kinglet_firmware::{fault, start};

kinglet_firmware::model!(static MODEL);
static ARENA: Arena<{ MODEL.arena_len() }> = Arena::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    start();
    if let Some(arena) = ARENA.take()
        && let Ok(mut session) = Session::new(MODEL, arena)
    {
        black_box(session.input_mut());
        session.run();
        black_box(session.output());
    }
    fault::exit(fault::OK)
}
