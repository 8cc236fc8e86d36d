//! How much work a model is: what its verification and an inference cost at most, known before either.

use crate::internal::internal;
use crate::ops::{AveragePool2d, MaxPool2d, Op, Operands};
use crate::step::Step;

/// The work of a model, counted from shapes alone. A file with more than the limits is refused before it is looked at closely, so
/// that neither its verification nor an inference goes on without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Work {
    /// Calls of operators: one for each step that runs as a whole, one for each block of rows of the others. The verifier
    /// checks each.
    pub calls: u64,
    /// Operations of an inference: of each step its multiply-accumulates, the elements that its pools compare or add, or the elements
    /// of its largest tensor, whichever are most.
    pub operations: u64,
    /// Bytes of weights and tables, for each step that uses them. The verifier reads them.
    pub constants: u64,
}

impl Work {
    /// No work.
    pub(crate) const NONE: Self = Self { calls: 0, operations: 0, constants: 0 };

    /// That of `step`, whether it runs in `blocks` of rows.
    pub(crate) const fn of(step: &Step<'_>, blocks: bool) -> Self {
        let Operands { a, b, output } = &step.tensors;
        let block = match step.op.row_block() {
            0 => 1,
            block => block,
        };
        let len = output.shape.len() as u64;
        let taps = match &step.op {
            Op::MaxPool2d(MaxPool2d { window, .. }) | Op::AveragePool2d(AveragePool2d { window, .. }) => {
                let [height, width] = window.kernel;
                least(height, a.shape.h) as u64 * least(width, a.shape.w) as u64
            }
            _ => 1,
        };
        let mut operations = most(step.op.macs(&step.tensors), taps.saturating_mul(len));
        operations = most(operations, a.shape.len() as u64);
        if let Some(b) = b {
            operations = most(operations, b.shape.len() as u64);
        }
        Self {
            calls: if blocks { output.shape.h.div_ceil(block) as u64 } else { 1 },
            operations,
            constants: step.op.weight_bytes() as u64,
        }
    }

    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            operations: self.operations.saturating_add(other.operations),
            constants: self.constants.saturating_add(other.constants),
        }
    }

    /// Whether a file of `len` bytes may be so much work.
    pub(crate) const fn is_allowed(&self, len: u32) -> bool {
        self.calls <= Self::MAX_CALLS
            && self.operations <= Self::MAX_OPERATIONS
            && self.constants <= Self::MAX_SHARED * len as u64
    }

    internal! {
        /// The most calls: 16 chained steps of 16,384 rows each.
        const MAX_CALLS: u64 = 1 << 18;
        /// The most operations: VGG-19 has 20 thousand million.
        const MAX_OPERATIONS: u64 = 1 << 35;
        /// The most bytes of constants for each byte of the file: several steps may share them.
        const MAX_SHARED: u64 = 16;
    }
}

const fn least(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

const fn most(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}
