//! `cargo xtask boards`: what the firmware's programs take of every board, and whether they fit.

use anyhow::Result;

use crate::{command, repo, setup};

/// Sets the machine up, then hands over to `kinglet device fit`.
pub fn run(no_install: bool, arguments: &[String]) -> Result<()> {
    setup::run(no_install)?;
    let all = ["--shipped".to_owned()];
    fit(if arguments.is_empty() { &all } else { arguments })
}

/// What CI builds for the boards on the desk, the programs that users flash first; for emulated boards, the device tests build theirs.
pub fn check() -> Result<()> {
    let boards = ["nucleo-f446re", "nucleo-h743zi", "nrf52840-dk", "pico2"].map(|board| format!("--board={board}"));
    let programs = ["infer", "serve", "receive"].map(|program| format!("--program={program}"));
    fit(&[&boards[..], &programs[..]].concat())
}

fn fit(arguments: &[String]) -> Result<()> {
    command::run(
        command::cargo()
            .current_dir(repo::root())
            .args(["run", "--package", "kinglet-tools", "--bin", "kinglet", "--", "device", "fit"])
            .args(arguments),
    )
}
