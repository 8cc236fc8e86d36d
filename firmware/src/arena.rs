//! The arena of the model that is built in: in RAM, or, when it was exported for two memories, in RAM and in the slower
//! memory of the board.

use core::sync::atomic::{AtomicBool, Ordering};

use kinglet::kernels::Active;
use kinglet::uses::Linked;
use kinglet::{Model, Session};

use crate::report;

/// The bytes of a model's arena: in RAM, and in the slow memory.
pub type Bytes = [&'static mut [u8]; 2];

/// Bytes in RAM: the fast part of the arena, or all of it when it is not split.
pub const fn ram_len<L: Linked>(model: &Model<'_, L>) -> usize {
    if model.fast_len() > 0 { model.fast_len() } else { model.arena_len() }
}

/// Bytes in the slow memory.
pub const fn slow_len<L: Linked>(model: &Model<'_, L>) -> usize {
    if model.fast_len() > 0 { model.slow_len() } else { 0 }
}

/// The arena of the static `$model`, once: `None` when it was taken before.
#[macro_export]
macro_rules! arena {
    ($model:ident) => {{
        static RAM: kinglet::Arena<{ $crate::arena::ram_len(&$model) }> = kinglet::Arena::new();
        #[unsafe(link_section = ".slow.arena")]
        static SLOW: kinglet::Arena<{ $crate::arena::slow_len(&$model) }> = kinglet::Arena::new();
        match (RAM.take(), SLOW.take()) {
            (Some(ram), Some(slow)) => Some([ram, slow]),
            _ => None,
        }
    }};
}

/// Logs board and model, and opens a session on an arena of [`arena!`](crate::arena!); when that cannot be, logs why.
pub fn session<L: Linked>(model: Model<'static, L>, [ram, slow]: Bytes) -> Option<Session<'static, Active, L>> {
    report::board();
    report::model(&model);
    let session = if model.fast_len() > 0 { Session::split(model, ram, slow) } else { Session::new(model, ram) };
    session.inspect_err(|error| defmt::error!("{}", error)).ok()
}

/// All of the slow memory that no static takes, as zeros, from a multiple of 16 bytes on. Once: `None` when it was taken before.
pub fn rest() -> Option<&'static mut [u8]> {
    /// A load and a store, for Cortex-M0 has no swap; there is but one thread.
    static TAKEN: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" {
        static mut _slow_end: u32;
        static mut _slow_limit: u32;
    }
    if TAKEN.load(Ordering::Relaxed) {
        return None;
    }
    TAKEN.store(true, Ordering::Relaxed);
    let (start, end) = (&raw mut _slow_end, &raw mut _slow_limit);
    let len = (end as usize).saturating_sub(start as usize);
    // SAFETY: the linker script puts the first symbol after all statics of this memory, at a multiple of 16, and the second at the memory's
    // end; the stack is not between them, and this is the only reference, for it is made once. The bytes are written before they are read.
    unsafe {
        start.cast::<u8>().write_bytes(0, len);
        Some(core::slice::from_raw_parts_mut(start.cast(), len))
    }
}

/// Fills the slow memory's statics with zeros, as the start-up code does with those in RAM. Call it before they are used.
pub fn clear_slow() {
    unsafe extern "C" {
        static mut _slow_start: u32;
        static mut _slow_end: u32;
    }
    let (mut at, end) = (&raw mut _slow_start, &raw mut _slow_end);
    while at < end {
        // SAFETY: the linker script reserves these words for the statics of the section, which are all zeros and which
        // nobody has used yet.
        unsafe {
            at.write_volatile(0);
            at = at.add(1);
        }
    }
}
