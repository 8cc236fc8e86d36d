//! Several models take turns in one arena, whose length the compiler knows.

use kinglet::uses::Linked;
use kinglet::{Arena, Model, Session, arena_len};

mod common;

kinglet::model!(static RESNET = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
kinglet::model!(static INCEPTION = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-inception/digits-inception.kgl"));

const LEN: usize = arena_len(&[&RESNET.unlimited(), &INCEPTION.unlimited()]);
static ARENA: Arena<LEN> = Arena::for_models(&[&RESNET.unlimited(), &INCEPTION.unlimited()]);

fn output<L: Linked>(model: Model<'_, L>, arena: &mut [u8], seed: usize) -> Vec<i8> {
    let pixels: Vec<u8> = (0..64).map(|at| (at * 37 + seed * 101) as u8).collect();
    let mut session = Session::new(model, arena).unwrap();
    session.set_pixels(&pixels).unwrap();
    session.run();
    session.output().to_vec()
}

/// The same in memory that nothing else has used.
fn alone<L: Linked>(model: Model<'_, L>, seed: usize) -> Vec<i8> {
    let mut memory = Vec::new();
    output(model, common::arena(&mut memory, model.arena_len()), seed)
}

#[test]
fn models_take_turns_in_one_arena() {
    assert_eq!(LEN, RESNET.arena_len().max(INCEPTION.arena_len()));
    let arena = ARENA.take().unwrap();
    assert_eq!(arena.len(), LEN);
    for seed in 0..6 {
        assert_eq!(output(RESNET, arena, seed), alone(RESNET, seed), "{seed}");
        assert_eq!(output(INCEPTION, arena, seed), alone(INCEPTION, seed), "{seed}");
    }
}
