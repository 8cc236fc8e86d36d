//! Operands that are spread over a map: one pixel over all pixels, one channel over all channels; exact, also of integers.
//!
//! The runtime spreads a pixel in products and where it is taken off. The rest becomes whole maps first, by convolutions
//! with a factor of exactly 1. (A difference from minus the pixel is no sum to the bit: halves round up on either side.)

use kinglet::ops::{Add, Mul};
use kinglet::{Shape, Window};

use super::super::draft::Draft;
use super::super::problem::{Refusal, refuse};
use crate::graph::{Binary, NodeId};

impl Draft {
    /// The operands of a sum, difference or product as the runtime takes them.
    pub(super) fn broadcast(&mut self, binary: Binary, a: NodeId, b: NodeId) -> Result<[NodeId; 2], Refusal> {
        let (one, other) = (self.shape(a), self.shape(b));
        let to = Shape::new(one.h.max(other.h), one.w.max(other.w), one.c.max(other.c));
        let takes = |first: Shape, second: Shape| match binary {
            Binary::Add => Add::output_shape(first, second) == Some(to),
            _ => Mul::output_shape(first, second) == Some(to),
        };
        if takes(one, other) {
            return Ok([a, b]);
        }
        if binary == Binary::Mul && takes(other, one) {
            return Ok([b, a]);
        }
        let [a, b] = [self.in_all_channels(a, to)?, self.in_all_channels(b, to)?];
        let operands = [self.in_all_pixels(a, to)?, self.in_all_pixels(b, to)?];
        if operands.iter().any(|&id| self.shape(id) != to) {
            return refuse(
                format!("shapes {one:?} and {other:?}"),
                "both operands have one shape, or one of them is one pixel or one channel",
            );
        }
        Ok(operands)
    }

    /// What has one channel, in all channels of `to`; else what was given.
    pub(super) fn in_all_channels(&mut self, id: NodeId, to: Shape) -> Result<NodeId, Refusal> {
        if self.shape(id).c != 1 || to.c == 1 {
            return Ok(id);
        }
        self.channels(id, &vec![Some(0); to.c as usize])
    }

    /// One pixel, at all places of `to`; else what was given. Windows that overhang by all but one tap find the pixel
    /// wherever they are: first along a row, then along all columns.
    fn in_all_pixels(&mut self, id: NodeId, to: Shape) -> Result<NodeId, Refusal> {
        let Shape { h, w, .. } = self.shape(id);
        if h * w != 1 {
            return Ok(id);
        }
        let mut at = id;
        for kernel in [[1, to.w], [to.h, 1]] {
            if kernel == [1, 1] {
                continue;
            }
            let overhang = kernel.map(|extent| extent - 1);
            let window = Window { kernel, stride: [1, 1], before: overhang, after: overhang };
            let taps: Vec<u32> = (0..kernel[0].saturating_mul(kernel[1])).collect();
            at = self.taken(at, window, &taps)?;
        }
        Ok(at)
    }
}
