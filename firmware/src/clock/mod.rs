//! Measures what programs take: executed instructions in QEMU, cycles on a board.

#[cfg(feature = "hardware")]
mod cycles;
#[cfg(not(feature = "hardware"))]
mod systick;

#[cfg(feature = "hardware")]
pub use cycles::*;
#[cfg(not(feature = "hardware"))]
pub use systick::*;

/// What [`counted`] makes of the time between two calls of [`now`] in a row: what measuring adds to a measurement.
pub fn overhead() -> u32 {
    let before = now();
    counted(now().wrapping_sub(before))
}

/// What `work` takes, without what measuring adds. After [`start`].
#[inline(always)]
pub fn count(work: impl FnOnce()) -> u32 {
    let overhead = overhead();
    let before = now();
    work();
    counted(now().wrapping_sub(before)).saturating_sub(overhead)
}

/// Executes exactly `4 * turns + 1` instructions (`turns` at least 1), to check the clock against.
#[inline(never)]
pub fn spin(turns: u32) {
    // SAFETY: counts a register down; touches neither memory nor the stack.
    unsafe {
        core::arch::asm!(
            "movs {n}, {turns}",
            "2:",
            "nop",
            "nop",
            "subs {n}, #1",
            "bne 2b",
            n = out(reg) _,
            turns = in(reg) turns,
            options(nomem, nostack),
        );
    }
}
