//! Where the repository is, whatever the working directory.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root: two folders above this package.
///
/// Cargo says at run time where the package is; the place where it was compiled stands in when the binary is started
/// by hand, so that a moved checkout still works under `cargo xtask`.
pub fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.filter(|path| path.ends_with("host-tools/xtask"));
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.ancestors().nth(2).map(Path::to_path_buf).unwrap_or(package)
}

/// The files below a folder of the repository (or one file), by their paths in the repository, in order; without what was built.
pub fn all_files(folder: impl AsRef<Path>) -> std::io::Result<Vec<PathBuf>> {
    if root().join(&folder).is_file() {
        return Ok(vec![folder.as_ref().to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join(&folder))? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), folder.as_ref().join(entry.file_name())))?;
        if !entry?.is_dir() {
            files.push(path);
        } else if !path.ends_with("target") {
            files.extend(all_files(&path)?);
        }
    }
    files.sort();
    Ok(files)
}

/// Those with one of these endings; one file whatever it ends with.
pub fn files(folder: impl AsRef<Path>, endings: &[&str]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = all_files(&folder)?;
    files.retain(|file| {
        let ending = file.extension().and_then(|ending| ending.to_str());
        file == folder.as_ref() || ending.is_some_and(|ending| endings.contains(&ending))
    });
    Ok(files)
}

/// A fresh, empty folder for intermediate files, under the root's ignored `target`.
pub fn scratch(name: &str) -> std::io::Result<PathBuf> {
    let folder = root().join("target/xtask").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_root_holds_the_workspace() {
        let manifest = std::fs::read_to_string(super::root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]") && manifest.contains("name = \"kinglet\""));
    }
}
