//! Any bytes as a model file: refused, or run in every way with one result.

use kinglet::kernels::{Active, Backend, Portable};
use kinglet::{DType, Dynamic, Fault, Guard, Model, Observer, Output, Pixels, Port, Progress, Raw, Session, StepEvent};

use super::random::Random;

/// Models that need more bytes of arena, or more operations, only cost time.
const MAX_ARENA: usize = 1 << 20;
const MAX_WORK: u64 = 1 << 22;
/// Parameter blocks are shorter than this.
const MAX_BLOCK: usize = 128;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Refused(Fault),
    /// Accepted; too much work to be run here.
    Large,
    /// Run; the CRC-32 of its output.
    Ran(u32),
}

/// Judges a file; if it is accepted, runs it twice in one session under an observer and a guard, on other kernels, in two memories, in
/// the smallest pieces, and on memory with other contents.
///
/// # Panics
/// When a promise of `SECURITY.md` is broken.
pub fn check(bytes: &[u8]) -> Verdict {
    // Buffers are as long as they need to be and no longer, so that AddressSanitizer sees a read behind them.
    let mut file = Buffer::new(bytes.len(), 0);
    file.bytes().copy_from_slice(bytes);
    let bytes: &[u8] = file.bytes();
    let model = match Model::new(bytes) {
        Ok(model) => model,
        Err(error) => {
            // A word that is missing from a parameter block may be one behind the file's end.
            assert!((error.offset as usize) < bytes.len() + MAX_BLOCK, "{error:?} of {} bytes", bytes.len());
            return Verdict::Refused(error.fault);
        }
    };
    if model.arena_len() > MAX_ARENA || model.work().operations > MAX_WORK {
        return Verdict::Large;
    }
    let sums: Vec<u32> = (0..model.step_count()).map(|index| model.step_checksum(index).expect("a step")).collect();
    // Any bits but those of infinite halves and NaNs, whose results are not promised to be the same everywhere.
    let mut random = Random::new(model.checksum());
    let wild: Vec<u8> = (0..model.input_bytes()).map(|_| random.word() as u8).collect();
    let mut input = wild.clone();
    for (port, bytes) in parts(model.inputs(), &mut input) {
        if port.tensor.dtype == DType::F16 {
            bytes.iter_mut().skip(1).step_by(2).for_each(|high| *high &= !0x40);
        }
    }

    let mut arena = Buffer::new(model.arena_len(), 0);
    let mut session =
        Session::<Dynamic, Portable>::open_on(model, arena.bytes()).expect("an arena of the length it asked for");
    let mut run = || {
        let mut watch = Watch { model, next: 0, rows: vec![0; model.step_count()] };
        let mut guard = Guard::new(model, &sums).with(&mut watch);
        session.reset();
        let inference = session.start(Raw(&input)).expect("as long as the inputs");
        let output = all(inference.observe(&mut guard).finish().expect("no fault"));
        assert_eq!(guard.damaged(), None, "the guard");
        watch.finish();
        output
    };
    let mut output = run();
    let finite = parts(model.outputs(), &mut output).all(|(port, bytes)| is_finite(bytes, port.tensor.dtype));
    assert!(finite, "a half that is infinite or no number, of {:?}", model.steps().last());
    assert_eq!(run(), output, "the second inference");

    for (fill, what) in [(0x00, "zeros"), (0xFF, "ones")] {
        assert_eq!(run_on::<Portable>(model, &input, || fill), output, "in memory full of {what}");
    }
    assert_eq!(run_on::<Portable>(model, &input, || random.word() as u8), output, "in memory full of anything");
    assert_eq!(run_on::<Active>(model, &input, || 0xA5), output, "the kernels of this machine");
    assert_eq!(run_in_pieces(model, &input), output, "in pieces");
    assert_eq!(run_split(model, &input), output, "in two memories");
    run_wildly(model, &wild);
    Verdict::Ran(kinglet::format::crc32(0, &output))
}

/// Bytes at a multiple of 16, with nothing behind them as far as the allocator can do that.
struct Buffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    fn new(len: usize, fill: u8) -> Self {
        let memory = vec![fill; len];
        if memory.as_ptr().align_offset(16) == 0 {
            return Self { memory, start: 0, len };
        }
        let memory = vec![fill; len + 15];
        let start = memory.as_ptr().align_offset(16);
        Self { memory, start, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.len]
    }
}

/// Sees that the steps are those of the model, each with all its rows once, in order.
struct Watch<'m> {
    model: Model<'m>,
    /// The first step that is not complete.
    next: usize,
    /// Rows of each step that are there.
    rows: Vec<u32>,
}

