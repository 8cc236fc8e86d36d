//! What Kinglet's firmware shares: the board, its clock and stack, faults and exit codes, image sources, reports.
//!
//! The binaries in `src/bin` are a few lines each. `unsafe` is confined to start-up: [`stack`], [`fault`],
//! [`clock`] and `board`.
#![no_std]

pub mod board;
pub mod clock;
#[cfg(feature = "qemu")]
pub mod evaluate;
pub mod fault;
#[cfg(feature = "qemu")]
pub mod host;
pub mod images;
pub mod report;
pub mod stack;
#[cfg(feature = "qemu")]
use defmt_semihosting as _;
