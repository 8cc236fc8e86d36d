//! Kinglet host tools.
