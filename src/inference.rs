//! An inference that has begun: run whole, or in slices of steps and rows.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use crate::chain::Chain;
use crate::format::PortKind;
use crate::input::InputError;
use crate::input::fill::{Place, Places};
use crate::kernels::{Active, Backend};
use crate::memory::Memory;
use crate::model::Model;
use crate::observer::{Observer, StepEvent};
use crate::ops::Io;
use crate::output::Output;
use crate::step::Step;
use crate::uses::{Dynamic, Linked};

/// An inference that has begun and is not finished. Dropping it leaves the session ready for another input.
///
/// Between slices the caller may do anything else, so that a control loop keeps its deadlines:
///
/// ```
/// # use kinglet::{InferError, Pixels, Progress, Session};
/// # fn demo(session: &mut Session<'_>, image: &[u8], mut control: impl FnMut()) -> Result<(), InferError> {
/// let mut inference = session.start(Pixels(image))?;
/// while let Progress::More = inference.rows(1) {
///     control();
/// }
/// let best = inference.finish()?.best();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Inference<'s, M: Linked = Dynamic, B = Active, O = ()> {
    model: &'s Model<'s, M>,
    memory: Memory<'s>,
    run: &'s mut Run,
    observer: O,
    /// The step that runs next, or goes on, or the first of the chain that is running.
    next: usize,
    /// Rows that the next step has computed: not 0 only between the slices of a step.
    row: u32,
    backend: PhantomData<B>,
}

/// What a session keeps for its inferences, so that one is small to hand on.
#[derive(Debug)]
pub(crate) struct Run {
    /// Whether the memory holds the output of an inference.
    pub finished: bool,
    /// The chain that has been begun; empty when none has.
    chain: Chain,
}

impl Run {
    /// Of a session in which nothing has run.
    pub(crate) const fn new() -> Self {
        Self { finished: false, chain: Chain::new() }
    }
}

/// Whether there is more of an inference to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// There is.
    More,
    /// All has run.
    Done,
}

/// Why there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InferError {
    /// The input does not fit the model. Nothing has run.
    Input(InputError),
    /// A step could not reach memory that the checked plan gives it: the model's bytes have changed since, or the runtime has a
    /// bug. No scores are given out.
    Fault {
        /// The step, counted from 0.
        step: usize,
    },
}

impl From<InputError> for InferError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InferError::Input(error) => error.fmt(f),
            InferError::Fault { step } => {
                write!(f, "step {step} does not run as it was checked: the model has changed")
            }
        }
    }
}

impl core::error::Error for InferError {}

impl<'s, M: Linked, B> Inference<'s, M, B> {
    pub(crate) fn new(model: &'s Model<'s, M>, memory: Memory<'s>, run: &'s mut Run) -> Self {
        run.finished = false;
        run.chain.clear();
        Self { model, memory, run, observer: (), next: 0, row: 0, backend: PhantomData }
    }

    /// The model.
    pub(crate) fn model(&self) -> &'s Model<'s, M> {
        self.model
    }

    /// The first input's bytes, before the first step.
    pub(crate) fn input(&self) -> &[i8] {
        self.memory.view().read(self.model.input().region())
    }

    /// Some of the inputs, to be filled before the first step.
    pub(crate) fn places(&mut self, inputs: Range<u32>) -> Places<'_, 's, M> {
        Places::new(self.model, &mut self.memory, inputs)
    }

    /// The place of the first input.
    pub(crate) fn place(&mut self) -> Place<'_> {
        self.places(0..1).into_place()
    }

    /// Whether the model has one input, which is all that is given.
    pub(crate) fn takes_one(&self) -> Result<(), InputError> {
        match self.model.input_count() as u32 {
            1 => Ok(()),
            needed => Err(InputError::Count { needed, given: 1 }),
        }
    }

    /// Shows what follows to an observer, `&mut` or by value.
    pub fn observe<O: Observer>(self, observer: O) -> Inference<'s, M, B, O> {
        let Self { model, memory, run, observer: (), next, row, backend } = self;
        Inference { model, memory, run, observer, next, row, backend }
    }
}

