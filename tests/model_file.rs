//! A broken file gives an error that says what and where, never a panic; a file that passes runs.

use kinglet::{Fault, Model, Pixels, Raw, Session};

mod common;

#[test]
fn a_model_says_what_it_holds() {
    let bytes = common::small_model();
    let model = Model::new(&bytes).unwrap();
    assert_eq!((model.name(), model.step_count(), model.label(2)), ("block", 4, Some("c")));
    let names: Vec<_> = model.steps().map(|step| (step.name, step.kind().name())).collect();
    assert_eq!(names, [("first", "CONV_2D"), ("second", "CONV_2D"), ("sum", "ADD"), ("mean", "MEAN")]);
    assert_eq!(model.macs(), 2 * 8 * 8 * 4 * 4 * 9);
    assert!(model.pixels().is_some());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = common::small_model();
    for len in (0..bytes.len()).step_by(if cfg!(miri) { 53 } else { 1 }) {
        let error = Model::new(&bytes[..len]).unwrap_err();
        assert!(matches!(error.fault, Fault::Truncated | Fault::Length), "{len}: {error}");
        assert!(error.offset <= len as u32 + 3, "{len}: {error}");
    }
}

#[test]
fn other_files_and_versions_are_refused() {
    let mut bytes = common::small_model();
    bytes[4] = 3;
    let error = Model::new(&bytes).unwrap_err();
    assert_eq!((error.fault, error.offset), (Fault::Version, 4));
    bytes[0] = b'T';
    let error = Model::new(&bytes).unwrap_err();
    assert_eq!((error.fault, error.offset), (Fault::Magic, 0));
    assert!(error.to_string().contains("at byte 0"), "{error}");
}

/// How many files are bent; Miri takes a second for one.
const ROUNDS: usize = if cfg!(miri) { 40 } else { 10_000 };

/// Xorshift: enough to flip bits.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = common::small_model();
    let mut state = 1;
    for _ in 0..ROUNDS {
        let mut bytes = good.clone();
        bytes[random(&mut state) % good.len()] ^= 1 << (random(&mut state) % 8);
        Model::new(&bytes).unwrap_err();
    }
}

/// With the checksum put right again, flips reach every other check. What passes them all must run: debug builds
/// would panic on an overflow or an index out of bounds.
#[test]
fn flips_behind_the_checksum_are_refused_or_run() {
    let mut state = 2;
    let (mut refused, mut ran) = (0, 0);
    let plans = [common::Block::apart(), common::Block::in_place(), common::Block::streamed()].map(|b| b.to_bytes());
    for round in 0..ROUNDS {
        let mut bytes = plans[round % plans.len()].clone();
        for _ in 0..1 + random(&mut state) % 3 {
            // Half of the flips go into the header and the records, where they do most harm.
            let range = if random(&mut state).is_multiple_of(2) { bytes.len() } else { bytes.len().min(800) };
            bytes[random(&mut state) % range] ^= 1 << (random(&mut state) % 8);
        }
        common::seal(&mut bytes);
        let mut file = Vec::new();
        let Ok(model) = Model::new(common::aligned(&bytes, &mut file)) else {
            refused += 1;
            continue;
        };
        if model.arena_len() > 1 << 20 {
            continue;
        }
        let mut memory = Vec::new();
        let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
        let input = vec![0; model.input_bytes()];
        let output = session.infer(Raw(&input)).unwrap();
        assert!(output.best().is_some() && output.probability(0).is_some());
        ran += 1;
    }
    assert!(refused * 10 > 3 * ROUNDS && ran * 10 > ROUNDS, "{refused} refused, {ran} ran");
}

#[test]
fn sessions_refuse_memory_and_input_that_do_not_fit() {
    let bytes = common::small_model();
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    let mut memory = Vec::new();
    let small = Session::open(model, common::arena(&mut memory, model.arena_len() - 1)).unwrap_err();
    assert!(small.to_string().contains("the model needs an arena of"), "{small}");
    let shifted = Session::open(model, &mut common::arena(&mut memory, model.arena_len() + 8)[8..]).unwrap_err();
    assert_eq!(shifted, kinglet::SessionError::ArenaMisaligned);
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    assert!(session.infer(Pixels(&[0; 3])).is_err());
}
