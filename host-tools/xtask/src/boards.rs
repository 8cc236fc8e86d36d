//! `cargo xtask boards`: what the firmware's programs take of every board, and whether they fit.

use anyhow::{Context, Result};

use crate::{command, repo, setup};

const TABLE: &str = "host-tools/boards.toml";

/// Sets the machine up, then hands over to `kinglet device fit`.
pub fn run(no_install: bool, arguments: &[String]) -> Result<()> {
    setup::run(no_install)?;
    let all = ["--shipped".to_owned()];
    fit(if arguments.is_empty() { &all } else { arguments })
}

/// What CI builds for the boards on the desk, the programs that users flash first; for emulated boards, the device tests build theirs.
pub fn check() -> Result<()> {
    let table = table()?;
    let on_the_desk = table.iter().filter(|board| board.contains_key("driver") && board.contains_key("chip"));
    let boards: Vec<_> = on_the_desk.filter_map(|board| Some(format!("--board={}", board["name"].as_str()?))).collect();
    let programs = ["infer", "serve", "receive"].map(|program| format!("--program={program}"));
    fit(&[&boards[..], &programs[..]].concat())
}

/// The Rust target of a board.
pub fn target(name: &str) -> Result<String> {
    let table = table()?;
    let board = table.iter().find(|board| board["name"].as_str() == Some(name));
    let target = board.and_then(|board| board["target"].as_str());
    Ok(target.with_context(|| format!("{TABLE} has no target of `{name}`"))?.to_owned())
}

/// The table of boards.
fn table() -> Result<Vec<toml::Table>> {
    let mut table: toml::Table = std::fs::read_to_string(repo::root().join(TABLE))?.parse()?;
    Ok(table.remove("board").with_context(|| format!("{TABLE} lists no boards"))?.try_into()?)
}

fn fit(arguments: &[String]) -> Result<()> {
    command::run(
        command::cargo()
            .current_dir(repo::root())
            .args(["run", "--package", "kinglet-tools", "--bin", "kinglet", "--", "device", "fit"])
            .args(arguments),
    )
}
