//! What the programs tell the host, as log lines: a word, then `key=value` pairs, a name last.
//!
//! People read them as they are; `kinglet` reads them too, over whatever carries the log (`host-tools/src/device`).

use core::sync::atomic::{AtomicU32, Ordering};

use kinglet::kernels::{Active, Backend};
use kinglet::{Model, Observer, Session, StepEvent};

use crate::{board, clock, stack};

/// Board and backend.
pub fn board() {
    defmt::info!(
        "board icount_shift={=u32} stack={=u32} backend={=str} name={=str}",
        board::ICOUNT_SHIFT,
        stack::size(),
        Active::NAME,
        board::NAME
    );
}

/// The model's figures.
pub fn model<const USES: u64>(model: &Model<'_, USES>) {
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
    instructions: AtomicU32,
    checksum: AtomicU32,
}

impl Record {
    /// Nothing yet.
    #[allow(clippy::new_without_default)] // for statics
    pub const fn new() -> Self {
        Self { instructions: AtomicU32::new(0), checksum: AtomicU32::new(0) }
    }
}

/// Measures an inference with the input that `feed` gives and logs it: stack, instructions as a whole, instructions and
/// checksum of each step.
///
/// `feed` is called before each of three runs: the first with the clock stopped, so that no interrupt adds to the
/// stack; the second without an observer; the third observed. `records` are as many as the model has steps.
pub fn measure<const USES: u64>(
    session: &mut Session<'_, Active, USES>,
    records: &[Record],
    mut feed: impl FnMut(&mut Session<'_, Active, USES>),
) {
    feed(session);
    stack::paint();
    session.run();
    defmt::info!("stack bytes={=u32}", stack::high_water());

    feed(session);
    clock::start();
    defmt::info!("inference instructions={=u32}", clock::count(|| session.run()));

    feed(session);
    session.run_observed(&mut Profiler { records, overhead: clock::overhead() });
    for (step, record) in session.model().steps().zip(records) {
        defmt::info!(
            "step index={=usize} instructions={=u32} macs={=u64} checksum={=u32:#010x} op={=str} name={=str}",
            step.index,
            record.instructions.load(Ordering::Relaxed),
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
        let before = if event.rows.start == 0 { 0 } else { record.instructions.load(Ordering::Relaxed) };
        let instructions = clock::instructions(event.ticks).saturating_sub(self.overhead);
        record.instructions.store(before.wrapping_add(instructions), Ordering::Relaxed);
        let before = if event.rows.start == 0 { 0 } else { record.checksum.load(Ordering::Relaxed) };
        record.checksum.store(event.checksum(before), Ordering::Relaxed);
    }
}
