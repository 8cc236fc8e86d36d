//! What happens when the stack overflows. `memory.x` puts it at the start of RAM: it meets memory that is not there, instead of
//! growing into statics unseen, and the fault that follows ends here.

use core::arch::global_asm;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

// The stack that overflowed is of no use: reporting begins at its start again.
global_asm!(
    ".section .text.HardFault, \"ax\", %progbits",
    ".global HardFault",
    ".type HardFault, %function",
    ".thumb_func",
    "HardFault:",
    "mov r0, sp",
    "ldr r1, =_stack_end",
    "cmp r0, r1",
    "bhs 1f",
    "ldr r1, =_stack_start",
    "mov sp, r1",
    "1:",
    "bl {report}",
    ".ltorg",
    ".text",
    report = sym report,
);

/// Says what the fault was.
extern "C" fn report(stack_pointer: usize) -> ! {
    let (end, start) = (&raw const _stack_end as usize, &raw const _stack_start as usize);
    if stack_pointer < end {
        panic!("the stack overflowed: memory.x gives it {} bytes", start - end);
    }
    panic!("HardFault, with the stack pointer at {stack_pointer:#010x}");
}
