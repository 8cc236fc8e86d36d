//! Kinglet host tools: train, quantize, plan, export, simulate and inspect networks.

pub mod boards;
pub mod card;
pub mod cli;
pub mod compare;
pub mod cycles;
pub mod data;
pub mod demo;
pub mod deploy;
pub mod device;
pub mod export;
pub mod files;
pub mod graph;
pub mod import;
pub mod layers;
pub mod network;
pub mod plan;
pub mod qat;
pub mod quantize;
pub mod report;
mod simd;
pub mod simulate;
pub mod study;
pub mod template;
pub mod tradeoff;
pub mod train;
