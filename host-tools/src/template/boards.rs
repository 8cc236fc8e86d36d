//! The boards that a firmware project can be made for.

use anyhow::Result;

use crate::boards::{self, Board};

/// `board.rs` of a project, by its board.
const SOURCES: [(&str, &str); 5] = [
    ("mps2-an386", include_str!("../../templates/firmware/boards/mps2-an386.rs")),
    ("nrf52840-dk", include_str!("../../templates/firmware/boards/nrf52840-dk.rs")),
    ("nucleo-f446re", include_str!("../../templates/firmware/boards/nucleo-f446re.rs")),
    ("nucleo-h743zi", include_str!("../../templates/firmware/boards/nucleo-h743zi.rs")),
    ("pico2", include_str!("../../templates/firmware/boards/pico2.rs")),
];

/// These boards.
pub fn all() -> impl Iterator<Item = &'static Board> + Clone {
    boards::all().iter().filter(|board| board.dependencies.is_some())
}

/// The board called `name`, or by its chip's.
///
/// # Errors
/// When there is none; the message names those that there are.
pub fn named(name: &str) -> Result<&'static Board> {
    boards::find(name, all(), "--chip makes a project without a HAL; with one there are projects for")
}

/// A board's `board.rs`; without a HAL for one that is not in the table.
#[must_use]
pub fn source(board: &Board) -> &'static str {
    let chip = include_str!("../../templates/firmware/boards/chip.rs");
    SOURCES.iter().find(|(name, _)| *name == board.name).map_or(chip, |(_, source)| source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_has_its_source() {
        assert!(all().map(|board| board.name).all(|name| SOURCES.iter().any(|(known, _)| *known == name)));
        assert_eq!(all().count(), SOURCES.len());
    }
}
