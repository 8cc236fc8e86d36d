//! Classifies an image with {{model}} on {{title}}.
#![no_std]
#![no_main]

mod board;

use board::{Board, log};
use kinglet::{Arena, Session};

// The file is checked by the compiler; what it needs of RAM is set aside here.
kinglet::model!(static MODEL = concat!(env!("CARGO_MANIFEST_DIR"), "/{{file}}"));
static ARENA: Arena<{ MODEL.arena_len() }> = Arena::new();

/// {{image_doc}}
static IMAGE: &[u8; {{image_len}}] = include_bytes!("../image.bin");

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut board = Board::start();
    let mut session = Session::new(MODEL, ARENA.take().unwrap()).unwrap();

    session.{{set_input}}(IMAGE).unwrap();
    board.led(true);
    // `session.step()` or `session.step_rows(1)` instead leave time for other work in between.
    session.run();
    board.led(false);

    for best in &session.top_k::<3>() {
        let percent = (session.probability(best.class) * 100.0 + 0.5) as u32;
        let label = session.model().label(best.class).unwrap_or("-");
        log!("class {} ({}): {} %", best.class, label, percent);
    }
    board::exit()
}
