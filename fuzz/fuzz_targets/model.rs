//! Model files, changed by their structure and sealed again: what `kinglet::Model::new` accepts runs as promised.
#![no_main]

#[path = "../harness/model.rs"]
mod model;
#[path = "../harness/mutate.rs"]
mod mutate;
#[path = "../harness/random.rs"]
#[allow(dead_code)]
mod random;
#[path = "../harness/seeds.rs"]
mod seeds;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use random::Random;

fuzz_target!(|bytes: &[u8]| {
    model::check(bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed);
    let mut file = data[..size].to_vec();
    if random.one_in(4) && mutate::is_model(&file) {
        // libFuzzer's own changes, which know the comparisons that failed; then the checksum.
        let size = fuzzer_mutate(data, size, max_size);
        file = data[..size].to_vec();
        if size >= 128 {
            mutate::seal(&mut file);
        }
    } else {
        mutate::mutate(&mut file, &mut random);
    }
    let size = file.len().min(max_size);
    data[..size].copy_from_slice(&file[..size]);
    size
});
