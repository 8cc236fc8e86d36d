//! What the programs tell the host, as log lines: a word, then `key=value` pairs, a name last.
//!
//! People read them as they are; `kinglet` reads them too, over whatever carries the log (`host-tools/src/device`).

use core::sync::atomic::{AtomicU32, Ordering};

use kinglet::kernels::{Active, Backend};
use kinglet::uses::Linked;
use kinglet::{Model, Observer, Session, StepEvent};

use crate::{board, clock, stack};

/// Board and backend.
pub fn board() {
    #[cfg(not(feature = "hardware"))]
    let (key, value) = ("icount_shift", board::ICOUNT_SHIFT);
    #[cfg(feature = "hardware")]
    let (key, value) = ("hz", board::core_hz());
    defmt::info!(
        "board {=str}={=u32} stack={=u32} backend={=str} name={=str}",
        key,
        value,
        stack::size(),
        Active::NAME,
        board::NAME
    );
}

/// The model's figures.
pub fn model<L: Linked>(model: &Model<'_, L>) {
    defmt::info!(
        "model steps={=usize} arena={=usize} weights={=usize} macs={=u64} name={=str}",
        model.step_count(),
        model.arena_len(),
        model.weight_bytes(),
        model.macs(),
        model.name()
    );
}

/// What a step came to; one per step of a model, in a `static`, to be no part of the measured stack.
#[derive(Debug)]
pub struct Record {
    counted: AtomicU32,
    checksum: AtomicU32,
}

impl Record {
    /// Nothing yet.
    #[allow(clippy::new_without_default)] // for statics
    pub const fn new() -> Self {
        Self { counted: AtomicU32::new(0), checksum: AtomicU32::new(0) }
    }
}

/// Measures an inference with the input that `feed` gives and logs it: stack, instructions (cycles on a board) as a whole, and with the
/// checksum of each step.
///
/// `feed` is called before each of three runs: the first with the clock stopped, so that no interrupt adds to the
/// stack; the second without an observer; the third observed. `records` are as many as the model has steps.
pub fn measure<L: Linked>(
    session: &mut Session<'_, Active, L>,
    records: &[Record],
    mut feed: impl FnMut(&mut Session<'_, Active, L>),
) {
    feed(session);
    stack::paint();
    session.run();
    defmt::info!("stack bytes={=u32}", stack::high_water());

    feed(session);
    clock::start();
    defmt::info!("inference {=str}={=u32}", clock::UNIT, clock::count(|| session.run()));

    feed(session);
    session.run_observed(&mut Profiler { records, overhead: clock::overhead() });
    for (step, record) in session.model().steps().zip(records) {
        defmt::info!(
            "step index={=usize} {=str}={=u32} macs={=u64} checksum={=u32:#010x} op={=str} name={=str}",
            step.index,
            clock::UNIT,
            record.counted.load(Ordering::Relaxed),
            step.macs(),
            record.checksum.load(Ordering::Relaxed),
            step.kind().name(),
            step.name
        );
    }
}

/// Adds up what the calls of each step come to.
struct Profiler<'r> {
    records: &'r [Record],
    overhead: u32,
}

impl Observer for Profiler<'_> {
    fn now(&mut self) -> u32 {
        clock::now()
    }

    fn step(&mut self, event: &StepEvent<'_>) {
        let Some(record) = self.records.get(event.index) else { return };
        // Loads and stores, for Cortex-M0 has no more; there is but one thread.
        let before = if event.rows.start == 0 { 0 } else { record.counted.load(Ordering::Relaxed) };
        let counted = clock::counted(event.ticks).saturating_sub(self.overhead);
        record.counted.store(before.wrapping_add(counted), Ordering::Relaxed);
        let before = if event.rows.start == 0 { 0 } else { record.checksum.load(Ordering::Relaxed) };
        record.checksum.store(event.checksum(before), Ordering::Relaxed);
    }
}
