//! The only room with `unsafe`: instructions of Arm and of hosts, the casts between byte slices and typed ones, and a `static`
//! that can be taken once.
#![allow(unsafe_code)]

pub mod cast;
mod dsp;
pub(super) mod halves;
pub mod once;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2_output;

pub use dsp::Dsp;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub use sse2::Sse2;
