//! Installing QEMU, and what else is a package: apt or Homebrew.

use std::process::Command;

use anyhow::{Context, Result};

use super::facts::System;
use crate::command;

/// Our own sources file: to be rid of the suite again, delete it.
pub const SOURCES: &str = "/etc/apt/sources.list.d/kinglet-backports.list";
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The packages that have the boards: the second has RISC-V.
pub const PACKAGES: &[&str] = &["qemu-system-arm", "qemu-system-misc"];

/// The arguments of apt-get that install packages. Recommended ones are screens and sound: boards here have neither.
pub fn install<'a>(packages: &[&'a str], suite: Option<&'a str>) -> Vec<&'a str> {
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(suite.iter().flat_map(|suite| ["-t", suite]));
    words.extend(packages);
    words
}

/// `line` as it will be run: with sudo unless we are root.
pub fn as_root(line: &str, system: &System) -> String {
    if system.root { line.to_string() } else { format!("sudo {line}") }
}

fn root_command(program: &str, system: &System) -> Command {
    if system.root {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    sudo
}

fn apt(arguments: &[&str], system: &System) -> Result<()> {
    // Through `env`, because sudo drops variables. Without it a package may stop to ask questions.
    let mut command = root_command("env", system);
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
    command::run(&mut command)
}

pub fn apt_update(system: &System) -> Result<()> {
    apt(&["update"], system)
}

pub fn apt_install(packages: &[&str], suite: Option<&str>, system: &System) -> Result<()> {
    apt(&install(packages, suite), system)
}

/// Makes the backports suite known to apt, from the mirror that it already uses.
pub fn add_backports(codename: &str, system: &System) -> Result<()> {
    let known = index_targets(&[])?;
    if has_suite(&known, &format!("{codename}-backports")) {
        eprintln!("setup: apt knows {codename}-backports already");
        return Ok(());
    }
    let mirror = mirror(&known, codename)
        .with_context(|| format!("apt knows no Debian archive of {codename} whose mirror could be used"))?;
    let line = format!("deb [signed-by={KEYRING}] {mirror} {codename}-backports main\n");
    eprintln!("setup: writing {SOURCES}: {}", line.trim_end());
    let mut tee = root_command("tee", system);
    command::run_with_input(tee.arg(SOURCES), &line)?;
    apt_update(system)
}

pub fn brew(upgrade: bool) -> Result<()> {
    command::run(Command::new("brew").args([if upgrade { "upgrade" } else { "install" }, "qemu"]))
}

/// What apt knows of its sources, one line `address|codename|origin|label` for each list that it has fetched.
pub fn index_targets(options: &[String]) -> Result<String> {
    let format = "$(REPO_URI)|$(CODENAME)|$(ORIGIN)|$(LABEL)";
    let mut apt = Command::new("apt-get");
    command::output(apt.args(options).args(["indextargets", "--format", format, "Created-By: Packages"]))
}

/// The archive's address among the lines of [`index_targets`].
pub fn mirror<'a>(known: &'a str, codename: &str) -> Option<&'a str> {
    known.lines().find_map(|line| {
        let (mirror, rest) = line.split_once('|')?;
        (rest == format!("{codename}|Debian|Debian")).then_some(mirror)
    })
}

fn has_suite(known: &str, suite: &str) -> bool {
    known.lines().filter_map(|line| line.split('|').nth(1)).any(|codename| codename == suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "http://archive/third/|bookworm|Third|Third\n\
        http://archive/debian-security/|bookworm-security|Debian|Debian-Security\n\
        http://archive/debian/|bookworm|Debian|Debian\n\
        http://archive/debian/|bookworm-updates|Debian|Debian\n";

    #[test]
    fn the_mirror_is_the_one_of_the_release_itself() {
        assert_eq!(mirror(KNOWN, "bookworm"), Some("http://archive/debian/"));
        assert_eq!(mirror(KNOWN, "trixie"), None);
        assert_eq!(mirror("", "bookworm"), None);
    }

    #[test]
    fn a_known_suite_is_not_added_again() {
        assert!(!has_suite(KNOWN, "bookworm-backports"));
        let with = format!("{KNOWN}http://archive/debian/|bookworm-backports|Debian Backports|Debian Backports\n");
        assert!(has_suite(&with, "bookworm-backports"));
    }
}
