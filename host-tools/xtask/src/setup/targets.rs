//! The thumb targets: is each usable by the active compiler, and installing those that are not.

use std::env;
use std::fs;
use std::io::Write;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::facts::{Installed, Toolchain};
use super::plan::{Target, Way, names};
use super::rust_src;
use crate::command;

/// How long rustup may take: it hangs rather than fails behind some firewalls.
const RUSTUP_LIMIT: Duration = Duration::from_secs(300);

/// Asks the compiler itself whether it can use each target: a library that another version built is refused by it too.
pub fn probe(targets: &[&'static str]) -> Result<Vec<(&'static str, Installed)>> {
    // All compilers run at once: each takes about 50 ms.
    let started: Vec<_> = targets.iter().map(|&target| start(target).map(|child| (target, child))).collect();
    let mut states = Vec::new();
    for started in started {
        let (target, child) = started?;
        let out = child.wait_with_output()?;
        let _ = fs::remove_file(probe_file(target));
        let state = match out.status.success() {
            true => Installed::Usable,
            // E0463: there is no such crate. Anything else (E0514: another compiler's) means that a copy is there.
            false if String::from_utf8_lossy(&out.stderr).contains("E0463") => Installed::Missing,
            false => Installed::Stale,
        };
        states.push((target, state));
    }
    Ok(states)
}

fn probe_file(target: &str) -> std::path::PathBuf {
    env::temp_dir().join(format!("kinglet-xtask-{}-{target}.rmeta", process::id()))
}

fn start(target: &str) -> Result<process::Child> {
    let mut child = command::rustc()
        .args(["--edition", "2024", "--crate-type", "rlib", "--crate-name", "probe", "--emit", "metadata"])
        .args(["--target", target, "-o"])
        .arg(probe_file(target))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start rustc")?;
    child.stdin.take().context("no pipe to rustc")?.write_all(b"#![no_std]\nextern crate alloc;\n")?;
    Ok(child)
}

/// Installs the targets by the first way that works.
pub fn install(targets: &[Target], ways: &[Way], toolchain: &Toolchain) -> Result<()> {
    let mut last = None;
    for way in ways {
        if let Some(error) = last.take() {
            eprintln!("setup: {error:#}; going on with the next way");
        }
        let result = match way {
            Way::Rustup => by_rustup(targets),
            Way::Source => rust_src::install(targets, toolchain),
        };
        match result.and_then(|()| check(targets)) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error),
        None => bail!("there is no way to install {}", names(targets)),
    }
}

fn by_rustup(targets: &[Target]) -> Result<()> {
    let mut remove = Command::new("rustup");
    remove.args(["target", "remove"]).args(targets.iter().filter(|target| target.stale).map(|target| target.name));
    if targets.iter().any(|target| target.stale) {
        command::run_within(&mut remove, RUSTUP_LIMIT)?;
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add"]).args(targets.iter().map(|target| target.name));
    command::run_within(&mut add, RUSTUP_LIMIT)
}

fn check(targets: &[Target]) -> Result<()> {
    let names: Vec<&'static str> = targets.iter().map(|target| target.name).collect();
    for (name, state) in probe(&names)? {
        if state != Installed::Usable {
            bail!("the compiler cannot use {name} after its installation ({state:?})");
        }
    }
    Ok(())
}
