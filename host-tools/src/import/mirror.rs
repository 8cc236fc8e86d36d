//! Padding that repeats what is inside a map. No operator copies rows, but a row is a part, and parts are joined along the
//! channels: of a map that is read as one pixel, or, for columns, as one column.

use kinglet::Shape;

use super::problem::{Refusal, refuse};

/// Most rows and columns that are added: each takes an operator.
const MAX_ADDED: u32 = 32;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mirror {
    /// What lies inside, outermost but one first: `c b | a b c`.
    Reflect,
    /// What lies inside, outermost first: `b a | a b c`.
    Symmetric,
    /// The outermost: `a a | a b c`.
    Edge,
}

impl Mirror {
    /// The rows (or columns) of `extent` that are added before the first, and after the last.
    pub(super) fn repeated(self, extent: u32, before: u32, after: u32) -> Result<[Vec<u32>; 2], Refusal> {
        let place = |distance: u32| match self {
            Mirror::Reflect => distance + 1,
            Mirror::Symmetric => distance,
            Mirror::Edge => 0,
        };
        let most = before.max(after);
        if most > MAX_ADDED || (most > 0 && place(most - 1) >= extent) {
            return refuse(
                format!("{most} repeated rows or columns of {extent}"),
                "pad with zeros, or pad the image before inference",
            );
        }
        let first = (0..before).rev().map(place).collect();
        Ok([first, (0..after).map(|distance| extent - 1 - place(distance)).collect()])
    }
}

/// A map read as one pixel, to which rows can be joined, or as one column, to which columns can.
pub(super) fn line(shape: Shape, axis: usize) -> Shape {
    if axis == 0 { Shape::vector(shape.len()) } else { Shape::new(shape.h, 1, shape.w * shape.c) }
}
