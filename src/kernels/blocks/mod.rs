//! The definitions of the primitives, in plain Rust: loops as large as a register file needs, over which the algorithms are written.
//!
//! Data formats: a *pair* is a word of two 16-bit integers. Four channels `c0 c1 c2 c3` are two pairs, `(c0, c2)` and
//! `(c1, c3)`, because that is what Arm's `SXTB16` makes of a word of bytes. A *record* is what the requantization of
//! a channel needs, see [`requantize`].

pub mod add;
pub mod dense;
pub mod depthwise;
pub mod dot;
pub mod elementwise;
pub mod float16;
pub mod gemm;
pub mod gemm_bytes;
pub mod narrow;
pub mod pairs;
pub mod pieces;
pub mod planes;
pub mod requantize;
pub mod stride2;
pub mod winograd;
pub mod winograd2;
pub mod winograd4;

pub use winograd::{F2, F4, S2, Transform};
