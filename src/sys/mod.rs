//! All the `unsafe` of the runtime: casts between slices, a `static` that is taken once, half precision, and the loops in the
//! instructions of Arm and of x86-64, behind functions that check the [shapes] they are called with.
#![allow(unsafe_code)]

/// The assembler's macro `k_hot name`, which begins the section of a loop.
#[cfg(all(any(kinglet_dsp, kinglet_armv6), not(feature = "hot-in-ram")))]
macro_rules! hot {
    () => {
        ".macro k_hot name\n .section .text.kinglet_hot.\\name,\"ax\",%progbits\n .endm\n"
    };
}
/// The same among the statics that start-up code copies to RAM.
#[cfg(all(any(kinglet_dsp, kinglet_armv6), feature = "hot-in-ram"))]
macro_rules! hot {
    () => {
        ".macro k_hot name\n .section .data.kinglet_hot.\\name,\"awx\",%progbits\n .endm\n"
    };
}

#[cfg(kinglet_dsp)]
pub(crate) mod arm;
#[cfg(kinglet_armv6)]
pub(crate) mod armv6;
pub mod cast;
pub(crate) mod half;
pub mod once;
pub mod shapes;
#[cfg(kinglet_sse2)]
pub(crate) mod sse2;
#[cfg(kinglet_sse2)]
mod sse2_output;
