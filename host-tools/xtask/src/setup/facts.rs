//! What this machine has. Gathering changes nothing and takes a fraction of a second.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{TARGETS, WASM, targets};
use crate::command;

/// What the tests look for, too (`host-tools/tests/needs`).
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// All that the plan is decided from.
#[derive(Debug, Clone)]
pub struct Facts {
    pub toolchain: Toolchain,
    /// Every target that is needed, and whether the compiler can use it.
    pub targets: Vec<(&'static str, Installed)>,
    /// False when `KINGLET_NO_RUSTUP=1` asks us to leave rustup's server alone.
    pub rustup_allowed: bool,
    pub qemu: Option<Version>,
    /// Whether there is a browser to test pages in.
    pub browser: bool,
    pub system: System,
}

/// The active Rust toolchain.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// As `rustc -vV` says it: `1.95.0`, or `1.97.0-nightly`.
    pub release: String,
    pub commit: String,
    pub sysroot: PathBuf,
    /// Whether rustup manages this toolchain.
    pub rustup: bool,
    /// Whether the standard library's source of this very release is already in the sysroot.
    pub source: bool,
}

/// Whether the compiler can use a target's `core` and `alloc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    Usable,
    Missing,
    /// Present but built by another compiler version, or broken.
    Stale,
}

/// The operating system, as far as installing packages goes.
#[derive(Debug, Clone)]
pub struct System {
    pub kind: Kind,
    pub root: bool,
    pub sudo: bool,
    pub apt: bool,
    pub brew: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    MacOs,
    Linux(Release),
    Other,
}

/// The part of `/etc/os-release` that decisions depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// `debian`, `ubuntu`, ...
    pub id: String,
    /// `12`, `24.04`; empty on rolling releases.
    pub version: String,
    /// `bookworm`, ...
    pub codename: String,
    pub name: String,
}

/// A program's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// The first dotted number in `text`.
    pub fn find(text: &str) -> Option<Self> {
        let word = text.split_whitespace().find(|word| word.contains('.') && word.starts_with(char::is_numeric))?;
        let mut numbers = word.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
        Some(Self(numbers.next()?, numbers.next()?, numbers.next().unwrap_or(0)))
    }
}

impl Facts {
    pub fn gather() -> Result<Self> {
        let toolchain = Toolchain::gather()?;
        Ok(Self {
            targets: targets::probe(&[&TARGETS[..], &[WASM]].concat())?,
            toolchain,
            rustup_allowed: !env::var("KINGLET_NO_RUSTUP").is_ok_and(|value| !value.is_empty() && value != "0"),
            qemu: qemu_version(),
            browser: BROWSERS.iter().any(|name| command::which(name).is_some()),
            system: System::gather(),
        })
    }

    /// One line for a machine that has everything.
    pub fn summary(&self) -> String {
        let qemu = self.qemu.map_or("none".to_string(), |version| version.to_string());
        format!("rustc {} with {} targets, QEMU {qemu}", self.toolchain.release, self.targets.len())
    }
}

impl Toolchain {
    fn gather() -> Result<Self> {
        let verbose = command::output(command::rustc().arg("-vV"))?;
        let field = |name: &str| {
            let value = verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            value.map(String::from).with_context(|| format!("`rustc -vV` says no `{name}`"))
        };
        let release = field("release:")?;
        let sysroot = PathBuf::from(command::output(command::rustc().args(["--print", "sysroot"]))?);
        let library = sysroot.join("lib/rustlib");
        Ok(Self {
            source: super::rust_src::present(&library, &release),
            rustup: command::which("rustup").is_some() && library.join("multirust-config.toml").is_file(),
            commit: field("commit-hash:")?,
            release,
            sysroot,
        })
    }

    /// Where the libraries of all targets are.
    pub fn rustlib(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib")
    }
}

/// The version of both emulators that are needed, the older one where they differ; none when one is missing.
fn qemu_version() -> Option<Version> {
    let version = |program: &str| {
        let out = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
        Version::find(&String::from_utf8_lossy(&out.stdout))
    };
    version("qemu-system-arm").min(version("qemu-system-riscv32"))
}

impl System {
    fn gather() -> Self {
        let kind = match env::consts::OS {
            "macos" => Kind::MacOs,
            "linux" => Kind::Linux(Release::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())),
            _ => Kind::Other,
        };
        let id = Command::new("id").arg("-u").output();
        Self {
            kind,
            root: id.is_ok_and(|out| out.stdout.trim_ascii() == b"0"),
            sudo: command::which("sudo").is_some(),
            apt: command::which("apt-get").is_some(),
            brew: command::which("brew").is_some(),
        }
    }
}

impl Release {
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim().trim_matches('"').to_string()
        };
        Self {
            id: value("ID"),
            version: value("VERSION_ID"),
            codename: value("VERSION_CODENAME"),
            name: value("PRETTY_NAME"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright";
        assert_eq!(Version::find(debian), Some(Version(10, 0, 2)));
        assert_eq!(Version::find("QEMU emulator version 9.2\n"), Some(Version(9, 2, 0)));
        assert_eq!(Version::find("not found"), None);
        assert!(Version(10, 0, 2) > Version(9, 2, 4));
    }

    #[test]
    fn os_release_files_are_read() {
        let text =
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        let release = Release::parse(text);
        assert_eq!((&*release.id, &*release.version, &*release.codename), ("debian", "12", "bookworm"));
        assert_eq!(Release::parse(""), Release::default());
    }
}
