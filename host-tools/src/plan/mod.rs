//! Planning: when each step runs, and where each tensor lies.

pub mod order;
pub mod place;
pub mod segments;
