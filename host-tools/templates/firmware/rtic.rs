//! Classifies an image with {{model}} on {{title}}, in a task of RTIC that every task of a higher priority interrupts.
#![no_std]
#![no_main]

mod board;
mod cycles;
mod fault;

use kinglet::Arena;

// The file is checked by the compiler; what it needs of RAM is set aside here.
kinglet::model!(Classifier = concat!(env!("CARGO_MANIFEST_DIR"), "/{{file}}"));
static ARENA: Arena<Classifier> = Arena::new();

/// {{image_doc}}
static IMAGE: &[u8; {{image_len}}] = include_bytes!("../image.bin");

#[rtic::app(device = {{rtic_device}}, peripherals = false, dispatchers = [{{rtic_dispatcher}}])]
mod app {
    use kinglet::{Session, {{input}}};

    use super::{ARENA, Classifier, IMAGE};
    use crate::board::{self, Board, log};
    use crate::cycles;

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        board: Board,
        session: Session<'static, Classifier>,
    }

    #[init]
    fn init(context: init::Context) -> (Shared, Local) {
        let mut core = context.core;
        cycles::start(&mut core);
        let board = Board::start(core);
        let session = Session::<Classifier>::new(ARENA.take().unwrap());
        classify::spawn().unwrap();
        (Shared {}, Local { board, session })
    }

    /// One inference; tasks that take an image for it would spawn it.
    #[task(local = [board, session], priority = 1)]
    async fn classify(context: classify::Context) {
        let classify::LocalResources { board, session, .. } = context.local;
        board.led(true);
        let begin = cycles::now();
        let output = session.infer({{input}}(IMAGE)).unwrap();
        log!("{} cycles", cycles::now().wrapping_sub(begin));
        board.led(false);
        for best in &output.top_k::<3>() {
            let percent = (best.probability * 100.0 + 0.5) as u32;
            log!("class {} ({}): {} %", best.class, best.label.unwrap_or("-"), percent);
        }
        board::exit()
    }
}
