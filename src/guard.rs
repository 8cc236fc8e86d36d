//! A watch over the weights while they are used.

use crate::model::Model;
use crate::session::{Observer, StepEvent};
use crate::uses::Linked;

/// An [`Observer`] that compares, after each step, the CRC-32 of all that the step read of the model file with what it was
/// when the file was checked: a bit that flips in flash or in RAM afterwards is caught in the inference that it spoils.
///
/// A table-driven CRC-32 costs about as many instructions per byte of weights as the convolutions of a small network take
/// per multiply-accumulate; `README.md` has the figures. All else that the runtime reads of a file (tensors, places) is
/// checked for bounds at every use, so that a flip there may spoil an output but never touches other memory.
///
/// ```
/// use kinglet::{Arena, Guard, Session};
/// kinglet::model!(static MODEL = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// static SUMS: [u32; MODEL.step_count()] = MODEL.step_checksums();
/// static ARENA: Arena<{ MODEL.arena_len() }> = Arena::new();
///
/// let mut session = Session::new(MODEL, ARENA.take().unwrap()).unwrap();
/// let mut guard = Guard::new(MODEL, &SUMS);
/// session.run_observed(&mut guard);
/// assert_eq!(guard.damaged(), None);
/// ```
#[derive(Debug)]
pub struct Guard<'a, L: Linked, O = ()> {
    model: Model<'a, L>,
    sums: &'a [u32],
    damaged: Option<usize>,
    then: O,
}

impl<L: Linked> Model<'_, L> {
    /// [`Model::step_checksum`] of the first `N` steps, for a [`Guard`]: as a `static` it is computed while
    /// compiling.
    pub const fn step_checksums<const N: usize>(&self) -> [u32; N] {
        let (mut sums, mut index) = ([0; N], 0);
        while index < N {
            if let Some(sum) = self.step_checksum(index) {
                sums[index] = sum;
            }
            index += 1;
        }
        sums
    }
}

impl<'a, L: Linked> Guard<'a, L> {
    /// A guard over a model whose [`Model::step_checksums`] were `sums`. Steps that `sums` leaves out count as damaged.
    pub const fn new(model: Model<'a, L>, sums: &'a [u32]) -> Self {
        Self { model, sums, damaged: None, then: () }
    }

    /// The same, and each step is handed on to `observer`.
    pub fn with<O: Observer>(self, observer: O) -> Guard<'a, L, O> {
        Guard { model: self.model, sums: self.sums, damaged: self.damaged, then: observer }
    }
}

impl<L: Linked, O> Guard<'_, L, O> {
    /// The first step, counted from 0, that was run with other bytes than were checked, if any was: outputs since then are
    /// not to be trusted. The guard keeps it until it is asked to [`forget`](Guard::forget).
    pub const fn damaged(&self) -> Option<usize> {
        self.damaged
    }

    /// Starts anew.
    pub const fn forget(&mut self) {
        self.damaged = None;
    }
}

impl<L: Linked, O: Observer> Observer for Guard<'_, L, O> {
    fn begin(&mut self, index: usize) {
        self.then.begin(index);
    }

    fn now(&mut self) -> u32 {
        self.then.now()
    }

    fn step(&mut self, event: &StepEvent<'_>) {
        if event.is_last() && self.damaged.is_none() {
            let sum = self.model.step_checksum(event.index);
            if sum.is_none() || sum.as_ref() != self.sums.get(event.index) {
                self.damaged = Some(event.index);
            }
        }
        if self.then.observes() {
            self.then.step(event);
        }
    }
}
