//! The model file: `models/FORMAT.md` is its specification.

#[cfg(feature = "std")]
mod write;

#[cfg(feature = "std")]
pub use write::Writer;
