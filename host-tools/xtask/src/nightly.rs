//! The nightly toolchain, for what needs it: fuzzing, sanitizers, Miri.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::repo;

/// Cargo of the nightly toolchain: not the cargo that runs us but the proxy, which knows `+nightly`.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo::root()).arg("+nightly");
    cargo
}

/// Fails, and says what installs it, unless cargo's command `name` answers to `--version`.
pub fn demand(name: &[&str], missing: &str, install: &str) -> Result<()> {
    let found = cargo().args(name).arg("--version").output().context("cannot start `cargo`")?;
    if !found.status.success() {
        bail!("there is no {missing}; `{install}` installs it");
    }
    Ok(())
}

/// Fails, and says what installs it, when there is no nightly toolchain.
pub fn demand_toolchain() -> Result<()> {
    demand(&[], "nightly toolchain", "rustup toolchain install nightly")
}

/// The triple of the machine that this runs on.
pub fn host() -> Result<String> {
    let mut rustc = Command::new("rustc");
    let about = crate::command::output(rustc.args(["+nightly", "-vV"]))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_string())
}
