//! All the `unsafe` of the runtime: casts between slices, a `static` that is taken once, and the instructions of Arm and of x86-64.
#![allow(unsafe_code)]

pub mod cast;
mod dsp;
pub(crate) mod half;
pub mod once;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2_output;

pub use dsp::Dsp;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub use sse2::Sse2;
