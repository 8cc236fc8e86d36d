//! Miri: the runtime's tests in an interpreter that sees undefined behaviour.

use anyhow::Result;

use crate::{command, nightly};

/// Runs the runtime's tests, in their small form, under Miri; `arguments` go on to `cargo miri test`.
///
/// # Errors
/// When there is no nightly toolchain with Miri, or a test fails.
pub fn run(arguments: &[String]) -> Result<()> {
    nightly::demand(&["miri"], "Miri", "rustup toolchain install nightly --component miri,rust-src")?;
    let mut test = nightly::cargo();
    test.args(["miri", "test", "-p", "kinglet", "--lib", "--tests"]).args(arguments);
    // Property tests look for their regressions' file; and nothing else leaves the interpreter.
    test.env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-strict-provenance");
    test.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    // Of property tests that set no number themselves.
    test.env("PROPTEST_CASES", "4");
    command::run(&mut test)
}
