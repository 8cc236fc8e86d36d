//! `cargo xtask test`: every test that this checkout has.

use std::process::Command;

use anyhow::Result;

use crate::firmware::{self, Firmware};
use crate::setup::TARGETS;
use crate::stages::Stages;
use crate::{bits32, command, repo, setup, wasm};

pub fn run(no_install: bool) -> Result<()> {
    let mut stages = Stages::default();
    stages.run("setup", || setup::run(no_install))?;
    all(&mut stages)?;
    stages.summary();
    Ok(())
}

/// The test stages themselves, for `test` and `ci`.
pub fn all(stages: &mut Stages) -> Result<()> {
    stages.run("runtime without std, on every thumb target", || {
        command::run(&mut no_std(&[]))?;
        command::run(&mut no_std(&["--features", "defmt"]))
    })?;
    if bits32::is_there() {
        stages.run("the runtime's tests on 32 bits", || bits32::run(&[]))?;
    } else {
        println!("the runtime's tests on 32 bits are left out: `cargo xtask bits32` says what they need");
    }
    firmware::stage(stages, "firmware", Firmware::build)?;
    let mut module = None;
    stages.run("the runtime as a WebAssembly module", || {
        module = Some(wasm::build()?);
        Ok(())
    })?;
    // One pass: the variables let the tests that need QEMU, the firmware and the module run too, beside the others.
    stages.keep("tests on the host and on emulated boards", || {
        let mut tests = workspace();
        tests.env("KINGLET_DEVICE_TESTS", "1").envs(module.map(|module| ("KINGLET_WASM", module)));
        command::run_and_keep(tests.args(["test", "--workspace"]))
    })
}

/// Cargo in the root workspace.
pub fn workspace() -> Command {
    let mut cargo = command::cargo();
    cargo.current_dir(repo::root());
    cargo
}

fn no_std(features: &[&str]) -> Command {
    let mut cargo = workspace();
    cargo.args(["build", "--package", "kinglet"]).args(features);
    cargo.args(TARGETS.iter().flat_map(|target| ["--target", target]));
    cargo
}
