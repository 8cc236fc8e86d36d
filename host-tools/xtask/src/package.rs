//! `cargo xtask package`: the crates as they are published, with what has to travel inside the tool in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tests::workspace;
use crate::{command, repo};

/// What travels inside the tool, as its build script reads it.
const SOURCES: &str = include_str!("../../sources.list");

/// What a manifest is called there, which would make its folder a package of its own.
const MANIFEST: &str = "manifest.toml";

/// Builds what `kinglet new` makes, with every template for every board.
pub fn projects() -> Result<()> {
    let mut tests = workspace();
    tests.args(["test", "--locked", "-p", "kinglet-tools", "--test", "new", "every_template", "--", "--nocapture"]);
    command::run(tests.env("KINGLET_ALL_PROJECTS", "1"))
}

/// Packs both crates, and looks whether all sources are in the tool's; with `install` installs it from there.
pub fn run(install: bool) -> Result<()> {
    let root = repo::root();
    let sources = root.join("host-tools/sources");
    let packed = pack(&root, &sources);
    // A build of the checkout takes the checkout's.
    fs::remove_dir_all(&sources).with_context(|| sources.display().to_string())?;
    packed?;
    if install { try_installed(&root) } else { Ok(()) }
}

/// Installs the tool from its package, in a folder outside the checkout, and has it look at networks and make a project there.
fn try_installed(root: &Path) -> Result<()> {
    let place = std::env::temp_dir().join(format!("kinglet-install-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    let tried = install(root, &place);
    fs::remove_dir_all(&place)?;
    tried
}

fn install(root: &Path, place: &Path) -> Result<()> {
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(root.join("Cargo.toml"))?)?;
    let version = manifest["workspace"]["package"]["version"].as_str().context("a version")?.to_owned();
    for name in ["kinglet", "kinglet-tools"] {
        let package = root.join(format!("target/package/{name}-{version}.crate"));
        command::run(Command::new("tar").arg("-xzf").arg(package).arg("-C").arg(place))?;
    }
    let unpacked = |name: &str| place.join(format!("{name}-{version}"));
    let mut cargo = command::cargo();
    cargo.current_dir(place).args(["install", "--offline", "--path"]).arg(unpacked("kinglet-tools"));
    // Until it is published.
    let patch = format!("patch.crates-io.kinglet.path={:?}", unpacked("kinglet").display().to_string());
    cargo.args(["--config", &patch, "--root"]).arg(place).arg("--target-dir").arg(root.join("target/installed"));
    command::run(&mut cargo)?;
    let model = root.join("models/digits-resnet/digits-resnet.kgl");
    fs::copy(model, place.join("digits.kgl"))?;
    for words in [
        "zoo digits-resnet --json",
        "inspect digits.kgl --board nucleo-f446re",
        "train --network digits-resnet --epochs 1 --out run",
        "report digits.kgl -o report.html",
        "new app --board nucleo-f446re --model digits.kgl",
    ] {
        let mut kinglet = Command::new(place.join("bin/kinglet"));
        kinglet.env_clear().env("HOME", place).env("PATH", "/usr/bin:/bin").current_dir(place);
        command::run(kinglet.args(words.split_whitespace()))?;
    }
    ensure!(place.join("app/kinglet/src/lib.rs").exists(), "the runtime did not travel inside the tool");
    Ok(())
}

fn pack(root: &Path, sources: &Path) -> Result<()> {
    for source in SOURCES.lines() {
        copy(&root.join(source), &sources.join(source))?;
    }
    let package = ["package", "--allow-dirty", "--no-verify", "-p", "kinglet", "-p", "kinglet-tools"];
    command::run(workspace().args(package))?;
    let listed = workspace().args(["package", "--allow-dirty", "--list", "-p", "kinglet-tools"]).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let sources = [
        "src/lib.rs",
        "firmware/manifest.toml",
        "firmware/.cargo/config.toml",
        "host-tools/boards.toml",
        "manifest.toml",
    ];
    let mut needed = sources.map(|file| format!("sources/{file}")).to_vec();
    for folder in ["templates", "page"] {
        for file in repo::all_files(Path::new("host-tools").join(folder))? {
            needed.push(file.strip_prefix("host-tools")?.display().to_string());
        }
    }
    for file in needed {
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
