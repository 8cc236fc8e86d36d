//! What the fuzz targets check, without libFuzzer: `host-tools/tests/fuzz_corpus.rs` replays the committed corpus through the
//! same code on stable Rust.

pub mod data;
pub mod import;
pub mod model;
pub mod mutate;
pub mod random;
pub mod seeds;
