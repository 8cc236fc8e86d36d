//! What the programs tell the host, as log lines: a word, then `key=value` pairs, a name last.
//!
//! People read them as they are; `kinglet` reads them too, over whatever carries the log (`host-tools/src/device`).

use core::sync::atomic::{AtomicU32, Ordering};

use kinglet::kernels::{Active, Backend};
use kinglet::{InferError, Inference, InputError, Linked, Model, Observer, Session, StepEvent};

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
pub fn model<M: Linked>(model: &Model<'_, M>) {
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
/// `start` begins each of three: the first with the clock stopped, so that no interrupt adds to the stack; the second without
/// an observer; the third observed. `records` are as many as the model has steps.
///
/// # Errors
/// Those of `start` and of the inferences.
pub fn measure<M: Linked>(
    session: &mut Session<'_, M>,
    records: &[Record],
    start: impl for<'s> Fn(&'s mut Session<'_, M>) -> Result<Inference<'s, M>, InputError>,
) -> Result<(), InferError> {
    let inference = start(session)?;
    stack::paint();
    inference.finish()?;
    defmt::info!("stack bytes={=u32}", stack::high_water());

    let inference = start(session)?;
    clock::start();
    let mut finished = Ok(());
    let counted = clock::count(|| finished = inference.finish().map(|_| ()));
    finished?;
    defmt::info!("inference {=str}={=u32}", clock::UNIT, counted);

    start(session)?.observe(Profiler { records, began: 0, overhead: clock::overhead() }).finish()?;
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
    Ok(())
}

/// Adds up what the calls of each step come to.
struct Profiler<'r> {
    records: &'r [Record],
    began: u32,
    overhead: u32,
}

impl Observer for Profiler<'_> {
    fn begin(&mut self, _step: usize) {
        self.began = clock::now();
    }

    fn end(&mut self, event: &StepEvent<'_>) {
        let ticks = clock::now().wrapping_sub(self.began);
        let Some(record) = self.records.get(event.index()) else { return };
        // Loads and stores, for Cortex-M0 has no more; there is but one thread.
        let before = if event.rows().start == 0 { 0 } else { record.counted.load(Ordering::Relaxed) };
        let counted = clock::counted(ticks).saturating_sub(self.overhead);
        record.counted.store(before.wrapping_add(counted), Ordering::Relaxed);
        let before = if event.rows().start == 0 { 0 } else { record.checksum.load(Ordering::Relaxed) };
        record.checksum.store(event.checksum(before), Ordering::Relaxed);
    }
}
