//! The model file: `models/FORMAT.md` is its specification, [`layout`] its offsets.

mod crc;
pub mod layout;
mod view;
#[cfg(feature = "std")]
mod write;

pub use crc::crc32;
pub(crate) use view::{File, StepRecord};
#[cfg(feature = "std")]
pub use write::{ModelSpec, StepSpec};
