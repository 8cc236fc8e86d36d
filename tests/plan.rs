//! The verifier takes the plans that are safe and refuses those that are not; all safe plans compute the same.

use kinglet::memory::Region;
use kinglet::{Fault, Model, Observer, Place, Progress, Session, SessionError, StepEvent};
use proptest::prelude::*;

mod common;
use common::{Block, FIRST, INPUT, MAP, MEAN, SECOND, SUM};

fn run(bytes: &[u8], input: &[i8]) -> Vec<i8> {
    let mut file = Vec::new();
    let model = Model::new(common::aligned(bytes, &mut file)).unwrap();
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let once = session.infer(input).unwrap().elements().unwrap().to_vec();
    // And again, on what the first run left behind.
    let mut inference = session.start(input).unwrap();
    while inference.step() == Progress::More {}
    assert_eq!(inference.finish().unwrap().elements(), Some(&once[..]));
    // In two memories, each of just the bytes that it needs.
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let (fast, slow) = (common::arena(&mut fast, model.fast_len()), common::arena(&mut slow, model.slow_len()));
    let mut session = Session::open_split(model, fast, slow).unwrap();
    assert_eq!(session.infer(input).unwrap().elements(), Some(&once[..]));
    once
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 32 }))]
    #[test]
    fn plans_do_not_change_the_result(input in proptest::collection::vec(any::<i8>(), MAP as usize)) {
        let expected = run(&Block::apart().to_bytes(), &input);
        prop_assert_eq!(run(&Block::in_place().to_bytes(), &input), &expected[..]);
        prop_assert_eq!(run(&Block::streamed().to_bytes(), &input), &expected[..]);
    }

    /// Move one tensor or scratch buffer anywhere: either the verifier refuses, or the result stays the same.
    #[test]
    fn a_moved_buffer_is_caught_or_harmless(
        plan in 0usize..3, which in 0usize..7, offset in 0u32..6 * MAP, input in proptest::collection::vec(any::<i8>(), MAP as usize),
    ) {
        let mut block = [Block::apart, Block::in_place, Block::streamed][plan]();
        let expected = run(&block.to_bytes(), &input);
        match which {
            0..=4 => block.tensors[which].place.offset = offset,
            _ => block.scratch[which - 5].offset = offset / 16 * 16,
        }
        block.arena_len = 7 * MAP;
        let bytes = block.to_bytes();
        match Model::new(&bytes) {
            Ok(_) => prop_assert_eq!(run(&bytes, &input), expected),
            Err(error) => prop_assert_eq!(error.fault, Fault::Overlap),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 96 }))]
    /// Wherever the border of two memories lies, it cuts a buffer and is refused, or the result stays the same.
    #[test]
    fn a_border_is_caught_or_harmless(plan in 0usize..3, border in 0u32..7 * MAP / 16, input in proptest::collection::vec(any::<i8>(), MAP as usize)) {
        let mut block = [Block::apart, Block::in_place, Block::streamed][plan]();
        let expected = run(&block.to_bytes(), &input);
        block.fast_len = 16 * border;
        let cut = |start: u32, end: u32| start < block.fast_len && block.fast_len < end;
        let is_cut = block.fast_len > block.arena_len
            || block.tensors.iter().any(|t| cut(t.place.offset, t.end()))
            || block.scratch.iter().any(|s| cut(s.offset, s.end()));
        let bytes = block.to_bytes();
        match Model::new(&bytes) {
            Ok(_) => {
                prop_assert!(!is_cut);
                prop_assert_eq!(run(&bytes, &input), expected);
            }
            Err(error) => prop_assert!(is_cut && error.fault == Fault::Arena),
        }
    }
}

