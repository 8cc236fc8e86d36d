//! A step of a model.

use crate::memory::Region;
use crate::ops::{Op, OpKind, Operands};

/// One step of a model.
#[derive(Clone, Copy, Debug)]
pub struct Step<'m> {
    /// Its place in the order of execution, from 0.
    pub index: usize,
    /// Its name, that of the layer it came from.
    pub name: &'m str,
    /// The time slot at which it runs; steps of a chain share one.
    pub time_slot: u32,
    /// The operator with its parameters.
    pub op: Op<'m>,
    /// The tensors it works on.
    pub tensors: Operands,
    /// Its scratch memory in the arena.
    pub scratch: Region,
}

impl Step<'_> {
    /// Which operator.
    pub const fn kind(&self) -> OpKind {
        self.op.kind()
    }

    /// Multiply-accumulate operations of one run.
    pub const fn macs(&self) -> u64 {
        self.op.macs(&self.tensors)
    }

    /// Whether the output lies over an input that the step still needs: then it is computed in blocks of rows.
    pub(crate) const fn is_overlaid(&self) -> bool {
        let Operands { a, b, output } = &self.tensors;
        a.is_overlaid_by(output) || matches!(b, Some(b) if b.is_overlaid_by(output))
    }
}
