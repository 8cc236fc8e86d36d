//! Options that several commands have in common, and what comes of them.

pub mod budgets;
pub mod held_out;
pub mod quantization;
pub mod trained;
