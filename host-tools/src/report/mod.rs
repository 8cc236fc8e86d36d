//! Reports: what people read, and the same figures for programs.

pub mod chart;
pub mod confusion;
pub mod inspection;
pub mod noise;
pub mod plot;
mod style;
pub mod table;
