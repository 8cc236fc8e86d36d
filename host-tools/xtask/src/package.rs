//! `cargo xtask package`: the crates as they are published, with what has to travel inside the tool in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::tests::workspace;
use crate::{command, repo};

/// What travels inside the tool, as its build script reads it.
const SOURCES: &str = include_str!("../../sources.list");

/// What a manifest is called there, which would make its folder a package of its own.
const MANIFEST: &str = "manifest.toml";

/// Packs both crates, and looks whether all sources are in the tool's.
pub fn run() -> Result<()> {
    let root = repo::root();
    let sources = root.join("host-tools/sources");
    let packed = pack(&root, &sources);
    // A build of the checkout takes the checkout's.
    fs::remove_dir_all(&sources).with_context(|| sources.display().to_string())?;
    packed
}

fn pack(root: &Path, sources: &Path) -> Result<()> {
    for source in SOURCES.lines() {
        copy(&root.join(source), &sources.join(source))?;
    }
    let package = ["package", "--allow-dirty", "--no-verify", "-p", "kinglet", "-p", "kinglet-tools"];
    command::run(workspace().args(package))?;
    let listed = workspace().args(["package", "--allow-dirty", "--list", "-p", "kinglet-tools"]).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    for file in [
        "src/lib.rs",
        "firmware/manifest.toml",
        "firmware/.cargo/config.toml",
        "host-tools/boards.toml",
        "manifest.toml",
    ] {
        let file = format!("sources/{file}");
        ensure!(listed.lines().any(|line| line == file), "`{file}` is not in the package of kinglet-tools");
    }
    Ok(())
}

/// Copies a file or a folder, without what was built in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            if name != "target" {
                copy(&from.join(&name), &to.join(&name))?;
            }
        }
        return Ok(());
    }
    let to = if to.ends_with("Cargo.toml") { to.with_file_name(MANIFEST) } else { to.to_path_buf() };
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    fs::copy(from, &to).with_context(|| from.display().to_string())?;
    Ok(())
}
