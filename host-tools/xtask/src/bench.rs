//! `cargo xtask bench train`: how fast training is, for the record.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::{command, repo};

/// Where the rows go.
const ROWS: &str = "target/kinglet/train.json";

pub fn train(peer: Option<PathBuf>) -> Result<()> {
    let mut arguments: Vec<OsString> = ["bench", "--json", ROWS].map(OsString::from).to_vec();
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
