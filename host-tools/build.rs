//! Lists the sources that travel inside the tool: the runtime, the firmware, the table of boards and the shipped models.
//!
//! They lie in the checkout around this package, or in `sources/`, where `cargo xtask package` copies them: a package holds
//! nothing from outside its folder, and no folder with a `Cargo.toml` of its own, which is called `manifest.toml` there.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What travels, from the checkout's root on: files and folders.
const SOURCES: &str = include_str!("sources.list");

fn main() -> io::Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("sources.rs");
    let packed = package.join("sources");
    let root = if packed.exists() { packed } else { package.join("..").canonicalize()? };
    let mut list = String::from("&[\n");
    for source in SOURCES.lines() {
        let path = root.join(source);
        let path = if path.exists() { path } else { path.with_file_name("manifest.toml") };
        println!("cargo:rerun-if-changed={}", path.display());
        add(&path, source, &mut list)?;
    }
    fs::write(out, list + "]")
}

/// Appends a file, or the files of a folder, under the name that it has in a checkout.
fn add(path: &Path, name: &str, list: &mut String) -> io::Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries {
            let file = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let file = if file == "manifest.toml" { "Cargo.toml" } else { file };
            if file != "target" {
                add(&entry, &format!("{name}/{file}"), list)?;
            }
        }
    } else {
        let _ = writeln!(list, "({name:?}, include_bytes!({path:?})),");
    }
    Ok(())
}
