//! The memory of the model that is built in: in RAM, or, when it was exported for two memories, in RAM and in the slower
//! memory of the board.

use core::sync::atomic::{AtomicBool, Ordering};

use kinglet::{ModelType, Session};

use crate::report;

/// The memory of a model: in RAM, and in the slow memory.
pub type Memory<M> = (&'static mut <M as ModelType>::Fast, &'static mut <M as ModelType>::Slow);

/// The memory of the model `$model`, once: `None` when it was taken before.
#[macro_export]
macro_rules! arena {
    ($model:ty) => {{
        static RAM: kinglet::Arena<kinglet::Fast<$model>> = kinglet::Arena::new();
        #[unsafe(link_section = ".slow.arena")]
        static SLOW: kinglet::Arena<kinglet::Slow<$model>> = kinglet::Arena::new();
        RAM.take().zip(SLOW.take())
    }};
}

/// Logs board and model, and opens a session in the memory of [`arena!`](crate::arena!).
pub fn session<M: ModelType>((ram, slow): Memory<M>) -> Session<'static, M> {
    report::board();
    report::model(&M::MODEL);
    Session::split(ram, slow)
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
