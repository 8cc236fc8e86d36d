//! Any bytes as one of the other files that the host tools read; the first byte chooses which.
#![no_main]

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

use std::sync::LazyLock;

use harness::data::Desk;

static DESK: LazyLock<Desk> = LazyLock::new(|| Desk::new().expect("a folder for temporary files"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    harness::data::check(&DESK, bytes);
});
