//! Several models take turns in one arena, whose length the compiler knows; one model may lie in two.

use kinglet::{Arena, Fast, Linked, Model, ModelType, Pixels, Session, Slow};

mod common;

kinglet::model!(Resnet = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
kinglet::model!(Inception = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-inception/digits-inception.kgl"));

const LEN: usize = Arena::most([Resnet::ARENA_LEN, Inception::ARENA_LEN]);
static ARENA: Arena<[u8; LEN]> = Arena::new();
static FAST: Arena<Fast<Resnet>> = Arena::new();
static SLOW: Arena<Slow<Resnet>> = Arena::new();

fn output<M: Linked>(mut session: Session<'_, M>, seed: usize) -> Vec<i8> {
    let pixels: Vec<u8> = (0..64).map(|at| (at * 37 + seed * 101) as u8).collect();
    if cfg!(miri) {
        // The whole network takes minutes there.
        session.start(Pixels(&pixels)).unwrap().rows(3);
        return Vec::new();
    }
    session.infer(Pixels(&pixels)).unwrap().elements().unwrap().to_vec()
}

/// The same in memory that nothing else has used.
fn alone<M: ModelType>(seed: usize) -> Vec<i8> {
    let mut memory = Vec::new();
    let model: Model<'_, M> = M::MODEL;
    output(Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap(), seed)
}

#[test]
fn models_take_turns_in_one_arena() {
    assert_eq!(LEN, Resnet::ARENA_LEN.max(Inception::ARENA_LEN));
    let arena = ARENA.take().unwrap();
    assert!(ARENA.take().is_none());
    assert_eq!(arena.len(), LEN);
    for seed in 0..6 {
        assert_eq!(output(Session::<Resnet>::new(arena), seed), alone::<Resnet>(seed), "{seed}");
        assert_eq!(output(Session::<Inception>::new(arena), seed), alone::<Inception>(seed), "{seed}");
    }
}

#[test]
fn a_model_that_was_planned_for_one_memory_runs_in_two() {
    let (fast, slow) = (FAST.take().unwrap(), SLOW.take().unwrap());
    assert_eq!((fast.len(), slow.len()), (Resnet::ARENA_LEN, 0));
    assert_eq!(output(Session::<Resnet>::split(fast, slow), 1), alone::<Resnet>(1));
}
