//! Classifies an image with {{model}} on {{title}}.
#![no_std]
#![no_main]

mod board;
mod cycles;
mod fault;

use board::{Board, log};
use kinglet::{Arena, {{input}}, Session};

// The file is checked by the compiler; what it needs of RAM is set aside here.
kinglet::model!(Classifier = concat!(env!("CARGO_MANIFEST_DIR"), "/{{file}}"));
static ARENA: Arena<Classifier> = Arena::new();

/// {{image_doc}}
static IMAGE: &[u8; {{image_len}}] = include_bytes!("../image.bin");

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut core = cortex_m::Peripherals::take().unwrap();
    cycles::start(&mut core);
    let mut board = Board::start(core);
    let mut session = Session::<Classifier>::new(ARENA.take().unwrap());

    // A camera's DMA would write into `session.fill()` instead: that is where the input lies.
    let inference = session.start({{input}}(IMAGE)).unwrap();
    board.led(true);
    let begin = cycles::now();
    // `inference.step()` or `inference.rows(1)` before it leave time for other work in between.
    let output = inference.finish().unwrap();
    let taken = cycles::now().wrapping_sub(begin);
    board.led(false);
    if taken > 0 {
        log!("{} cycles", taken);
    }

    for best in &output.top_k::<3>() {
        let percent = (best.probability * 100.0 + 0.5) as u32;
        log!("class {} ({}): {} %", best.class, best.label.unwrap_or("-"), percent);
    }
    board::exit()
}
