//! The sources that travel inside the tool: what firmware is built from, wherever the tool is installed.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};

use crate::files;

/// Every file, under its name in a checkout.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The folder that firmware is built in: the checkout that the tool was built in or is started in, or else the sources that
/// travel inside it, unpacked once in the user's cache.
///
/// # Errors
/// When there is no place for the cache, or it cannot be written.
pub fn root() -> Result<PathBuf> {
    match checkout() {
        Some(root) => Ok(root),
        None => unpacked(&cache()?),
    }
}

/// The checkout around the program or the current folder.
pub fn checkout() -> Option<PathBuf> {
    let holds =
        |root: &&Path| root.join("firmware/Cargo.toml").exists() && root.join("host-tools/boards.toml").exists();
    let around = |place: PathBuf| place.ancestors().find(holds).map(Path::to_path_buf);
    [env::current_exe().ok(), env::current_dir().ok()].into_iter().flatten().find_map(around)
}

/// Where the user's programs keep what they can make again.
fn cache() -> Result<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = folder("KINGLET_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME").or_else(|| folder("LOCALAPPDATA"))?.join("kinglet")))
        .or_else(|| Some(folder("HOME")?.join(".cache/kinglet")));
    cache.context("no folder for what is built: set KINGLET_CACHE or HOME")
}

/// The sources in a folder of `cache` of their own, which is made whole or not at all.
fn unpacked(cache: &Path) -> Result<PathBuf> {
    let fingerprint = files::fnv1a(FILES.iter().flat_map(|(_, bytes)| *bytes).copied());
    let folder = cache.join(format!("{}-{fingerprint:016x}", env!("CARGO_PKG_VERSION")));
    if folder.exists() {
        return Ok(folder);
    }
    let cannot = || format!("cannot unpack the firmware's sources to `{}`", folder.display());
    fs::create_dir_all(cache).with_context(cannot)?;
    let place = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(cache).with_context(cannot)?;
    let inside = place.path().join("sources");
    for (name, bytes) in FILES {
        write(&inside, name, bytes)?;
    }
    match fs::rename(&inside, &folder) {
        // Another one was faster.
        Err(_) if folder.exists() => Ok(folder),
        renamed => renamed.with_context(cannot).map(|()| folder),
    }
}

/// The runtime's crate, to be a folder of a project.
///
/// # Errors
/// When it cannot be written.
pub fn write_runtime(folder: &Path) -> Result<()> {
    let is_its = |name: &str| ["Cargo.toml", "build.rs", "LICENSE-MIT"].contains(&name) || name.starts_with("src/");
    FILES.iter().filter(|(name, _)| is_its(name)).try_for_each(|(name, bytes)| write(folder, name, bytes))
}

/// Writes a file; the runtime's manifest as that of a crate by itself.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    match name {
        "Cargo.toml" => files::save(&folder.join(name), alone(std::str::from_utf8(bytes)?)?),
        _ => files::save(&folder.join(name), bytes),
    }
}

/// The manifest of a package without its workspace: what it inherits is written out, what is for its tests left out.
fn alone(manifest: &str) -> Result<String> {
    let mut manifest: toml::Table = toml::from_str(manifest)?;
    let workspace = manifest.remove("workspace").context("no workspace")?;
    for other in ["dev-dependencies", "lints", "profile"] {
        manifest.remove(other);
    }
    let package = manifest.get_mut("package").and_then(toml::Value::as_table_mut).context("no package")?;
    package.remove("include");
    for (key, value) in package.iter_mut().filter(|(_, value)| value.get("workspace").is_some()) {
        let inherited = workspace.get("package").and_then(|package| package.get(key));
        *value = inherited.with_context(|| format!("the workspace has no `{key}`"))?.clone();
    }
    Ok(toml::to_string(&manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_unpacked_once_and_whole() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpacked(cache.path()).unwrap();
        for (name, bytes) in FILES.iter().filter(|(name, _)| *name != "Cargo.toml") {
            assert_eq!(&fs::read(folder.join(name)).unwrap(), bytes, "{name}");
        }
        let names: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        for name in ["src/lib.rs", "src/sys/arm/asm/gemm.S", "firmware/Cargo.lock", "firmware/.cargo/config.toml"] {
            assert!(names.contains(&name), "{name}");
        }
        let models = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")).unwrap();
        for name in models.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            let model = format!("models/{name}/{name}.kgl");
            assert_eq!(folder.join(&model).exists(), checkout().unwrap().join(&model).exists(), "{model}");
        }
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(folder.join("Cargo.toml")).unwrap()).unwrap();
        assert_eq!(manifest["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        assert!(!manifest.contains_key("workspace") && manifest["features"].get("defmt").is_some());
        let kept = folder.join("kept");
        fs::write(&kept, "").unwrap();
        assert_eq!(unpacked(cache.path()).unwrap(), folder);
        assert!(kept.exists(), "it was not unpacked again");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_place_of_the_checkout_is_built_in() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![source];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = fs::read_to_string(&path) {
                    let product = text.split("#[cfg(test)]").next().unwrap();
                    let is_tests = path.file_stem().is_some_and(|stem| stem == "tests");
                    assert!(is_tests || !product.contains("CARGO_MANIFEST_DIR"), "{}", path.display());
                }
            }
        }
    }
}
