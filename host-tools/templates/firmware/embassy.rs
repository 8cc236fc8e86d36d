//! Classifies an image with {{model}} on {{title}}, in a task of embassy-executor that others share.
#![no_std]
#![no_main]

mod board;
mod cycles;
mod fault;

use board::{Board, log};
use embassy_executor::Spawner;
use embassy_futures::yield_now;
use kinglet::{Arena, {{input}}, Progress, Session};

// The file is checked by the compiler; what it needs of RAM is set aside here.
kinglet::model!(Classifier = concat!(env!("CARGO_MANIFEST_DIR"), "/{{file}}"));
static ARENA: Arena<Classifier> = Arena::new();

/// {{image_doc}}
static IMAGE: &[u8; {{image_len}}] = include_bytes!("../image.bin");

/// Whatever else the program does: it has its turn after every row of the network.
#[embassy_executor::task]
async fn other_work() {
    loop {
        yield_now().await;
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let mut core = cortex_m::Peripherals::take().unwrap();
    cycles::start(&mut core);
    let mut board = Board::start(core);
    spawner.spawn(other_work().unwrap());
    let mut session = Session::<Classifier>::new(ARENA.take().unwrap());

    let mut inference = session.start({{input}}(IMAGE)).unwrap();
    board.led(true);
    let begin = cycles::now();
    while let Progress::More = inference.rows(1) {
        yield_now().await;
    }
    let output = inference.finish().unwrap();
    let taken = cycles::now().wrapping_sub(begin);
    board.led(false);
    if taken > 0 {
        log!("{} cycles, other work included", taken);
    }

    for best in &output.top_k::<3>() {
        let percent = (best.probability * 100.0 + 0.5) as u32;
        log!("class {} ({}): {} %", best.class, best.label.unwrap_or("-"), percent);
    }
    board::exit()
}
