//! `kinglet inspect`: what a model file holds and costs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::files;
use crate::report::inspection::Inspection;

/// Options of `kinglet inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file (.kgl).
    model: PathBuf,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the model.
///
/// # Errors
/// Names the file and the field when it is not a valid model.
pub fn run(args: &Args) -> Result<ExitCode> {
    let bytes = files::read(&args.model)?;
    let inspection = Inspection::of(&super::open_model(&args.model, &bytes)?);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&inspection)?);
    } else {
        print!("{inspection}");
    }
    Ok(ExitCode::SUCCESS)
}
