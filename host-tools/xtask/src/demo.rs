//! `cargo xtask demo`: set the machine up, then hand over to `kinglet demo`.

use anyhow::Result;

use crate::{command, repo, setup};

pub fn run(no_install: bool, arguments: &[String]) -> Result<()> {
    setup::run(no_install)?;
    command::run(
        command::cargo()
            .current_dir(repo::root())
            .args(["run", "--release", "--package", "kinglet-tools", "--bin", "kinglet", "--", "demo"])
            .args(arguments),
    )
}
