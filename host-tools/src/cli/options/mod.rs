//! Options that several commands have in common, and what comes of them.

pub mod bits;
pub mod budgets;
pub mod held_out;
pub mod json;
pub mod line;
pub mod quantization;
pub mod shipped;
pub mod trained;

use anyhow::Result;

use crate::data::{Dataset, Source};

/// The most broken files that are named.
const NAMED: usize = 10;

/// Reads images, and names the broken files that were left out.
///
/// # Errors
/// Names the file that is wrong.
pub fn load(source: &Source) -> Result<Dataset> {
    let data = source.load()?;
    data.skipped.iter().take(NAMED).for_each(|file| eprintln!("left out: {file}"));
    if data.skipped.len() > NAMED {
        eprintln!("left out: {} files in all", data.skipped.len());
    }
    Ok(data)
}
