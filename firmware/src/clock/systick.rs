//! Counts executed instructions in QEMU, over SysTick, the one timer that every Cortex-M has.
//!
//! Under `-icount shift=S` every instruction takes 2^S ns of emulated time, so that SysTick counts instructions: at
//! 25 MHz and S = 7, 3.2 ticks each. The boards' shifts make that more than two ticks, and so the difference of two
//! readings, divided and rounded, is the *exact* number of instructions between them, the same on every run. The
//! 24-bit counter's wraps are counted by its interrupt; the handler is five instructions long, and [`now`] takes them
//! out again.
//!
//! These are instructions, not cycles: QEMU has no model of memory or pipelines.

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SYST, syst::SystClkSource};

use crate::board::{ICOUNT_SHIFT, SYSTICK_HZ};

/// Counts from one wrap to the next.
const PERIOD: u32 = 1 << 24;

/// Instructions that the interrupt handler executes.
const HANDLER_INSTRUCTIONS: u64 = 5;

/// Nanoseconds, times ticks per second, of one instruction.
const PER_INSTRUCTION: u64 = (SYSTICK_HZ as u64) << ICOUNT_SHIFT;

const SECOND: u64 = 1_000_000_000;

/// The handler in ticks, in units of 2^-16.
const HANDLER_TICKS: u32 = ((((HANDLER_INSTRUCTIONS * PER_INSTRUCTION) << 16) + SECOND / 2) / SECOND) as u32;

/// Each reading is off by less than a tick; where the handler is no whole number of ticks, by less than two. Half an
/// instruction must be more.
const _: () = assert!(
    PER_INSTRUCTION > if HANDLER_TICKS.is_multiple_of(1 << 16) { 2 * SECOND } else { 4 * SECOND },
    "the board's ICOUNT_SHIFT is too small to tell single instructions apart"
);

/// Wraps of the counter; the handler below adds to it.
#[unsafe(no_mangle)]
static KINGLET_SYSTICK_WRAPS: AtomicU32 = AtomicU32::new(0);

core::arch::global_asm!(
    ".syntax unified",
    ".section .text.SysTick, \"ax\", %progbits",
    ".global SysTick",
    ".type SysTick, %function",
    ".thumb_func",
    "SysTick:",
    "ldr r0, 1f",
    "ldr r1, [r0]",
    "adds r1, #1",
    "str r1, [r0]",
    "bx lr",
    ".p2align 2",
    "1: .word KINGLET_SYSTICK_WRAPS",
    ".size SysTick, . - SysTick",
    ".text",
);

/// Starts the clock at 0.
pub fn start() {
    // SAFETY: the firmware is a single thread, and nothing else uses SysTick.
    let syst = unsafe { &mut cortex_m::Peripherals::steal().SYST };
    syst.disable_counter();
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(PERIOD - 1);
    syst.clear_current();
    KINGLET_SYSTICK_WRAPS.store(0, Ordering::Relaxed);
    syst.enable_interrupt();
    syst.enable_counter();
}

/// Ticks since [`start`], modulo 2^32: good for some 500 million instructions.
#[inline(never)]
pub fn now() -> u32 {
    loop {
        let wraps = KINGLET_SYSTICK_WRAPS.load(Ordering::Acquire);
        let count = SYST::get_current();
        if KINGLET_SYSTICK_WRAPS.load(Ordering::Acquire) == wraps {
            let elapsed = PERIOD.wrapping_sub(count) % PERIOD;
            let handler = (wraps.wrapping_mul(HANDLER_TICKS) + (1 << 15)) >> 16;
            return wraps.wrapping_mul(PERIOD).wrapping_add(elapsed).wrapping_sub(handler);
        }
    }
}

/// What the clock counts.
pub const UNIT: &str = "instructions";

/// SysTick as a [`Clock`](kinglet::device::Clock). After [`start`].
#[cfg(feature = "serial")]
#[derive(Clone, Copy, Debug)]
pub struct Ticks;

#[cfg(feature = "serial")]
impl kinglet::device::Clock for Ticks {
    fn ticks(&mut self) -> u64 {
        loop {
            let wraps = KINGLET_SYSTICK_WRAPS.load(Ordering::Acquire);
            let count = SYST::get_current();
            if KINGLET_SYSTICK_WRAPS.load(Ordering::Acquire) == wraps {
                return u64::from(wraps) * u64::from(PERIOD) + u64::from(PERIOD.wrapping_sub(count) % PERIOD);
            }
        }
    }

    fn frequency(&self) -> u32 {
        SYSTICK_HZ
    }
}

/// The instructions that took `ticks`.
#[inline(never)]
pub fn counted(ticks: u32) -> u32 {
    // Else the compiler may move the division to where the result is used: into the next measurement.
    black_box(((u64::from(black_box(ticks)) * SECOND + PER_INSTRUCTION / 2) / PER_INSTRUCTION) as u32)
}
