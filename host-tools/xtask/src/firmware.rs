//! The firmware's own workspace: built and linted for one board of each target.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::stages::Stages;
use crate::{boards, command, repo};

/// A board for each target, the demo's first, and one over each HAL. The device tests build for the others that they run on.
const BOARDS: [&str; 5] = ["mps2-an386", "mps2-an505", "lm3s6965evb", "microbit", "olimex-stm32-h405"];

/// The firmware and the model that is built into it.
pub struct Firmware {
    folder: PathBuf,
    model: PathBuf,
}

impl Firmware {
    /// What this checkout has, or why nothing can be built.
    pub fn find() -> Result<Self, &'static str> {
        let folder = repo::root().join("firmware");
        if !folder.join("Cargo.toml").is_file() {
            return Err("this checkout has no firmware/Cargo.toml");
        }
        // Relative paths are meant from where the user is, not from the firmware's folder.
        let named = env::var_os("KINGLET_MODEL").and_then(|path| PathBuf::from(path).canonicalize().ok());
        let model = named.or_else(|| smallest_model(&repo::root().join("models")));
        let model = model.ok_or("there is no exported model under models/, and KINGLET_MODEL names none")?;
        Ok(Self { folder, model })
    }

    /// Builds every program for the demo's board, where the device tests look for what is built already.
    pub fn build(&self) -> Result<()> {
        command::run(&mut self.cargo(&["build"], BOARDS[0])?)
    }

    /// Lints every program for each board, and the packages that have one of their own.
    pub fn lint(&self) -> Result<()> {
        BOARDS
            .iter()
            .try_for_each(|board| command::run(self.cargo(&["clippy"], board)?.args(["--", "-D", "warnings"])))?;
        let arm = boards::target(BOARDS[0])?;
        for (package, target) in
            [("kinglet-cooperative", arm.as_str()), ("kinglet-riscv", "riscv32imac-unknown-none-elf")]
        {
            let mut clippy = command::cargo();
            clippy.current_dir(&self.folder).args(["clippy", "--locked", "--release", "--package", package]);
            clippy.args(["--target", target, "--target-dir"]).arg(repo::root().join("target/firmware"));
            command::run(clippy.args(["--", "-D", "warnings"]))?;
        }
        Ok(())
    }

    fn cargo(&self, verb: &[&str], board: &str) -> Result<Command> {
        let target = boards::target(board)?;
        let mut cargo = command::cargo();
        cargo.current_dir(&self.folder).env("KINGLET_MODEL", &self.model).args(verb);
        cargo.args(["--locked", "--release", "--bins", "--features", board, "--target", &target, "--target-dir"]);
        cargo.arg(repo::root().join("target/firmware"));
        Ok(cargo)
    }
}

/// Runs `stage` on the firmware, or skips it and says why.
pub fn stage(stages: &mut Stages, name: &str, stage: impl FnOnce(&Firmware) -> Result<()>) -> Result<()> {
    match Firmware::find() {
        Ok(firmware) => stages.run(name, || stage(&firmware)),
        Err(why) => {
            stages.skip(name, why);
            Ok(())
        }
    }
}

/// The smallest `.kgl` file in the folders of `models`: it has the best chance to fit every board.
fn smallest_model(models: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(models).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let sized = files.filter_map(|entry| {
        let entry = entry.ok()?;
        let path = entry.path();
        path.extension().is_some_and(|extension| extension == "kgl").then_some(())?;
        Some((entry.metadata().ok()?.len(), path))
    });
    sized.min().map(|(_, path)| path)
}
