//! How deep the stack has been.
//!
//! The stack lies at the bottom of RAM (`memory/*.x`), so that an overflow leaves RAM and faults. Free stack is painted
//! with a pattern; the lowest word that has lost it is the high-water mark.

use cortex_m::register::msp;

/// What free stack is painted with.
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;

/// Bytes below the stack pointer that [`paint`] leaves alone, its own frame among them.
const MARGIN: u32 = 64;

unsafe extern "C" {
    static mut _stack_start: u32;
    static mut _stack_end: u32;
}

/// The lowest address of the stack, and one past the highest.
fn bounds() -> (u32, u32) {
    ((&raw const _stack_end) as u32, (&raw const _stack_start) as u32)
}

/// Paints the free stack anew, so that [`high_water`] measures what happens from now on.
#[inline(never)]
pub fn paint() {
    let (mut at, _) = bounds();
    let end = msp::read().saturating_sub(MARGIN);
    while at < end {
        // SAFETY: from the stack's end to well below the stack pointer: free stack, word by word.
        unsafe { (at as *mut u32).write_volatile(PAINT) };
        at += 4;
    }
}

/// Bytes from the top of the stack to the lowest word written since [`paint`].
#[inline(never)]
pub fn high_water() -> u32 {
    let (mut at, top) = bounds();
    // SAFETY: reads words of the stack's memory.
    while at < top && unsafe { (at as *const u32).read_volatile() } == PAINT {
        at += 4;
    }
    top - at
}

/// Bytes of stack there are.
pub fn size() -> u32 {
    let (end, top) = bounds();
    top - end
}
