//! `cargo xtask ci`: formatting, layers, figures, lints and documentation, the firmware of boards on the desk, then every test.

use std::process::Command;

use anyhow::Result;

use crate::firmware::{self, Firmware};
use crate::setup::{TARGETS, WASM};
use crate::stages::Stages;
use crate::tests::workspace;
use crate::{boards, book, command, count, figures, layers, licenses, package, repo, setup, tests};

pub fn run(no_install: bool) -> Result<()> {
    let mut stages = Stages::default();
    stages.run("setup", || setup::run(no_install))?;
    stages.run("formatting", formatting)?;
    stages.run("layers", layers::run)?;
    stages.run("public items", count::surface)?;
    stages.run("figures", || figures::run(true))?;
    stages.run("lints", lints)?;
    firmware::stage(&mut stages, "firmware lints", Firmware::lint)?;
    stages.run("packages", || package::run(false))?;
    stages.run("documentation", || {
        command::run(workspace().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))
    })?;
    stages.run("licences", licenses::run)?;
    let mut made = false;
    stages.run("book", || {
        made = book::run(no_install)?;
        Ok(())
    })?;
    if !made {
        stages.skip("book as HTML", "mdbook is not installed");
    }
    firmware::stage(&mut stages, "firmware for boards on the desk", |_| boards::check())?;
    tests::all(&mut stages)?;
    stages.summary();
    Ok(())
}

fn formatting() -> Result<()> {
    command::run(workspace().args(["fmt", "--all", "--check"]))?;
    // Workspaces of their own.
    for room in ["firmware", "host-tools/wasm"] {
        let room = repo::root().join(room);
        if room.is_dir() {
            let mut cargo = command::cargo();
            command::run(cargo.current_dir(room).args(["fmt", "--all", "--check"]))?;
        }
    }
    Ok(())
}

fn lints() -> Result<()> {
    command::run(deny_warnings(workspace().args(["clippy", "--locked", "--workspace", "--all-targets"])))?;
    // The host's build does not see the Arm-only code (assembly, intrinsics).
    let arm = TARGETS.iter().flat_map(|target| ["--target", target]);
    command::run(deny_warnings(
        workspace().args(["clippy", "--package", "kinglet", "--features", "defmt,device"]).args(arm),
    ))?;
    let mut wasm = command::cargo();
    wasm.current_dir(repo::root().join("host-tools/wasm")).args(["clippy", "--locked", "--release", "--target", WASM]);
    command::run(deny_warnings(wasm.arg("--target-dir").arg(repo::root().join("target/wasm"))))
}

fn deny_warnings(clippy: &mut Command) -> &mut Command {
    clippy.args(["--", "-D", "warnings"])
}
