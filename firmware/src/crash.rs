//! Ways for a program to fail, to show that each is reported with an exit code of its own.

use core::hint::black_box;

use crate::host;

/// Fails as the first byte of the host's `inputs.bin` says: `p` panics, `f` executes an undefined instruction, `s` overflows the stack, `e`
/// takes an exception without a handler, `l` runs for ever, `c` asks for a command on the host.
pub fn crash() -> i32 {
    match host::first_byte() {
        Some(b'p') => panic!("as asked"),
        Some(b'f') => cortex_m::asm::udf(),
        Some(b's') => {
            black_box(overflow(black_box(0)));
        }
        Some(b'e') => cortex_m::peripheral::SCB::set_pendsv(),
        Some(b'c') => {
            semihosting::sys::arm_compat::sys_system(c"echo > started");
        }
        Some(b'l') => loop {
            cortex_m::asm::nop();
        },
        _ => return crate::fault::BAD_INPUT,
    }
    crate::fault::OK
}

/// Calls itself for ever.
#[allow(unconditional_recursion)]
#[inline(never)]
fn overflow(depth: u32) -> u32 {
    let frame = black_box([depth; 16]);
    overflow(depth.wrapping_add(1)).wrapping_add(frame[3])
}
