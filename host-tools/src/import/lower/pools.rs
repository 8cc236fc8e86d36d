//! Pools and reductions.

use kinglet::{Shape, Window};

use super::super::draft::Draft;
use super::super::problem::{Refusal, refuse};
use super::super::source::{Output, Pool, Reduction};
use crate::graph::{NodeId, Op};

impl Draft {
    pub(super) fn pool(
        &mut self,
        input: NodeId,
        pool: Pool,
        window: Window,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        self.demand_alike(input, output)?;
        let (input, op) = match pool {
            Pool::Max => {
                let (input, window) = self.without_padding(input, window, true);
                (input, Op::MaxPool(window))
            }
            // Padding that counts is padding with zeros before a pool without; what rounds up never counts.
            Pool::AverageWithPadding(rounded)
                if window.is_padded() && (window.before, window.after) != ([0; 2], rounded) =>
            {
                let (input, window) = self.padded(input, window, rounded)?;
                (input, Op::AveragePool(window))
            }
            Pool::Average | Pool::AverageWithPadding(_) => (input, Op::AveragePool(window)),
        };
        self.push(op, &[input], output)
    }

    /// The mean, the sum or the maximum over height and width, or over one of them.
    pub(super) fn reduce(
        &mut self,
        input: NodeId,
        reduction: Reduction,
        [tall, wide]: [bool; 2],
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let Shape { h, w, .. } = self.shape(input);
        let kernel = [if tall { h } else { 1 }, if wide { w } else { 1 }];
        // Rows and columns of which there is one are reduced anyway.
        let all = kernel == [h, w];
        let window = Window::global(kernel);
        let pools = !all || reduction == Reduction::Max;
        if pools && !window.is_valid() {
            return refuse(format!("a window of {kernel:?}"), "pool in several steps");
        }
        let is_real = self.elements(input).is_none();
        match reduction {
            Reduction::Max => self.pool(input, Pool::Max, window, output),
            Reduction::Mean if all => self.push(Op::Mean, &[input], output),
            Reduction::Sum if all && is_real => {
                let mean = self.push(Op::Mean, &[input], None)?;
                self.scaled(mean, (h * w) as f32)
            }
            Reduction::Mean if is_real => self.push(Op::AveragePool(window), &[input], output),
            Reduction::Sum if is_real => {
                let mean = self.push(Op::AveragePool(window), &[input], None)?;
                self.scaled(mean, (kernel[0] * kernel[1]) as f32)
            }
            Reduction::Mean => {
                refuse("a mean over height or width alone", "only height and width can be reduced, both together")
            }
            Reduction::Sum => refuse("the operator is not supported", "use a mean instead"),
        }
    }
}
