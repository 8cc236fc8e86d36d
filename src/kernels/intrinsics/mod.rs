//! The only room with `unsafe`: Arm instructions, the casts between byte slices and typed ones, and a `static`
//! that can be taken once.
#![allow(unsafe_code)]

pub mod cast;
mod dsp;
pub(super) mod halves;
pub mod once;

pub use dsp::Dsp;
