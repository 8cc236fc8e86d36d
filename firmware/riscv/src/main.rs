//! The firmware's selftest on RISC-V: every operator, on QEMU's virt machine.
//!
//! The runtime is the same, on the portable kernels. What differs is here: start-up, the counter of instructions, and how a program ends.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use defmt_semihosting as _;
// Its critical section.
use riscv as _;

mod clock;
#[path = "../../src/codes.rs"]
#[allow(dead_code, reason = "other programs have more ways to end")]
mod fault;
#[path = "../../src/selftest.rs"]
mod selftest;

/// What the log begins with.
mod report {
    use kinglet::kernels::{Active, Backend};

    /// Machine and backend.
    pub fn board() {
        defmt::info!("board backend={=str} name=virt", Active::NAME);
    }
}

#[allow(missing_docs, reason = "the macro makes a public function")]
#[riscv_rt::entry]
fn main() -> ! {
    semihosting::process::exit(selftest::selftest())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(at) => defmt::error!("panic at {=str}:{=u32}", at.file(), at.line()),
        None => defmt::error!("panic"),
    }
    semihosting::process::exit(fault::PANIC)
}

/// defmt's own panics are `core`'s.
#[defmt::panic_handler]
fn defmt_panic() -> ! {
    semihosting::process::exit(fault::PANIC)
}

// SAFETY: riscv-rt calls it, with the registers that it has saved, when nothing else handles an exception.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    defmt::error!(
        "exception {=usize} at pc={=usize:#010x}",
        riscv::register::mcause::read().bits(),
        riscv::register::mepc::read()
    );
    semihosting::process::exit(fault::UNEXPECTED_EXCEPTION)
}
