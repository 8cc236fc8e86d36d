//! The model file: `models/FORMAT.md` is its specification, [`layout`] its offsets.

mod about;
mod crc;
pub mod layout;
mod view;
#[cfg(feature = "std")]
mod write;

pub use about::{About, RoundingSource};
pub use crc::crc32;
pub(crate) use view::{File, PortKind, StepRecord};
#[cfg(feature = "std")]
pub use write::{ModelSpec, PortSpec, StateSpec, StepSpec, encode};
