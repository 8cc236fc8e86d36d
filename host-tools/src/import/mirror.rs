//! Padding that repeats what is inside a map. No operator copies rows, but a row is a part, and parts are joined along the
//! channels: of a map that is read as one pixel, or, for columns, as one column.

use kinglet::Shape;

use super::float::FloatBuilder;
use super::problem::{Refusal, refuse};
use crate::graph::{NodeId, Op};

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

impl FloatBuilder {
    /// The map with rows and columns repeated around it; pairs are `[vertical, horizontal]`.
    pub(super) fn mirrored(
        &mut self,
        wanted: &str,
        input: NodeId,
        mirror: Mirror,
        before: [u32; 2],
        after: [u32; 2],
    ) -> Result<NodeId, Refusal> {
        let mut at = input;
        for axis in [0, 1] {
            let shape = self.shape(at);
            let Shape { h, w, c } = shape;
            let [first, last] = mirror.repeated([h, w][axis], before[axis], after[axis])?;
            let added = (first.len() + last.len()) as u32;
            if added == 0 {
                continue;
            }
            let whole = self.reshape(wanted, at, line(shape, axis))?;
            let mut part = |place: u32| {
                let (start, count) = if axis == 0 { ([place, 0], [1, w]) } else { ([0, place], [h, 1]) };
                let part = self.crop(wanted, at, start, count, [1, 1])?;
                self.reshape(wanted, part, line(self.shape(part), axis))
            };
            let mut parts = first.into_iter().map(&mut part).collect::<Result<Vec<_>, _>>()?;
            parts.push(whole);
            for place in last {
                parts.push(part(place)?);
            }
            let joint = self.add(wanted, Op::Concat, &parts)?;
            let to = if axis == 0 { Shape::new(h + added, w, c) } else { Shape::new(h, w + added, c) };
            at = self.reshape(wanted, joint, to)?;
        }
        Ok(at)
    }
}
