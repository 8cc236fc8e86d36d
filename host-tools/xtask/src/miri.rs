//! Miri: the runtime's tests in an interpreter that sees undefined behaviour.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::repo;

/// What installs it.
const INSTALL: &str = "rustup toolchain install nightly --component miri,rust-src";

/// Runs the runtime's tests, in their small form, under Miri; `arguments` go on to `cargo miri test`.
///
/// # Errors
/// When there is no nightly toolchain with Miri, or a test fails.
pub fn run(arguments: &[String]) -> Result<()> {
    // Not the cargo that runs us: the toolchain's proxy, which knows `+nightly`.
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(repo::root()).arg("+nightly");
        cargo
    };
    let found = cargo().args(["miri", "--version"]).output().context("cannot start `cargo`")?;
    if !found.status.success() {
        bail!("there is no Miri; `{INSTALL}` installs it");
    }
    let mut test = cargo();
    test.args(["miri", "test", "-p", "kinglet", "--lib", "--tests"]).args(arguments);
    // Property tests look for their regressions' file; and nothing else leaves the interpreter.
    test.env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-strict-provenance");
    test.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command::run(&mut test)
}
