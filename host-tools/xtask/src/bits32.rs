//! The runtime's tests on 32 bits, where `usize` is what it is on a device.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::tests::workspace;

const TARGET: &str = "i686-unknown-linux-gnu";

/// Runs the runtime's tests for 32 bits of this machine; `arguments` go on to `cargo test`.
///
/// # Errors
/// When the target or its linker is not there, or a test fails.
pub fn run(arguments: &[String]) -> Result<()> {
    if !is_there() {
        bail!("there is no {TARGET}: `rustup target add {TARGET}` and the package gcc-multilib install it");
    }
    command::run(workspace().args(["test", "-p", "kinglet", "--lib", "--tests", "--target", TARGET]).args(arguments))
}

/// Whether a program can be linked for the target.
pub fn is_there() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "--target", TARGET, "--crate-name", "probe", "-o", "/dev/null", "-"]);
    command::run_with_input(&mut rustc, "fn main() {}").is_ok()
}
