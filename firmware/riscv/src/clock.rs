//! Counts executed instructions, by the counter that RISC-V has for them. Under QEMU's `-icount` it is exact.

/// Starts the clock: it runs from reset on.
pub fn start() {}

/// Instructions since reset, modulo 2^32.
#[inline(never)]
pub fn now() -> u32 {
    riscv::register::minstret::read() as u32
}

/// The instructions that took `ticks`: they are the same.
pub fn counted(ticks: u32) -> u32 {
    ticks
}

/// Executes exactly `4 * turns + 1` instructions (`turns` at least 1), to check the clock against.
#[inline(never)]
pub fn spin(turns: u32) {
    // SAFETY: counts a register down; touches neither memory nor the stack.
    unsafe {
        core::arch::asm!(
            "mv {n}, {turns}",
            "2:",
            "nop",
            "nop",
            "addi {n}, {n}, -1",
            "bnez {n}, 2b",
            n = out(reg) _,
            turns = in(reg) turns,
            options(nomem, nostack),
        );
    }
}
