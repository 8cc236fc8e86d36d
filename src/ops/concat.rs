//! One part of a concatenation.

use core::ops::Range;

use super::patch::copy_row;
use super::{Io, Operands, params};
use crate::bytes::{Block, attempt};
use crate::error::{Fault, ModelError};
use crate::kernels::Backend;
use crate::tensor::Shape;
use crate::uses::Linked;

/// Copies one part of a concatenation along the channels into the joint tensor.
///
/// The output is the part's *view* of the joint tensor: it has the part's shape and the joint tensor's pitch, so there
/// are no parameters. Parts that an operator writes into their view need no such step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Concat;

impl Concat {
    /// The shape rule of the whole concatenation, for two parts: same height and width, channels add up. `None` when
    /// they do not go together.
    pub const fn output_shape(a: Shape, b: Shape) -> Option<Shape> {
        if a.h == b.h && a.w == b.w { Some(Shape::new(a.h, a.w, a.c.saturating_add(b.c))) } else { None }
    }

    pub(super) const fn decode(_block: Block<'_>) -> Result<Self, ModelError> {
        Ok(Self)
    }

    #[cfg(feature = "std")]
    pub(super) fn encode(&self, _writer: &mut crate::format::Writer) {}

    pub(super) const fn check(&self, tensors: &Operands) -> Result<(), Fault> {
        attempt!(params::same_quant(&tensors.a, &tensors.output));
        params::demand(tensors.a.shape.same(tensors.output.shape), Fault::ShapeRule)
    }

    params::pointwise!();

    pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
        [&[], &[]]
    }

    #[inline(never)]
    pub(super) fn run<B: Backend, L: Linked>(&self, io: &mut Io<'_, '_>, rows: Range<u32>) {
        let Operands { a, output, .. } = io.tensors;
        (rows.start..rows.end.min(output.shape.h)).for_each(|y| copy_row(io.memory, &a, &output, y));
    }
}
