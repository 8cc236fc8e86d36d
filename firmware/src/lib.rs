//! What Kinglet's firmware shares: the board, its clock and stack, faults and exit codes, image sources, reports.
//!
//! The binaries in `src/bin` are a few lines each. `unsafe` is confined to start-up: [`stack`], [`arena`],
//! [`fault`], [`clock`] and [`board`].
#![no_std]

pub mod arena;
pub mod board;
pub mod clock;
mod codes;
#[cfg(feature = "qemu")]
pub mod crash;
#[cfg(feature = "qemu")]
pub mod evaluate;
pub mod fault;
#[cfg(feature = "qemu")]
pub mod host;
pub mod images;
pub mod infer;
#[cfg(feature = "bench")]
pub mod kernels;
pub mod profile;
pub mod report;
pub mod selftest;
pub mod stack;

#[cfg(feature = "hardware")]
use defmt_rtt as _;
#[cfg(feature = "qemu")]
use defmt_semihosting as _;

/// What every program begins with.
pub fn start() {
    stack::split();
    stack::guard();
    arena::clear_slow();
    board::init();
}

/// Defines a type for the model that is built in, checked by the compiler: the file that the environment variable
/// `KINGLET_MODEL` names.
#[macro_export]
macro_rules! model {
    ($name:ident) => {
        kinglet::model!($name = env!(
            "KINGLET_MODEL",
            "set KINGLET_MODEL to the .kgl file to build in; `kinglet export` writes one, `cargo xtask demo` leaves some in target/kinglet"
        ));
    };
}
