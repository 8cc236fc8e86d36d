//! Reports: what people read, and the same figures for programs.

pub mod chart;
pub mod confusion;
pub mod curves;
pub mod inspection;
pub mod noise;
pub mod plot;
pub mod progress;
mod style;
pub mod table;
