//! Pools and reductions.

use kinglet::{Activation, DType, QuantParams, Shape, Window};

use super::super::RoundingMode;
use super::super::draft::{Draft, Given};
use super::super::problem::{Refusal, refuse};
use super::super::source::{Bias, Elements, Filter, Numbers, Output, Pool, Reduction};
use super::arithmetic::opposite;
use crate::graph::{Function, NodeId, Op, Rearrange, Strided};
use crate::quantize::lookup;

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
            Pool::Average if self.unsigned && (window.is_padded() || window.taps_len().is_multiple_of(2)) => {
                return self.mean_of_unsigned(input, Op::AveragePool(window), output);
            }
            Pool::Average | Pool::AverageWithPadding(_) => (input, Op::AveragePool(window)),
        };
        self.push(op, &[input], output)
    }

    /// A mean of uint8 elements, which rounds halves up, where int8 rounds them away from zero: of int16 elements, none of which is
    /// below zero.
    pub(super) fn mean_of_unsigned(&mut self, input: NodeId, op: Op<Given>, output: Output) -> Result<NodeId, Refusal> {
        let Some(to) = output.elements else { return refuse("floats in a model of uint8", "") };
        let quant = |zero_point| QuantParams { zero_point, ..to.quant };
        let from_zero = Some(Elements { dtype: DType::I8, quant: quant(-128) });
        let wide = Some(Elements { dtype: DType::I16, quant: quant(0) });
        let bytes = self.table(lookup::identity(), input, from_zero.into())?;
        let numbers = self.push(Op::Activate(Activation::None), &[bytes], wide)?;
        let means = self.push(op, &[numbers], wide)?;
        let bytes = self.push(Op::Activate(Activation::None), &[means], from_zero)?;
        self.table(lookup::identity_within(output.activation, to.quant), bytes, output)
    }

    /// The mean, the sum or the maximum over some axes.
    pub(super) fn reduce(
        &mut self,
        input: NodeId,
        reduction: Reduction,
        axes @ [tall, wide, deep]: [bool; 3],
        output: Output,
    ) -> Result<NodeId, Refusal> {
        if reduction == Reduction::Min {
            return self.least(input, axes, output);
        }
        let Shape { h, w, .. } = self.shape(input);
        let kernel = [if tall { h } else { 1 }, if wide { w } else { 1 }];
        // Rows and columns of which there is one are reduced anyway.
        let all = kernel == [h, w];
        if deep || !all && reduction == Reduction::Mean && self.elements(input).is_some() {
            return self.reduce_any(input, reduction, axes, output);
        }
        let window = Window::global(kernel);
        let pools =
            !all || reduction == Reduction::Max || (reduction == Reduction::Sum && self.elements(input).is_some());
        if pools && !window.is_valid() {
            return refuse(format!("a window of {kernel:?}"), "pool in several steps");
        }
        let is_real = self.elements(input).is_none();
        match reduction {
            Reduction::Max | Reduction::Min => self.pool(input, Pool::Max, window, output),
            Reduction::Mean if all => self.push(Op::Mean, &[input], output),
            Reduction::Sum if all && is_real => {
                let mean = self.push(Op::Mean, &[input], None)?;
                self.scaled(mean, (h * w) as f32)
            }
            Reduction::Mean => self.push(Op::AveragePool(window), &[input], output),
            Reduction::Sum if is_real => {
                let mean = self.push(Op::AveragePool(window), &[input], None)?;
                self.scaled(mean, (kernel[0] * kernel[1]) as f32)
            }
            Reduction::Sum => self.summed(input, window, output),
        }
    }

    /// The least is the greatest in the opposite order.
    fn least(&mut self, input: NodeId, axes: [bool; 3], output: Output) -> Result<NodeId, Refusal> {
        self.demand_alike(input, output)?;
        let Some(to) = output.elements else {
            let negated = self.real(input, Function::negated())?;
            let greatest = self.reduce(negated, Reduction::Max, axes, output)?;
            return self.real(greatest, Function::negated());
        };
        let (mirrored, opposite) = (self.mirrored_order(input, to)?, opposite(to));
        let greatest = self.reduce(mirrored, Reduction::Max, axes, Some(opposite).into())?;
        self.mirrored_order(greatest, opposite)
    }

    /// Sums of integers, rescaled once: a depthwise convolution whose weights are all 1.
    fn summed(&mut self, input: NodeId, window: Window, output: Output) -> Result<NodeId, Refusal> {
        if self.mode() == RoundingMode::Reference {
            return refuse("the operator is not supported", "TensorFlow Lite's desktop kernels give other sums");
        }
        let c = self.shape(input).c as usize;
        let len = (window.taps_len() as usize).saturating_mul(c);
        self.spend(len)?;
        let weights = Numbers::Integers { values: vec![1; len], scales: vec![1.0] };
        let filter = Filter { weights, bias: Bias::Integers(vec![0; c], false) };
        self.weighted(input, filter, output, false, |weights| Op::DepthwiseConv2d { window, weights })
    }

    /// What is reduced becomes the height of a map, and the rest its channels: then it is reduced as height and width are.
    fn reduce_any(
        &mut self,
        input: NodeId,
        reduction: Reduction,
        axes: [bool; 3],
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let Shape { h, w, c } = self.shape(input);
        let extents = [h, w, c];
        let (reduced, kept): (Vec<usize>, Vec<usize>) = (0..3).partition(|&axis| axes[axis]);
        let along = |axes: &[usize]| axes.iter().map(|&axis| extents[axis]).product();
        let mut order = [0; 3];
        order.iter_mut().zip(reduced.iter().chain(&kept)).for_each(|(to, &axis)| *to = axis as u32);
        let mut at = input;
        if order != [0, 1, 2] {
            let turned = Op::Rearrange(Rearrange::Strided(Strided::Transpose(order)));
            at = self.push(turned, &[at], self.elements(at))?;
        }
        at = self.read_as(at, Shape::new(along(&reduced), 1, along(&kept)))?;
        at = self.reduce(at, reduction, [true, true, false], output)?;
        let left = [0, 1, 2].map(|axis| if axes[axis] { 1 } else { extents[axis] });
        self.read_as(at, Shape::new(left[0], left[1], left[2]))
    }
}
