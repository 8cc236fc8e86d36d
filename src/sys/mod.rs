//! All the `unsafe` of the runtime: casts between slices, a `static` that is taken once, half precision, and the loops in the
//! instructions of Arm and of x86-64, behind functions that check the [shapes] they are called with.
#![allow(unsafe_code)]

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
