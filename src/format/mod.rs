//! The model file: `models/FORMAT.md` is its specification, [`layout`] its offsets.

mod about;
mod crc;
mod file;
pub mod layout;
mod ports;
mod records;

pub use about::{About, RoundingSource};
pub use crc::crc32;
pub(crate) use file::File;
#[cfg(feature = "std")]
pub(crate) use file::checksum;
pub(crate) use ports::PortKind;
pub(crate) use records::StepRecord;
