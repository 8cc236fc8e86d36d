//! Kinglet host tools: train, quantize, plan, export, simulate and inspect networks.
#![deny(unsafe_code)]

pub mod boards;
pub mod card;
pub mod cli;
pub mod compare;
pub mod confidence;
pub mod cycles;
pub mod data;
pub mod demo;
pub mod deploy;
pub mod device;
pub mod elements;
pub mod export;
pub mod files;
pub mod graph;
pub mod import;
pub mod layers;
pub mod layout;
pub mod lower;
pub mod network;
pub mod plan;
mod progress;
pub mod qat;
pub mod quantize;
pub mod report;
pub mod simulate;
pub mod site;
pub mod sources;
pub mod study;
pub mod template;
pub mod tradeoff;
pub mod train;
pub mod words;
