//! Targets without rustup's server: `core` and `alloc` built from the standard library's source.
//!
//! The source is the toolchain's own (rustup's `rust-src` component), or else the distribution's `rust-src` package of
//! the very same release, downloaded with a private apt state so that the system stays as it is.
//! What is built is copied to where rustup would put it, and rustup is told, so that it can remove or update it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::facts::{Release, Toolchain};
use super::plan::{Target, names};
use super::qemu;
use crate::{command, repo};

const CRATES: [&str; 3] = ["core", "alloc", "compiler_builtins"];
/// Names the release whose source we put into the sysroot: rustup's own copy has no such file.
const SOURCE_MARK: &str = ".kinglet-release";

/// What will be done, for the user.
pub fn describe(targets: &[Target], toolchain: &Toolchain) -> Vec<String> {
    let library = toolchain.rustlib();
    let mut lines = Vec::new();
    if !toolchain.source {
        lines.push(format!(
            "download the distribution's package rust-src {} with apt-get (not installed; a private apt state in target/),",
            toolchain.release
        ));
        lines.push(format!("put its library folder into {}/src/rust,", library.display()));
    }
    lines.push(format!("build core and alloc for {} with cargo -Zbuild-std,", names(targets)));
    lines.push(format!("copy them into {}/<target>/lib and register them with rustup", library.display()));
    lines
}

/// Whether the source of this release is in the sysroot.
pub fn present(rustlib: &Path, release: &str) -> bool {
    let source = rustlib.join("src/rust");
    if !source.join("library/core/src/lib.rs").is_file() {
        return false;
    }
    match fs::read_to_string(source.join(SOURCE_MARK)) {
        Ok(mark) => mark.trim() == release,
        Err(_) => true, // rustup's component, which it keeps in step with the toolchain
    }
}

/// Builds and installs the targets.
pub fn install(targets: &[Target], toolchain: &Toolchain) -> Result<()> {
    let scratch = repo::scratch("rust-src")?;
    if !toolchain.source {
        fetch(&scratch, toolchain)?;
    }
    build(targets, &scratch, toolchain)?;
    for target in targets {
        place(target.name, &scratch, toolchain)?;
        link(target.name, &scratch)?;
    }
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}

/// Puts the library folder of the distribution's package into the sysroot.
fn fetch(scratch: &Path, toolchain: &Toolchain) -> Result<()> {
    let package = download(scratch, &toolchain.release)?;
    let unpacked = scratch.join("unpacked");
    fs::create_dir(&unpacked)?;
    // The package holds the whole compiler's source; only the library folder is needed.
    let tree = scratch.join("package.tar");
    let file = fs::File::create(&tree)?;
    command::run(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(file))?;
    let members = format!("./usr/src/rustc-{}/library", toolchain.release);
    command::run(Command::new("tar").arg("-xf").arg(&tree).arg("-C").arg(&unpacked).arg(&members))?;

    let source = toolchain.rustlib().join("src/rust");
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    fs::create_dir_all(&source)?;
    // Moved by `mv`: the sysroot may be on another file system.
    command::run(Command::new("mv").arg(unpacked.join(&members)).arg(&source))?;
    Ok(fs::write(source.join(SOURCE_MARK), format!("{}\n", toolchain.release))?)
}

