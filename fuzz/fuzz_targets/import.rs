//! Any bytes as a TensorFlow Lite or ONNX file: an error or a network, never a panic; an int8 network is exported and
//! judged by the runtime. Seeds are in `corpus/import`, which
//! `host-tools/tests/fuzz_corpus.rs` makes and replays.
#![no_main]

use kinglet_tools::export;
use kinglet_tools::import::{Model, Options, read};

/// Networks with more elements than this take the planner longer than a fuzzer should wait.
const MAX_ELEMENTS: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Model::Int8(imported)) = read(bytes, &Options::default()) {
        let elements: u64 = imported.network.tensors.iter().map(|tensor| u64::from(tensor.shape.len())).sum();
        if elements <= MAX_ELEMENTS {
            let _ = export::to_bytes(&imported.network, &export::Options::default());
        }
    }
});