impl<'s, M: Linked, B: Backend, O: Observer> Inference<'s, M, B, O> {
    /// The observer.
    pub fn observer(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Runs the next step, or the next group of steps that are streamed row by row, or what is left of one.
    pub fn step(&mut self) -> Progress {
        loop {
            let progress = self.rows(u32::MAX);
            if self.run.chain.is_empty() || progress == Progress::Done {
                return progress;
            }
        }
    }

    /// Runs a slice of the next step: at most `rows` rows of its output, or as many as its algorithm computes at a time when
    /// those are more (1, 2 or 4, and more for Winograd's algorithm at run time); in a group of steps that are streamed, one
    /// such block.
    ///
    /// Each slice reads its input rows anew, so that small slices take more instructions in all; the output bytes are the same
    /// for any mixture of slices and steps. A step whose output has one row (a mean, a fully connected layer) is one slice.
    pub fn rows(&mut self, rows: u32) -> Progress {
        if !M::SET.chains || self.run.chain.is_empty() {
            if self.next >= self.model.step_count() || self.memory.has_refused() {
                return Progress::Done;
            }
            let Some(step) = self.model.nameless_step(self.next) else { return self.fail() };
            if !M::SET.chains || self.model.time_slot(self.next.wrapping_add(1)) != step.time_slot {
                return self.run_alone(&step, rows);
            }
            if !self.model.open_chain(&mut self.run.chain, self.next) {
                return self.fail();
            }
        }
        self.advance_chain()
    }

    /// Runs what has not run yet.
    ///
    /// # Errors
    /// [`InferError::Fault`].
    pub fn finish(mut self) -> Result<Output<'s, M>, InferError> {
        while let Progress::More = self.step() {}
        // The outputs must be there too.
        for output in 0..self.model.output_count() as u32 {
            self.memory.read(self.model.port_tensor(PortKind::Output, output).region());
        }
        if self.memory.has_refused() {
            return Err(InferError::Fault { step: self.next });
        }
        if M::SET.states {
            for state in self.model.states() {
                if let Some(next) = self.model.tensor(state.next) {
                    state.commit(&next, &mut self.memory);
                }
            }
        }
        self.run.finished = true;
        Ok(Output::new(self.model, self.memory.into_view(), 0))
    }

    /// Runs up to `rows` rows of a step that has a time slot to itself, in one call unless they push its input's out of the way.
    fn run_alone(&mut self, step: &Step<'_>, rows: u32) -> Progress {
        let height = step.tensors.output.shape.h;
        let overlaid = M::SET.overlays && step.is_overlaid();
        let block = if !overlaid && rows >= height {
            height
        } else {
            let least = step.op.row_block().max(1);
            // Calls start at a multiple of what the algorithm computes at a time.
            if overlaid { least } else { rows.saturating_sub(rows.checked_rem(least).unwrap_or(0)).max(least) }
        };
        let stop = self.row.saturating_add(rows);
        loop {
            let end = self.row.saturating_add(block).min(height);
            self.execute(step, self.row..end);
            if end >= height {
                self.row = 0;
                return self.go_on(1);
            }
            self.row = end;
            if block > stop.saturating_sub(end) {
                return Progress::More;
            }
        }
    }

    /// Runs some rows of one step of the chain.
    fn advance_chain(&mut self) -> Progress {
        let Some(call) = self.run.chain.next() else { return self.fail() };
        let Some(step) = self.model.nameless_step(self.next.wrapping_add(call.link)) else { return self.fail() };
        self.execute(&step, call.start..call.end);
        self.run.chain.advance(call);
        if !self.run.chain.is_done() {
            return Progress::More;
        }
        let steps = self.run.chain.len();
        self.run.chain.clear();
        self.go_on(steps)
    }

    /// Goes on to a later step, unless this one has failed.
    fn go_on(&mut self, steps: usize) -> Progress {
        if self.memory.has_refused() {
            return self.fail();
        }
        self.next = self.next.saturating_add(steps);
        if self.next < self.model.step_count() { Progress::More } else { Progress::Done }
    }

    /// Nothing more runs.
    fn fail(&mut self) -> Progress {
        self.memory.refuse();
        self.run.chain.clear();
        Progress::Done
    }

    fn execute(&mut self, step: &Step<'_>, rows: Range<u32>) {
        self.observer.begin(step.index);
        let mut io = Io { memory: &mut self.memory, tensors: step.tensors, scratch: step.scratch };
        step.op.run_one_of::<B, M>(&mut io, rows.clone());
        self.observer.end(&StepEvent { file: self.model.file(), view: self.memory.view(), step, rows });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_type::Aligned;

    static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("../models/digits-resnet/digits-resnet.kgl"));

    #[repr(align(16))]
    struct Arena([u8; 8192]);

    /// Runs the model in some bytes of memory.
    fn run(len: usize, refuse: bool) -> Result<usize, InferError> {
        let model = Model::new(&FILE.0).unwrap();
        let (mut arena, mut run) = (Arena([0; 8192]), Run::new());
        let mut memory = Memory::new(&mut arena.0[..len]);
        if refuse {
            memory.refuse();
        }
        let inference = Inference::<Dynamic>::new(&model, memory, &mut run);
        let output = inference.finish().map(|output| output.bytes().len());
        assert_eq!(run.finished, output.is_ok());
        output
    }

    #[test]
    fn a_step_that_could_not_be_computed_leaves_no_scores() {
        let needed = Model::new(&FILE.0).unwrap().arena_len();
        // A whole network takes an interpreter minutes.
        if !cfg!(miri) {
            assert_eq!(run(needed, false), Ok(10));
        }
        assert_eq!(run(needed, true), Err(InferError::Fault { step: 0 }));
    }

    /// Memory that is not there is never passed over in silence: debug builds stop.
    #[test]
    fn memory_that_is_not_there_is_a_fault() {
        for len in [0, 16, 64, 512] {
            let output = std::panic::catch_unwind(|| run(len, false));
            assert_eq!(output.is_err(), cfg!(debug_assertions), "{len}");
            assert!(output.is_err() || matches!(output, Ok(Err(InferError::Fault { .. }))), "{len}");
        }
    }
}
