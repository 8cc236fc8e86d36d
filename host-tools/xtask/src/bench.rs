//! `cargo xtask bench`: how fast training is, and how fast the emulated boards are, for the record.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::{command, repo, setup};

/// Where the rows go.
const ROWS: &str = "target/kinglet/train.json";

pub fn train(peer: Option<PathBuf>) -> Result<()> {
    let mut arguments: Vec<OsString> = ["bench", "-o", ROWS].map(OsString::from).to_vec();
    if let Some(python) = peer {
        let mut argument = OsString::from("--peer=");
        argument.push(python);
        arguments.push(argument);
    }
    command::run(
        command::cargo()
            .current_dir(repo::root())
            .args(["run", "--release", "--package", "kinglet-tools", "--bin", "kinglet", "--"])
            .args(arguments),
    )?;
    println!("rows in {ROWS}");
    Ok(())
}

/// Sets the machine up, then hands over to `kinglet device bench`.
pub fn device(no_install: bool, arguments: &[String]) -> Result<()> {
    setup::run(no_install)?;
    command::run(
        command::cargo()
            .current_dir(repo::root())
            .args(["run", "--release", "--package", "kinglet-tools", "--bin", "kinglet", "--", "device", "bench"])
            .args(arguments),
    )
}
