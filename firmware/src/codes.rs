//! How programs end, on every core: their exit codes.

/// Exit code: all is well.
pub const OK: i32 = 0;
/// Exit code: the program ran, and what it checks did not hold.
pub const FAILED: i32 = 1;
/// Exit code: inputs are missing or do not fit the model.
pub const BAD_INPUT: i32 = 2;
/// Exit code: a panic, the code of `std`.
pub const PANIC: i32 = 101;
/// Exit code: a HardFault, and faults that escalate to it.
pub const HARD_FAULT: i32 = 102;
/// Exit code: an exception without a handler.
pub const UNEXPECTED_EXCEPTION: i32 = 103;
/// Exit code: the stack overflowed.
pub const STACK_OVERFLOW: i32 = 104;
