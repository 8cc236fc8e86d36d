//! Outputs that lie over their inputs.
//!
//! When a plan puts an output on rows of the input that are no longer needed, both tensors' bytes overlap as wholes,
//! but not the rows that one call reads and writes. [`narrowed`] states that call as an operation of its own, on tensors
//! of just those rows, with the window's padding cut to fit: operators need know nothing of overlays.

use core::ops::Range;

use super::{Op, Operands};
use crate::window::Window;

impl Window {
    /// The window for output rows `rows` only, and the input rows that it then covers.
    fn only(&self, rows: &Range<u32>, height: u32) -> (Self, Range<u32>) {
        let last = rows.end.saturating_sub(1);
        let (first, end) = (self.taps(0, rows.start, height), self.taps(0, last, height));
        let (start, end) = (first.start, end.start.saturating_add(end.len));
        let before = i64::from(start).saturating_sub(self.origin(0, rows.start).into());
        let reach = i64::from(self.origin(0, last)).saturating_add(self.kernel[0].into());
        let after = reach.saturating_sub(end.into());
        let mut window = *self;
        window.before[0] = before.max(0) as u32;
        window.after[0] = after.max(0) as u32;
        (window, start..end)
    }
}

/// The operation that computes output rows `rows` alone, all of its own output, if the output lies over an input.
///
/// Only of operators with a window: they look at the tensors as wholes. The others read and write row by row.
pub(super) fn narrowed<'m>(op: &Op<'m>, tensors: &Operands, rows: &Range<u32>) -> Option<(Op<'m>, Operands)> {
    let Operands { a, output, .. } = tensors;
    if !a.is_overlaid_by(output) || rows.start >= rows.end {
        return None;
    }
    let mut narrow = *op;
    let window = narrow.window_mut()?;
    let (cut, input_rows) = window.only(rows, a.shape.h);
    *window = cut;
    Some((narrow, Operands { a: a.only(input_rows), b: None, output: output.only(rows.clone()) }))
}