/// Downloads the package of this release from the configured sources, or from other suites of the same Debian mirror.
fn download(scratch: &Path, release: &str) -> Result<PathBuf> {
    let codename = Release::parse(&fs::read_to_string("/etc/os-release")?).codename;
    let mut own = Vec::new();
    let mut known = qemu::index_targets(&own)?;
    if known.is_empty() {
        // A fresh machine (an image without package lists): they are fetched aside.
        own = private_apt(scratch, "own", None)?;
        command::run(Command::new("apt-get").args(&own).args(["update", "-qq"]))?;
        known = qemu::index_targets(&own)?;
    }
    let short = release.rsplit_once('.').map_or(release, |(short, _)| short);
    for package in ["rust-src".to_string(), format!("rust-{short}-src")] {
        if let Some(version) = version_of(&own, &package, release)? {
            return get(&own, scratch, &package, &version);
        }
    }
    let mirror = qemu::mirror(&known, &codename)
        .with_context(|| format!("apt's sources have no rust-src {release}, and no Debian mirror to look further"))?;
    for suite in [&*format!("{codename}-backports"), "trixie-backports", "trixie", "forky", "sid"] {
        eprintln!("setup: looking for rust-src {release} in {suite}");
        let options = private_apt(scratch, suite, Some(mirror))?;
        if let Err(error) = command::run(Command::new("apt-get").args(&options).args(["update", "-qq"])) {
            eprintln!("setup: {error:#}");
        } else if let Some(version) = version_of(&options, "rust-src", release)? {
            return get(&options, scratch, "rust-src", &version);
        }
    }
    bail!("no suite has rust-src {release}; use rustup, or a toolchain of a release that the distribution packages")
}

/// Options that give apt a state of its own, so that the system's lists are not touched: with one suite of `mirror` as
/// its only source, or with the system's sources.
fn private_apt(scratch: &Path, suite: &str, mirror: Option<&str>) -> Result<Vec<String>> {
    let state = scratch.join("apt").join(suite);
    for folder in ["lists/partial", "cache/archives/partial", "state"] {
        fs::create_dir_all(state.join(folder))?;
    }
    fs::write(state.join("status"), "")?;
    let configuration = state.join("apt.conf");
    let folder = state.display();
    let mut settings = format!(
        "Dir::State \"{folder}/state\";\n\
         Dir::State::Lists \"{folder}/lists\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         APT::Sandbox::User \"root\";\n"
    );
    if let Some(mirror) = mirror {
        fs::write(state.join("sources.list"), format!("deb [signed-by={}] {mirror} {suite} main\n", qemu::KEYRING))?;
        settings.push_str(&format!(
            "Dir::Etc::SourceList \"{folder}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Etc::PreferencesParts \"/dev/null\";\n"
        ));
    }
    fs::write(&configuration, settings)?;
    Ok(vec!["-c".into(), configuration.display().to_string()])
}

/// The package's version for a Rust release, such as `1.95.0+dfsg1-1`, if apt knows one.
fn version_of(options: &[String], package: &str, release: &str) -> Result<Option<String>> {
    let table = command::output(Command::new("apt-cache").args(options).args(["madison", package]))?;
    Ok(newest(&table, release))
}

fn newest(table: &str, release: &str) -> Option<String> {
    // `madison` lists the newest first: "rust-src | 1.95.0+dfsg1-1 | <mirror> sid/main amd64 Packages"
    table.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).find_map(|version| {
        let rest = version.strip_prefix(release)?;
        (rest.is_empty() || rest.starts_with(['+', '~', '-'])).then(|| version.to_string())
    })
}

fn get(options: &[String], scratch: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let wanted = format!("{package}={version}");
    let mut apt = Command::new("apt-get");
    command::run(apt.current_dir(scratch).args(options).args(["download", "-qq", &wanted]))?;
    let file = fs::read_dir(scratch)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    file.with_context(|| format!("apt-get downloaded no package file of {wanted}"))
}

/// Builds the crates of every target into `scratch/build/<target>/release/deps`.
fn build(targets: &[Target], scratch: &Path, toolchain: &Toolchain) -> Result<()> {
    let package = scratch.join("probe");
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.release]\nopt-level = 3\ndebug = false\ncodegen-units = 1\npanic = \"abort\"\n",
    )?;
    fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
    let source = toolchain.rustlib().join("src/rust");
    // Bitcode, because cargo would leave it out here and fat LTO needs it. The path as in rustup's own libraries.
    let flags = format!("-Cembed-bitcode=yes --remap-path-prefix={}=/rustc/{}", source.display(), toolchain.commit);
    let mut cargo = command::cargo();
    for variable in ["CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER"] {
        cargo.env_remove(variable);
    }
    cargo
        .current_dir(&package)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .args(["build", "--release", "-Zbuild-std=core,alloc,compiler_builtins"])
        .args(["-Zbuild-std-features=compiler-builtins-mem", "--target-dir"])
        .arg(scratch.join("build"))
        .args(targets.iter().flat_map(|target| ["--target", target.name]));
    command::run(&mut cargo)
}

