//! The firmware's selftest on RISC-V, in QEMU's virt machine: every operator gives the host's bytes there too, on cores with
//! atomic instructions and without.

mod needs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use kinglet_tools::device::watch;

/// How long a core may take for all operators.
const LIMIT: Duration = Duration::from_secs(600);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Builds the program for a target.
fn build(target: &str) -> PathBuf {
    let folder = root().join("target/firmware");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--release", "--package", "kinglet-riscv", "--target", target, "--target-dir"]);
    cargo.arg(&folder).current_dir(root().join("firmware"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join(target).join("release/kinglet-riscv")
}

/// Runs an image; its log, line by line.
fn run(image: &Path) -> Vec<String> {
    let mut qemu = Command::new("qemu-system-riscv32");
    qemu.args(["-M", "virt", "-bios", "none", "-display", "none", "-monitor", "none", "-serial", "null"]);
    qemu.args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel"]);
    let run = watch(qemu.arg(image), &fs::read(image).unwrap(), LIMIT, |_| {}).unwrap();
    run.success().unwrap();
    run.log.into_iter().map(|line| line.text).collect()
}

#[test]
fn every_operator_gives_the_bytes_of_the_host() {
    if !needs::devices() {
        return;
    }
    let expected = fs::read_to_string(root().join("firmware/expected/selftest.txt")).unwrap();
    for target in ["riscv32imac-unknown-none-elf", "riscv32imc-unknown-none-elf"] {
        let log = run(&build(target));
        let (first, rest) = log.split_first().unwrap();
        assert_eq!(first, "board backend=portable name=virt");
        assert_eq!(rest, expected.lines().collect::<Vec<_>>(), "{target}");
    }
}
