//! The stacks: how deep the program's has been, and one of their own for exceptions.
//!
//! The program's stack lies at the bottom of RAM (`memory/*.x`), so that an overflow leaves RAM instead of overwriting
//! statics, and what lies below is guarded, so that it faults. Exceptions run on another stack, so that the fault can be
//! reported. Free stack is painted with a pattern; the lowest word that
//! has lost it is the high-water mark.

use core::arch::asm;
use core::cell::UnsafeCell;

/// What free stack is painted with.
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;

/// Bytes below the stack pointer that [`paint`] leaves alone, its own frame among them.
const MARGIN: u32 = 64;

/// Bytes of stack for exceptions: reporting a fault takes some 500.
const HANDLERS: usize = 1024;

#[repr(C, align(8))]
struct HandlerStack(UnsafeCell<[u8; HANDLERS]>);

// SAFETY: only the processor's stack pointer refers to it.
unsafe impl Sync for HandlerStack {}

static HANDLER_STACK: HandlerStack = HandlerStack(UnsafeCell::new([0; HANDLERS]));

unsafe extern "C" {
    static mut _stack_start: u32;
    static mut _stack_end: u32;
}

/// Gives exceptions a stack of their own; the program goes on where it is. Call it once, before anything else.
pub fn split() {
    let top = HANDLER_STACK.0.get() as usize + HANDLERS;
    // SAFETY: the program's stack pointer becomes the process stack pointer, of the same value, so that its frames stay
    // where they are; the main stack pointer, which exceptions use, is set to memory that nothing else uses. No exception
    // has been enabled yet, and no floating-point state is lost: none is live at a call of a function without arguments.
    unsafe {
        asm!(
            "mov {t}, sp",
            "msr PSP, {t}",
            "movs {t}, #2",
            "msr CONTROL, {t}",
            "isb",
            "msr MSP, {top}",
            t = out(reg) _,
            top = in(reg) top,
            options(nostack),
        );
    }
}

/// Makes accesses below the program's stack fault: by the stack limit (Armv8-M), or by the memory protection unit.
/// Cortex-M0 has neither; there is no memory below the stack, and the bus refuses.
pub fn guard() {
    #[cfg(not(armv8m))]
    {
        /// Bytes below the stack that are guarded, a power of two: no frame is as large.
        const GUARD: u32 = 1 << 20;
        let (end, _) = bounds();
        // SAFETY: the firmware is a single thread, and nothing else uses the MPU.
        let mpu = unsafe { &*cortex_m::peripheral::MPU::PTR };
        let regions = mpu._type.read() >> 8 & 0xFF;
        if regions > 0 && end.is_multiple_of(GUARD) {
            // SAFETY: region 0 forbids memory that the program does not use; everything else stays as it is
            // without an MPU (PRIVDEFENA), and faults are handled without it.
            unsafe {
                mpu.rbar.write(end.wrapping_sub(GUARD) | 1 << 4);
                mpu.rasr.write((GUARD.trailing_zeros() - 1) << 1 | 1);
                mpu.ctrl.write(1 << 2 | 1);
            }
            cortex_m::asm::dsb();
            cortex_m::asm::isb();
        }
    }
    #[cfg(armv8m)]
    // SAFETY: sets the limit of the stack pointer that the program uses; it is above the limit.
    unsafe {
        asm!("msr PSPLIM, {}", in(reg) bounds().0, options(nomem, nostack, preserves_flags));
    }
}

/// The lowest address of the program's stack, and one past the highest.
fn bounds() -> (u32, u32) {
    ((&raw const _stack_end) as u32, (&raw const _stack_start) as u32)
}

/// Whether `address` is on the program's stack.
pub fn contains(address: u32) -> bool {
    let (end, top) = bounds();
    (end..top).contains(&address)
}

/// Paints the free stack anew, so that [`high_water`] measures what happens from now on.
#[inline(never)]
pub fn paint() {
    let sp: u32;
    // SAFETY: reads the stack pointer.
    unsafe { asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    let (mut at, _) = bounds();
    let end = sp.saturating_sub(MARGIN);
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
