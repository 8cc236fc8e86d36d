//! `cargo xtask wasm`: the runtime as a WebAssembly module, which travels in the tool for the pages that it writes.
//!
//! The committed module does not have to be this build to the byte: it has to compute what the host does, which
//! `host-tools/tests/page` asks of it, and in CI of a fresh build too. So a change of the runtime that changes no output needs none.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::setup::WASM;
use crate::{command, repo};

/// The committed module.
const PRODUCT: &str = "host-tools/page/kinglet.wasm";
/// The most bytes that a page may have to load for it.
const MOST: u64 = 300 * 1000;

/// Builds the module, and puts it where the tool takes it from.
pub fn run() -> Result<()> {
    let module = build()?;
    let product = repo::root().join(PRODUCT);
    // Not a copy: the compiler's file is marked as a program.
    fs::write(&product, fs::read(&module)?).with_context(|| product.display().to_string())?;
    println!("{PRODUCT}: {} bytes", fs::metadata(&product)?.len());
    Ok(())
}

/// Builds the module; where it lies.
pub fn build() -> Result<PathBuf> {
    let target = repo::root().join("target/wasm");
    let mut cargo = command::cargo();
    cargo.current_dir(repo::root().join("host-tools/wasm")).args(["build", "--locked", "--release", "--target", WASM]);
    command::run(cargo.arg("--target-dir").arg(&target))?;
    let module = target.join(WASM).join("release/kinglet_wasm.wasm");
    let len = fs::metadata(&module).with_context(|| module.display().to_string())?.len();
    ensure!(len <= MOST, "the module has {len} bytes; a page should load at most {MOST}");
    Ok(module)
}
