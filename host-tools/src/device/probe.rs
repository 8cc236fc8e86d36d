//! Flashing a board through its debug probe, with probe-rs.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::Result;

/// Flashes an image, runs it, and shows its log until it ends or the user ends it.
///
/// # Errors
/// When probe-rs is not installed. What the image itself makes of it is in the status.
pub fn flash(elf: &Path, chip: &str) -> Result<ExitStatus> {
    Command::new("probe-rs").args(["run", "--chip", chip]).arg(elf).status().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow::anyhow!("probe-rs is not installed; `cargo install probe-rs-tools --locked` installs it")
        }
        _ => anyhow::Error::new(error).context("cannot start probe-rs"),
    })
}
