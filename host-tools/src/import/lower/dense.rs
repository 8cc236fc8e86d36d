//! Dense layers and batch normalization.

use kinglet::{Shape, Window};

use super::super::RoundingMode;
use super::super::draft::Draft;
use super::super::problem::{Refusal, refuse};
use super::super::source::{Filter, Norm, Numbers, Output};
use crate::graph::{NodeId, Op};

impl Draft {
    pub(super) fn dense(
        &mut self,
        input: NodeId,
        inputs: u32,
        filter: Filter,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let from = self.shape(input);
        // With one scale for all weights it may have a multiplier of its own, see `RoundingMode`.
        let has_own = !matches!(self.mode(), RoundingMode::Tflm | RoundingMode::Reference);
        let own = match &filter.weights {
            Numbers::Integers { scales, .. } => scales.len() == 1 && has_own,
            Numbers::Unsigned { .. } => true,
            Numbers::Reals(_) => false,
        };
        if (filter.bias.len() as u64) * u64::from(inputs) != filter.weights.len() as u64 {
            return refuse(
                format!("{} weights for {inputs} inputs", filter.weights.len()),
                "the file contradicts itself",
            );
        }
        if from.len() == inputs {
            return self.weighted(input, filter, output, true, Op::Dense);
        }
        if from.c == inputs && !own {
            // A dense layer of every pixel is a pointwise convolution, rounded as the dense layer is.
            let window = Window::global([1, 1]);
            return self.weighted(input, filter, output, true, |weights| Op::Conv2d { window, weights });
        }
        let Shape { h, w, c } = from;
        refuse(
            format!("{inputs} weights per output for an input of {h} x {w} x {c}"),
            "only a dense layer over the whole of its input is supported",
        )
    }

    pub(super) fn norm(&mut self, input: NodeId, norm: Norm) -> Result<NodeId, Refusal> {
        let c = self.shape(input).c as usize;
        if [&norm.gamma, &norm.beta, &norm.mean, &norm.variance].iter().any(|numbers| numbers.len() != c) {
            return refuse(format!("more or fewer statistics than {c} channels"), "the file contradicts itself");
        }
        if norm.variance.iter().any(|v| v + norm.epsilon <= 0.0) {
            return refuse("a variance that is not positive", "");
        }
        self.push(Op::BatchNorm(norm), &[input], None)
    }
}
