//! A control loop at 1 kHz beside a network, without an operating system: the loop runs in the interrupt of SysTick, and keeps
//! its deadline whatever the network does; everything else takes turns with the network in the main loop, and waits as
//! long as a piece of it takes.
//!
//! Prints for each size of the pieces: how many there were, instructions of the longest, and how late the control loop was.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicI32, Ordering};

use cortex_m_rt::{entry, exception};
use kinglet::{Arena, Inference, Progress, RawWith, Session};
use kinglet_cooperative::{Lateness, Motor, exit, instructions, now, since_tick, start, tick};

kinglet::model!(Network = env!("KINGLET_MODEL"));
static ARENA: Arena<Network> = Arena::new();

static LATENESS: Lateness = Lateness::new();
static SPEED: AtomicI32 = AtomicI32::new(0);

/// How much of the network runs between two turns of everything else.
#[derive(Clone, Copy)]
enum Piece {
    Inference,
    Step,
    Rows(u32),
}

const PIECES: [Piece; 5] = [Piece::Inference, Piece::Step, Piece::Rows(4), Piece::Rows(2), Piece::Rows(1)];

#[exception]
fn SysTick() {
    static mut MOTOR: Motor = Motor::new();
    tick();
    let began = since_tick();
    SPEED.store(MOTOR.control(), Ordering::Relaxed);
    LATENESS.record(began, since_tick());
}

/// Runs a piece.
fn run(inference: &mut Inference<'_, Network>, piece: Piece) -> Progress {
    match piece {
        Piece::Inference => {
            while let Progress::More = inference.step() {}
            Progress::Done
        }
        Piece::Step => inference.step(),
        Piece::Rows(rows) => inference.rows(rows),
    }
}

/// An input that needs no file.
fn ramp(bytes: &mut [u8]) {
    bytes.iter_mut().zip(0u8..).for_each(|(element, i)| *element = i & 0x3F);
}

#[entry]
fn main() -> ! {
    let (Some(arena), Some(core)) = (ARENA.take(), cortex_m::Peripherals::take()) else { exit(1) };
    let mut session = Session::<Network>::new(arena);
    start(core.SYST);
    let mut expected = None;
    let mut missed = 0;
    for piece in PIECES {
        let Ok(mut inference) = session.start(RawWith(ramp)) else { exit(1) };
        let (mut pieces, mut longest) = (0u32, 0);
        LATENESS.take();
        loop {
            let before = now();
            let progress = run(&mut inference, piece);
            longest = longest.max(now().wrapping_sub(before));
            pieces += 1;
            // Everything else has its turn here: a watchdog, buttons, a radio.
            if progress == Progress::Done {
                break;
            }
        }
        let control = LATENESS.take();
        let (name, rows) = match piece {
            Piece::Inference => ("inference", 0),
            Piece::Step => ("step", 0),
            Piece::Rows(rows) => ("rows", rows),
        };
        defmt::info!("pieces={=u32} longest={=u32} of={=str} rows={=u32}", pieces, instructions(longest), name, rows);
        defmt::info!(
            "control runs={=u32} late={=u32} jitter={=u32} missed={=u32}",
            control.runs,
            control.least,
            control.most - control.least,
            control.missed
        );
        missed += control.missed;
        let Ok(output) = inference.finish() else { exit(1) };
        let best = output.best().map(|best| (best.class, best.score));
        if *expected.get_or_insert(best) != best {
            defmt::error!("another class than before");
            exit(1)
        }
    }
    defmt::info!("done speed={=i32} missed={=u32}", SPEED.load(Ordering::Relaxed), missed);
    exit(i32::from(missed > 0))
}
