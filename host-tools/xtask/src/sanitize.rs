//! AddressSanitizer: the runtime's tests as machine code that checks every access.

use anyhow::Result;

use crate::{command, nightly};

/// Memory errors, and the preconditions of the standard library's unsafe functions.
const FLAGS: &str = "-Zsanitizer=address -Zub-checks=yes -Cdebug-assertions=yes -Coverflow-checks=yes";

/// Runs the runtime's tests, all of them as they are, under AddressSanitizer; `arguments` go on to `cargo test`.
///
/// # Errors
/// When there is no nightly toolchain, or a test fails.
pub fn run(arguments: &[String]) -> Result<()> {
    nightly::demand_toolchain()?;
    let mut test = nightly::cargo();
    // With a target named, build scripts and macros are compiled without the flags. Its own folder keeps other builds.
    test.args(["test", "-p", "kinglet", "--lib", "--tests", "--target", &nightly::host()?]);
    test.args(["--target-dir", "target/sanitize"]).args(arguments);
    test.env("RUSTFLAGS", FLAGS);
    command::run(&mut test)
}
