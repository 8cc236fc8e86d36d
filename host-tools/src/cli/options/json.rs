//! `--json`: a command's figures, for programs.

use anyhow::Result;
use serde::Serialize;

use crate::cli::print;

/// Whether figures are printed for programs.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Json {
    /// Print the figures as one JSON document; what else there is to say goes to standard error.
    #[arg(long)]
    json: bool,
}

impl Json {
    /// Whether it was asked for.
    pub fn is_asked(self) -> bool {
        self.json
    }

    /// Prints the figures, if they were asked for.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn print(self, figures: &impl Serialize) -> Result<()> {
        if self.json {
            print::document(&serde_json::to_string_pretty(figures)?);
        }
        Ok(())
    }
}
