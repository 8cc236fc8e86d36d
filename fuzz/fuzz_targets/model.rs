//! Any bytes as a model file: refused, or run once without a panic.
#![no_main]

use kinglet::{Model, Session};

/// Models with a larger arena than this only cost time.
const MAX_ARENA: usize = 1 << 22;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // A model must be aligned; fuzzers give bytes anywhere.
    let mut words = vec![0u128; bytes.len().div_ceil(16)];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(16)) {
        let mut aligned = [0; 16];
        aligned[..chunk.len()].copy_from_slice(chunk);
        *word = u128::from_le_bytes(aligned);
    }
    let aligned: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let Ok(model) = Model::new(&aligned[..bytes.len()]) else { return };
    if model.arena_len() > MAX_ARENA || model.macs() > 1 << 24 {
        return;
    }
    let mut arena = vec![0u8; model.arena_len() + 16];
    let start = arena.as_ptr().align_offset(16);
    if let Some(arena) = arena.get_mut(start..)
        && let Ok(mut session) = Session::new(model, arena)
    {
        session.run();
    }
});
