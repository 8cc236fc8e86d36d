//! `kinglet site`: the article as a page that computes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{site, sources};

/// Options of `kinglet site`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write: `index.html` in it needs no server and no network.
    #[arg(short, long, value_name = "DIR", default_value = "target/site")]
    out: PathBuf,
}

/// Writes the page.
///
/// # Errors
/// Outside a checkout, which has the measurements; names the file that is missing, broken, or cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let checkout =
        sources::checkout().context("the measurements and models are in a checkout of Kinglet: start this there")?;
    site::write(&checkout, &args.out)?;
    println!("{}", args.out.join("index.html").display());
    Ok(ExitCode::SUCCESS)
}
