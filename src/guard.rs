//! A watch over the weights while they are used.

use crate::model::Model;
use crate::observer::{Observer, StepEvent};
use crate::uses::{Dynamic, Linked};

/// An [`Observer`] that compares, after each step, the CRC-32 of all that the step read of the model file with what it was
/// when the file was checked: a bit that flips in flash or in RAM afterwards is caught in the inference that it spoils.
///
/// A table-driven CRC-32 costs about as many instructions per byte of weights as the convolutions of a small network take
/// per multiply-accumulate; `README.md` has the figures. All else that the runtime reads of a file (tensors, places) is
/// checked for bounds at every use, so that a flip there may spoil an output but never touches other memory.
///
/// ```
/// use kinglet::{Arena, Guard, Pixels, Session};
/// kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// static SUMS: [u32; Digits::MODEL.step_count()] = Digits::MODEL.step_checksums();
/// static ARENA: Arena<Digits> = Arena::new();
///
/// let mut session = Session::<Digits>::new(ARENA.take().unwrap());
/// let mut guard = Guard::new(Digits::MODEL, &SUMS);
/// let output = session.start(Pixels(&[0; 64]))?.observe(&mut guard).finish()?;
/// assert_eq!(guard.damaged(), None);
/// # Ok::<(), kinglet::InferError>(())
/// ```
#[derive(Debug)]
pub struct Guard<'a, M: Linked = Dynamic, O = ()> {
    model: Model<'a, M>,
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

impl<'a, M: Linked> Guard<'a, M> {
    /// A guard over a model whose [`Model::step_checksums`] were `sums`. Steps that `sums` leaves out count as damaged.
    pub const fn new(model: Model<'a, M>, sums: &'a [u32]) -> Self {
        Self { model, sums, damaged: None, then: () }
    }

    /// The same, and each step is handed on to `observer`.
    pub fn with<O: Observer>(self, observer: O) -> Guard<'a, M, O> {
        Guard { model: self.model, sums: self.sums, damaged: self.damaged, then: observer }
    }
}

impl<M: Linked, O> Guard<'_, M, O> {
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

impl<M: Linked, O: Observer> Observer for Guard<'_, M, O> {
    fn begin(&mut self, step: usize) {
        self.then.begin(step);
    }

    fn end(&mut self, event: &StepEvent<'_>) {
        self.then.end(event);
        if event.is_last() && self.damaged.is_none() {
            let sum = self.model.step_checksum(event.index());
            if sum.is_none() || sum.as_ref() != self.sums.get(event.index()) {
                self.damaged = Some(event.index());
            }
        }
    }
}
