//! A slice of a concatenation, copied into its parent.

use core::ops::Range;

use super::encoding::encoding;
use super::members::{pointwise, without};
use super::patch::copy_row;
use super::{Io, Operands, rules};
use crate::bytes::attempt;
use crate::error::Fault;
use crate::kernels::Backend;
use crate::numbers::Numbers;
use crate::tensor::Shape;
use crate::uses::Linked;

/// Copies one part of a concatenation along the channels into the parent tensor.
///
/// The output is the part's *view* of the parent tensor: it has the part's shape and the parent tensor's pitch, so there
/// are no parameters. Parts that an operator writes into their view need no such step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Concat;

encoding!(Concat {});

impl Concat {
    /// The shape rule of the whole concatenation, for two parts: same height and width, channels add up. `None` when
    /// they do not go together.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        if a.h == b.h && a.w == b.w { Some(Shape::new(a.h, a.w, a.c.saturating_add(b.c))) } else { None }
    }

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(rules::same_quant(&tensors.a, &tensors.output));
        rules::shape(Some(tensors.a.shape), &tensors.output)
    }

    pointwise!();

    without!(constants);

    #[inline(never)]
    pub(super) fn run<N: Numbers, B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        (rows.start..rows.end.min(output.shape.h)).for_each(|y| copy_row(io.memory, &a, &output, y));
    }
}