#[test]
fn sessions_refuse_memories_that_are_too_small() {
    let mut block = Block::apart();
    block.fast_len = 2 * MAP;
    let bytes = block.to_bytes();
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    assert_eq!((model.fast_len(), model.slow_len()), (2 * MAP as usize, model.arena_len() - 2 * MAP as usize));
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let mut error = |fast_short: usize, slow_short: usize| {
        let fast = common::arena(&mut fast, model.fast_len() - fast_short);
        let slow = common::arena(&mut slow, model.slow_len() - slow_short);
        Session::open_split(model, fast, slow).err()
    };
    let needed = |needed: usize| Some(SessionError::ArenaTooSmall { needed: needed as u32, given: needed as u32 - 1 });
    assert_eq!(error(0, 0), None);
    assert_eq!(error(1, 0), needed(model.fast_len()));
    assert_eq!(error(0, 1), needed(model.slow_len()));
}

/// What the verifier says of a plan after `bend`.
fn fault(mut block: Block, bend: impl FnOnce(&mut Block)) -> Fault {
    bend(&mut block);
    Model::new(&block.to_bytes()).unwrap_err().fault
}

#[test]
fn unsafe_plans_are_refused() {
    // Lifetimes that end too early or start too late.
    assert_eq!(fault(Block::apart(), |b| b.tensors[INPUT].last = 2), Fault::Lifetime);
    assert_eq!(fault(Block::apart(), |b| b.tensors[FIRST].first = 2), Fault::Lifetime);
    assert_eq!(fault(Block::apart(), |b| b.tensors[MEAN].last = 4), Fault::Lifetime);
    assert_eq!(fault(Block::apart(), |b| b.time_slots = vec![1, 2, 4, 5]), Fault::Lifetime);
    // The sum over an input that is needed later, and over an operand shifted by a pixel.
    assert_eq!(fault(Block::apart(), |b| b.tensors[FIRST].place.offset = 0), Fault::Overlap);
    assert_eq!(fault(Block::in_place(), |b| b.tensors[SUM].place.offset = 4), Fault::Overlap);
    // A convolution cannot work in place.
    let over = |b: &mut Block| b.tensors[SECOND].place.offset = b.tensors[FIRST].place.offset;
    assert_eq!(fault(Block::apart(), over), Fault::Overlap);
    // Scratch that is too small, misaligned, over a living tensor, outside.
    assert_eq!(fault(Block::apart(), |b| b.scratch[0].len -= 1), Fault::Scratch);
    assert_eq!(fault(Block::apart(), |b| b.scratch[0].offset += 4), Fault::Alignment);
    assert_eq!(fault(Block::apart(), |b| b.scratch[0].offset = 0), Fault::Overlap);
    assert_eq!(fault(Block::apart(), |b| b.scratch[0].offset = b.arena_len), Fault::Arena);
    assert_eq!(fault(Block::apart(), |b| b.arena_len -= 32), Fault::Arena);
    // A border of two memories that is beyond the arena, misaligned, or through a tensor.
    assert_eq!(fault(Block::apart(), |b| b.fast_len = b.arena_len + 16), Fault::Arena);
    assert_eq!(fault(Block::apart(), |b| b.fast_len = MAP + 8), Fault::Arena);
    assert_eq!(fault(Block::apart(), |b| b.fast_len = MAP + 16), Fault::Arena);
    // A line buffer with too few rows for the window: the chain waits for ever.
    assert_eq!(fault(Block::streamed(), |b| b.tensors[FIRST].place.rows = 2), Fault::Chain);
    // A line buffer outside a chain.
    assert_eq!(fault(Block::apart(), |b| b.tensors[FIRST].place.rows = 3), Fault::Lifetime);
    // Rows of the chain's output pushed over rows of its input that are still to be read.
    assert_eq!(fault(Block::streamed(), |b| b.tensors[SUM].place.offset = 64), Fault::Overlap);
    // A tensor that claims to be part of one that does not hold it.
    assert_eq!(fault(Block::apart(), |b| b.tensors[FIRST].parent = Some(SUM as u32)), Fault::Operand);
    // Labels that are not as many as classes.
    assert_eq!(fault(Block::apart(), |b| b.labels.truncate(3)), Fault::Text);
    // Places outside the arena, pitches below the channels.
    let far = Place { offset: u32::MAX - 3, pitch: 4, rows: 8 };
    assert_eq!(fault(Block::apart(), |b| b.tensors[FIRST].place = far), Fault::Arena);
    assert_eq!(fault(Block::apart(), |b| b.tensors[FIRST].place.pitch = 3), Fault::Arena);
    assert_eq!(fault(Block::apart(), |b| b.scratch[2] = Region { offset: 16, len: u32::MAX }), Fault::Arena);
}

