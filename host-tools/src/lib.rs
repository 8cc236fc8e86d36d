//! Kinglet host tools.

pub mod network;
