//! Where a recipe's images come from.

use serde::{Deserialize, Serialize};

use super::{DataError, Dataset};

/// A data set, as recipes name it: `data = "digits"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The embedded 8x8 digits.
    #[default]
    Digits,
}

impl Source {
    /// Reads the images.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn load(&self) -> Result<Dataset, DataError> {
        match self {
            Source::Digits => Dataset::digits(),
        }
    }
}
