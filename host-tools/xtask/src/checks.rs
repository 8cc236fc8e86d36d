//! `cargo xtask ci`: formatting, lints and documentation, then every test.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::setup::TARGETS;
use crate::stages::Stages;
use crate::tests::workspace;
use crate::{command, repo, setup, tests};

pub fn run(no_install: bool) -> Result<()> {
    let mut stages = Stages::default();
    stages.run("setup", || setup::run(no_install))?;
    let firmware = repo::firmware();
    stages.run("formatting", || {
        command::run(workspace().args(["fmt", "--all", "--check"]))?;
        firmware.iter().try_for_each(|folder| command::run(inside(folder).args(["fmt", "--check"])))
    })?;
    stages.run("lints", || {
        command::run(deny_warnings(workspace().args(["clippy", "--locked", "--workspace", "--all-targets"])))?;
        // The Arm-only code (assembly, intrinsics) is not seen by the host's build.
        let arm = TARGETS.iter().flat_map(|target| ["--target", target]);
        command::run(deny_warnings(workspace().args(["clippy", "-p", "kinglet", "--features", "defmt"]).args(arm)))?;
        let lint = |folder: &Path| {
            command::run(deny_warnings(inside(folder).args(["clippy", "--locked", "--release", "--bins"])))
        };
        firmware.iter().try_for_each(|folder| lint(folder))
    })?;
    stages.run("documentation", || {
        command::run(workspace().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))
    })?;
    tests::all(&mut stages)?;
    stages.summary();
    Ok(())
}

fn inside(folder: &Path) -> Command {
    let mut cargo = command::cargo();
    cargo.current_dir(folder);
    cargo
}

fn deny_warnings(clippy: &mut Command) -> &mut Command {
    clippy.args(["--", "-D", "warnings"])
}