impl Observer for Watch<'_> {
    fn end(&mut self, event: &StepEvent<'_>) {
        let step = self.model.step(event.index()).expect("a step of the model");
        assert_eq!((event.kind(), event.name(), *event.tensor()), (step.kind(), step.name, step.tensors.output));
        assert_eq!(event.rows().start, self.rows[event.index()], "rows of step {}", event.index());
        assert!(
            event.rows().end > event.rows().start && event.rows().end <= event.tensor().shape.h,
            "{:?}",
            event.rows()
        );
        self.rows[event.index()] = event.rows().end;
        let pixels = u64::from(event.rows().end - event.rows().start) * u64::from(event.tensor().shape.w);
        assert_eq!(event.pixels().count() as u64, pixels, "pixels of step {}", event.index());
        if event.is_last() && event.index() == self.next {
            while self.rows.get(self.next).is_some_and(|&rows| Some(rows) == height(&self.model, self.next)) {
                self.next += 1;
            }
        }
    }
}

fn height(model: &Model<'_>, step: usize) -> Option<u32> {
    model.step(step).map(|step| step.tensors.output.shape.h)
}

impl Watch<'_> {
    fn finish(&self) {
        assert_eq!(self.next, self.model.step_count(), "steps that ran to their end");
    }
}

fn is_finite(bytes: &[u8], dtype: DType) -> bool {
    dtype != DType::F16 || bytes.iter().skip(1).step_by(2).all(|high| high & 0x7C != 0x7C)
}

/// Bytes before and behind an arena that nobody may touch.
const CANARY: [u8; 64] = [0xCA; 64];

/// The bytes of all outputs.
fn all(output: Output<'_>) -> Vec<u8> {
    output.all().flat_map(|output| output.bytes().to_vec()).collect()
}

/// The bytes of each of several ports, one after the other.
fn parts<'m, 'b>(
    ports: impl Iterator<Item = Port<'m>>,
    bytes: &'b mut [u8],
) -> impl Iterator<Item = (Port<'m>, &'b mut [u8])> {
    let mut rest = bytes;
    ports.map(move |port| {
        let (bytes, more) = std::mem::take(&mut rest).split_at_mut(port.tensor.span() as usize);
        rest = more;
        (port, bytes)
    })
}

/// An inference on the kernels `B`, in memory full of what `fill` says, with canaries on both sides.
fn run_on<B: Backend>(model: Model<'_>, input: &[u8], mut fill: impl FnMut() -> u8) -> Vec<u8> {
    let mut memory = Buffer::new(model.arena_len() + 2 * CANARY.len(), CANARY[0]);
    let (before, rest) = memory.bytes().split_at_mut(CANARY.len());
    let (arena, behind) = rest.split_at_mut(model.arena_len());
    arena.iter_mut().for_each(|byte| *byte = fill());
    let mut session = Session::<Dynamic, B>::open_on(model, arena).expect("fits");
    let output = all(session.infer(Raw(input)).expect("as long as the inputs, and no fault"));
    assert!(*before == CANARY && *behind == CANARY, "bytes beside the arena");
    output
}

/// An inference row by row, with as many pieces as the outputs have rows at most.
fn run_in_pieces(model: Model<'_>, input: &[u8]) -> Vec<u8> {
    let mut arena = Buffer::new(model.arena_len(), 0x5A);
    let mut session = Session::<Dynamic, Portable>::open_on(model, arena.bytes()).expect("fits");
    let mut inference = session.start(Raw(input)).expect("as long as the input");
    let rows: u64 = model.steps().map(|step| u64::from(step.tensors.output.shape.h)).sum();
    let mut pieces = 1;
    while inference.rows(1) == Progress::More {
        pieces += 1;
        assert!(pieces <= rows, "{pieces} pieces for {rows} rows");
    }
    all(inference.finish().expect("no fault"))
}

/// An inference with the two memories of the arena apart.
fn run_split(model: Model<'_>, input: &[u8]) -> Vec<u8> {
    let (mut fast, mut slow) = (Buffer::new(model.fast_len(), 0xC3), Buffer::new(model.slow_len(), 0x3C));
    let mut session = Session::<Dynamic, Portable>::open_split_on(model, fast.bytes(), slow.bytes()).expect("fits");
    all(session.infer(Raw(input)).expect("as long as the inputs, and no fault"))
}

/// What only has to do no harm: any input bits, an inference that is abandoned, pixels, the best classes.
fn run_wildly(model: Model<'_>, input: &[u8]) {
    let mut arena = Buffer::new(model.arena_len(), 0xFF);
    let mut session = Session::<Dynamic, Portable>::open_on(model, arena.bytes()).expect("fits");
    session.start(Raw(input)).expect("as long as the input").rows(1);
    let pixels = vec![200; model.input().shape.len() as usize];
    if let Ok(inference) = session.start(Pixels(&pixels)) {
        inference.finish().expect("no fault");
    }
    let best = session.infer(Raw(input)).expect("as long as the input, and no fault").top_k::<3>();
    assert!(best.iter().all(|prediction| (prediction.class as u64) < u64::from(model.output().shape.len())));
    (0..model.label_count()).for_each(|class| assert!(model.label(class).is_some()));
}
