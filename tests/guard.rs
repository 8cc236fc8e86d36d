//! Every bit of a step's parameters and weights is watched over, and the step that used a wrong one is named.

use kinglet::{Aligned, Guard, Model, Observer, Raw, Session, StepEvent};
use proptest::prelude::*;

mod common;

kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-inception/digits-inception.kgl"));
static SUMS: [u32; Digits::MODEL.step_count()] = Digits::MODEL.step_checksums();
static FILE: &[u8] = {
    static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("../models/digits-inception/digits-inception.kgl"));
    &ALIGNED.0
};

#[derive(Default)]
struct Count(usize);

impl Observer for Count {
    fn end(&mut self, event: &StepEvent<'_>) {
        self.0 += usize::from(event.is_last());
    }
}

/// The first damaged step of an inference with the model file `bytes`, and how many steps were seen through the guard.
fn damaged(bytes: &[u8], sums: &[u32]) -> (Option<usize>, usize) {
    let mut file = Vec::new();
    let model = Model::new(common::aligned(bytes, &mut file)).expect("accepted");
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).expect("fits");
    let mut seen = Count::default();
    let mut guard = Guard::new(model, sums).with(&mut seen);
    let input = vec![0; model.input_bytes()];
    session.start(Raw(&input)).unwrap().observe(&mut guard).finish().unwrap();
    let damaged = guard.damaged();
    guard.forget();
    assert_eq!(guard.damaged(), None);
    (damaged, seen.0)
}

/// `FILE` with one bit of a step's weights the other way round and the checksum put right, as if the model had been checked
/// before; and that step.
fn flipped(step: usize, at: usize, bit: u32) -> Option<Vec<u8>> {
    let mut bytes = FILE.to_vec();
    let offsets: Vec<usize> = {
        let model = Model::new(&bytes).expect("whole");
        let constants = model.step(step)?.op.constants();
        constants
            .iter()
            .flat_map(|part| part.iter().map(|byte| (&raw const *byte).addr() - bytes.as_ptr().addr()))
            .collect()
    };
    bytes[*offsets.get(at % offsets.len().max(1))?] ^= 1 << bit;
    common::seal(&mut bytes);
    Some(bytes)
}

#[test]
fn a_whole_model_passes_and_steps_without_sums_do_not() {
    assert_eq!(damaged(FILE, &SUMS), (None, Digits::MODEL.step_count()));
    assert_eq!(damaged(FILE, &SUMS[..3]), (Some(3), Digits::MODEL.step_count()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 64 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_found_in_the_step_that_used_it(step in 0..Digits::MODEL.step_count(), at: usize, bit in 0u32..8) {
        // Some flips make a factor that no model may have.
        let bytes = flipped(step, at, bit).filter(|bytes| Model::new(bytes).is_ok());
        if let Some(bytes) = bytes {
            prop_assert_eq!(damaged(&bytes, &SUMS), (Some(step), Digits::MODEL.step_count()));
        }
    }
}
