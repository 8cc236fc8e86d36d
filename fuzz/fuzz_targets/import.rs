//! Any bytes as a TensorFlow Lite or ONNX file.
#![no_main]

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    harness::import::check(bytes);
});
