//! Counts the core's cycles over CYCCNT, the counter of the debug unit (DWT) of every Cortex-M that these boards have.
//!
//! The counter has 32 bits: at 480 MHz it wraps every nine seconds. The interrupt of SysTick looks at it more often, and so counts the wraps.

use core::cell::Cell;

use cortex_m::interrupt::{self, Mutex};
use cortex_m::peripheral::{DWT, syst::SystClkSource};
use cortex_m_rt::exception;

use crate::board;

/// What the clock counts.
pub const UNIT: &str = "cycles";

/// Cycles since [`start`], as of the last look at the counter.
static SEEN: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Starts the clock at 0.
pub fn start() {
    // SAFETY: the firmware is a single thread, and nothing else uses these.
    let mut core = unsafe { cortex_m::Peripherals::steal() };
    core.DCB.enable_trace();
    // The Cortex-M7 keeps the unit locked; cores without the lock pass over it.
    DWT::unlock();
    core.DWT.enable_cycle_counter();
    interrupt::free(|cs| {
        core.DWT.set_cycle_count(0);
        SEEN.borrow(cs).set(0);
    });
    core.SYST.disable_counter();
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload((1 << 24) - 1);
    core.SYST.clear_current();
    core.SYST.enable_interrupt();
    core.SYST.enable_counter();
}

/// Cycles since [`start`].
fn look() -> u64 {
    interrupt::free(|cs| {
        let seen = SEEN.borrow(cs);
        let since = DWT::cycle_count().wrapping_sub(seen.get() as u32);
        seen.set(seen.get() + u64::from(since));
        seen.get()
    })
}

#[exception]
fn SysTick() {
    look();
}

/// Cycles since [`start`], modulo 2^32.
#[inline(never)]
pub fn now() -> u32 {
    DWT::cycle_count()
}

/// The cycles that took `ticks`: they are the same.
pub fn counted(ticks: u32) -> u32 {
    ticks
}

/// CYCCNT as a [`Clock`](kinglet::device::Clock). After [`start`].
#[cfg(feature = "serial")]
#[derive(Clone, Copy, Debug)]
pub struct Ticks;

#[cfg(feature = "serial")]
impl kinglet::device::Clock for Ticks {
    fn ticks(&mut self) -> u64 {
        look()
    }

    fn frequency(&self) -> u32 {
        board::core_hz()
    }
}
