//! How a program ends: the handlers of panics and faults.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m_rt::{ExceptionFrame, exception};

pub use crate::codes::*;
use crate::stack;

/// Set by the first fault: a second one, while the first is being reported, reports nothing.
static FAULTED: AtomicBool = AtomicBool::new(false);

/// Ends the program: under QEMU and a debugger with an exit code, on a board alone by waiting forever.
pub fn exit(code: i32) -> ! {
    #[cfg(feature = "hardware")]
    {
        // What the debugger has not fetched yet.
        defmt::flush();
        if !cortex_m::peripheral::DCB::is_debugger_attached() {
            loop {
                cortex_m::asm::wfi();
            }
        }
    }
    semihosting::process::exit(code)
}

/// Whether this is the first fault. A load and a store, for Cortex-M0 has no swap.
fn first() -> bool {
    let first = !FAULTED.load(Ordering::Relaxed);
    FAULTED.store(true, Ordering::Relaxed);
    first
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    if first() {
        match info.location() {
            Some(at) => defmt::error!("panic at {=str}:{=u32}", at.file(), at.line()),
            None => defmt::error!("panic"),
        }
        // The text needs the formatting machinery, some ten kilobytes.
        #[cfg(debug_assertions)]
        defmt::error!("{}", defmt::Display2Format(&info.message()));
    }
    exit(PANIC)
}

/// defmt's own panics are `core`'s.
#[defmt::panic_handler]
fn defmt_panic() -> ! {
    exit(PANIC)
}

#[exception(trampoline = true)]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let at = &raw const *frame as u32;
    #[cfg(armv6m)]
    let status = 0;
    // SAFETY: reads a fault status register, which every Armv7-M and Armv8-M mainline core has.
    #[cfg(not(armv6m))]
    let status = unsafe { (*cortex_m::peripheral::SCB::PTR).cfsr.read() };
    // The registers were to be saved on the program's stack. When they could not be, they must not be read.
    let saved = stack::contains(at) && status & NOT_STACKED == 0;
    if first() {
        if saved {
            registers(frame);
        } else {
            defmt::error!("the stack of {=u32} bytes overflowed: sp={=u32:#010x}", stack::size(), at);
        }
        #[cfg(not(armv6m))]
        {
            // SAFETY: as above.
            let scb = unsafe { &*cortex_m::peripheral::SCB::PTR };
            defmt::error!(
                "cfsr={=u32:#010x} hfsr={=u32:#010x} mmfar={=u32:#010x} bfar={=u32:#010x}",
                status,
                scb.hfsr.read(),
                scb.mmfar.read(),
                scb.bfar.read()
            );
        }
    }
    exit(if saved { HARD_FAULT } else { STACK_OVERFLOW })
}

/// Bits of the fault status: saving registers failed in the MPU (MSTKERR) or on the bus (STKERR), or the stack pointer
/// met its limit (STKOF, Armv8-M).
const NOT_STACKED: u32 = 1 << 4 | 1 << 12 | 1 << 20;

fn registers(frame: &ExceptionFrame) {
    defmt::error!(
        "HardFault at pc={=u32:#010x} lr={=u32:#010x} xpsr={=u32:#010x}",
        frame.pc(),
        frame.lr(),
        frame.xpsr()
    );
    defmt::error!(
        "r0={=u32:#x} r1={=u32:#x} r2={=u32:#x} r3={=u32:#x} r12={=u32:#x}",
        frame.r0(),
        frame.r1(),
        frame.r2(),
        frame.r3(),
        frame.r12()
    );
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    if first() {
        defmt::error!("exception {=i16} has no handler", number);
    }
    exit(UNEXPECTED_EXCEPTION)
}