/// Copies one target's crates to where rustup would put them, and tells rustup.
fn place(target: &str, scratch: &Path, toolchain: &Toolchain) -> Result<()> {
    let built = scratch.join("build").join(target).join("release/deps");
    let rustlib = toolchain.rustlib();
    let (folder, fresh) = (rustlib.join(target), rustlib.join(format!("{target}.new")));
    for old in [&fresh, &folder] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(fresh.join("lib"))?;
    for name in CRATES {
        let file = rlib(&built, name)?;
        fs::copy(&file, fresh.join("lib").join(file.file_name().context("a file without a name")?))?;
    }
    // Complete before it has its name: an interrupted setup leaves no half target.
    fs::rename(&fresh, &folder)?;
    eprintln!("setup: installed {}", folder.display());
    if toolchain.rustup { register(target, &rustlib) } else { Ok(()) }
}

fn rlib(folder: &Path, name: &str) -> Result<PathBuf> {
    let prefix = format!("lib{name}-");
    let mut found = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(&prefix) && file.ends_with(".rlib")
        });
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        (None, _) => bail!("cargo built no {name} in {}", folder.display()),
        _ => bail!("more than one {name} in {}", folder.display()),
    }
}

/// Adds the target to rustup's records: it then counts as installed, and `rustup target remove` works.
fn register(target: &str, rustlib: &Path) -> Result<()> {
    let component = format!("rust-std-{target}");
    fs::write(rustlib.join(format!("manifest-{component}")), format!("dir:lib/rustlib/{target}\n"))?;
    let components = rustlib.join("components");
    if fs::read_to_string(&components)?.lines().any(|line| line == component) {
        return Ok(());
    }
    append(&components, &format!("{component}\n"))?;
    append(
        &rustlib.join("multirust-config.toml"),
        &format!("\n[[components]]\npkg = \"rust-std\"\ntarget = \"{target}\"\nis_extension = false\n"),
    )
}

fn append(file: &Path, text: &str) -> Result<()> {
    let mut file =
        OpenOptions::new().append(true).open(file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Links a program with fat LTO: what firmware needs beyond what the probe of the facts shows.
fn link(target: &str, scratch: &Path) -> Result<()> {
    let program = "#![no_std]\n#![no_main]\n\
        #[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n\
        #[unsafe(no_mangle)] pub extern \"C\" fn _start(a: u64, b: u64) -> f32 { (a / (b | 1)) as f32 }\n";
    let mut rustc = command::rustc();
    rustc.args(["--edition", "2024", "--target", target, "-O", "-C", "lto=fat", "-C", "panic=abort", "-o"]);
    rustc.arg(scratch.join("probe.elf")).arg("-");
    command::run_with_input(&mut rustc, program)
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn only_the_very_release_is_taken() {
        let table = " rust-src | 1.96.0+dfsg1-1 | m sid/main amd64 Packages\n \
                      rust-src | 1.95.0+dfsg1-2~bpo13+1 | m trixie-backports/main amd64 Packages\n \
                      rust-src | 1.95.0+dfsg1-1 | m forky/main amd64 Packages\n";
        assert_eq!(newest(table, "1.95.0").as_deref(), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(newest(table, "1.9"), None);
        assert_eq!(newest(table, "1.95.1"), None);
        assert_eq!(newest("", "1.95.0"), None);
    }
}