#[test]
fn a_streamed_plan_is_smaller_and_stops_between_rows() {
    let bytes = Block::streamed().to_bytes();
    let mut file = Vec::new();
    let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
    assert!(model.arena_len() < 2 * MAP as usize);
    let mut memory = Vec::new();
    let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
    let mut calls = 1;
    let mut inference = session.start(&[0i8; MAP as usize]).unwrap();
    while inference.rows(u32::MAX) == Progress::More {
        calls += 1;
    }
    // Three steps of eight rows in the chain, and the mean.
    assert_eq!(calls, 3 * 8 + 1);
}

/// CRC-32 of each step's output, whatever the pieces, which must follow one another and end with the last row.
#[derive(Default)]
struct Rows {
    done: [u32; 4],
    checksums: [u32; 4],
    most: u32,
}

impl Observer for Rows {
    fn end(&mut self, event: &StepEvent<'_>) {
        let (done, rows) = (&mut self.done[event.index()], event.rows());
        assert_eq!(rows.start, *done, "{}", event.name());
        self.checksums[event.index()] = event.checksum(self.checksums[event.index()]);
        self.most = self.most.max(rows.end - *done);
        *done = if event.is_last() { 0 } else { rows.end };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 64 }))]
    /// Pieces of any size, whole steps and chains in any mixture compute the same, and no piece is larger than was asked for.
    #[test]
    fn pieces_do_not_change_the_result(
        plan in 0usize..3, pieces in proptest::collection::vec(prop_oneof![0u32..12, Just(u32::MAX)], 1..20), steps: bool,
        input in proptest::collection::vec(any::<i8>(), MAP as usize),
    ) {
        let bytes = [Block::apart, Block::in_place, Block::streamed][plan]().to_bytes();
        let mut file = Vec::new();
        let model = Model::new(common::aligned(&bytes, &mut file)).unwrap();
        let mut memory = Vec::new();
        let mut session = Session::open(model, common::arena(&mut memory, model.arena_len())).unwrap();
        let mut whole = Rows::default();
        let output = session.start(&input[..]).unwrap().observe(&mut whole).finish().unwrap();
        let expected = output.elements::<i8>().unwrap().to_vec();

        // What is abandoned leaves nothing behind.
        session.start(&input[..]).unwrap().rows(1);
        prop_assert!(session.output().is_none());
        let mut rows = Rows::default();
        let mut sliced = session.start(&input[..]).unwrap().observe(&mut rows);
        for size in pieces.iter().copied().cycle() {
            sliced.observer().most = 0;
            let (progress, limit) = match size {
                0 if steps => (sliced.step(), u32::MAX),
                size => (sliced.rows(size), size.max(1)),
            };
            let most = sliced.observer().most;
            prop_assert!(most <= limit, "{most} rows, at most {limit}");
            if progress == Progress::Done {
                break;
            }
        }
        prop_assert_eq!(sliced.finish().unwrap().elements(), Some(&expected[..]));
        prop_assert_eq!(rows.checksums, whole.checksums);
        // Begun in slices, and the rest at once.
        let mut begun = session.start(&input[..]).unwrap();
        pieces.iter().for_each(|&size| {
            begun.rows(size);
        });
        prop_assert_eq!(begun.finish().unwrap().elements(), Some(&expected[..]));
        prop_assert_eq!(session.output().unwrap().elements(), Some(&expected[..]));
    }
}
