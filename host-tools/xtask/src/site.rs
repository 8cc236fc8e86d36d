//! `cargo xtask site`: hands over to `kinglet site`.

use std::path::Path;

use anyhow::Result;

use crate::{command, repo};

pub fn run(out: &Path) -> Result<()> {
    let mut kinglet = command::cargo();
    kinglet.args(["run", "--manifest-path"]).arg(repo::root().join("Cargo.toml"));
    command::run(kinglet.args(["--package", "kinglet-tools", "--bin", "kinglet", "--", "site", "--out"]).arg(out))
}
