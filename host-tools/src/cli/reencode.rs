//! `kinglet reencode`: writes model files anew in the newest version of the format, from the same integers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use kinglet::write::encode;

use super::open_model;
use crate::files;

/// Options of `kinglet reencode`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model files, each of which is replaced.
    #[arg(required = true)]
    models: Vec<PathBuf>,
}

/// Writes each file anew, if that changes it.
///
/// # Errors
/// Names the file that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    for path in &args.models {
        let bytes = files::read(path)?;
        let model = open_model(path, &bytes)?;
        let new = encode(&model, model.about());
        let again = open_model(path, &new)?;
        let same = model.steps().map(|step| step.op).eq(again.steps().map(|step| step.op));
        ensure!(same, "`{}`: other parameters after it was written anew", path.display());
        if new != bytes {
            files::save(path, &new)?;
        }
        println!("{}: {} bytes, {} before", path.display(), new.len(), bytes.len());
    }
    Ok(ExitCode::SUCCESS)
}
