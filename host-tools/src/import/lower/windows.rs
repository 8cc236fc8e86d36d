//! Convolutions: filters over windows, dilated and in groups; and padding that a window can do by itself.

use kinglet::{DType, Multiplier, Rounding, Shape, Window};

use super::super::RoundingMode;
use super::super::draft::Draft;
use super::super::problem::{Refusal, refuse};
use super::super::source::{Bias, Filter, Numbers, Output};
use crate::graph::{NodeId, Op, Rearrange};

impl Draft {
    /// A convolution. What the runtime has no operator for becomes weights of zero, which add exactly nothing: groups and
    /// dilation.
    pub(super) fn conv(
        &mut self,
        input: NodeId,
        window: Window,
        dilation: [u32; 2],
        groups: u32,
        filter: Filter,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let (input, window) = self.without_padding(input, window, false);
        let (c, outputs) = (self.shape(input).c, filter.bias.len() as u32);
        if groups == 0 || !c.is_multiple_of(groups) || outputs == 0 || !outputs.is_multiple_of(groups) {
            return refuse(
                format!("{groups} groups of {c} channels, which make {outputs}"),
                "the file contradicts itself",
            );
        }
        let taps = Taps { window: window.kernel, dilation, inputs: c, outputs, groups };
        let filter = self.spread(filter, taps)?;
        let (input, window) = self.inside(input, window)?;
        self.weighted(input, filter, output, false, |weights| Op::Conv2d { window, weights })
    }

    pub(super) fn depthwise(
        &mut self,
        input: NodeId,
        window: Window,
        dilation: [u32; 2],
        filter: Filter,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let (input, window) = self.without_padding(input, window, false);
        let (c, outputs) = (self.shape(input).c, filter.bias.len() as u32);
        if outputs == 0 || !outputs.is_multiple_of(c) {
            return refuse(format!("a filter of {outputs} channels for {c}"), "the file contradicts itself");
        }
        // As filters over one channel of one output each, `[kernel row][kernel column][out]` at once.
        let taps = Taps { window: window.kernel, dilation, inputs: outputs, outputs: 1, groups: 1 };
        let filter = self.spread(filter, taps)?;
        let (input, window) = self.inside(input, window)?;
        self.weighted(input, filter, output, false, |weights| Op::DepthwiseConv2d { window, weights })
    }

    /// The filter with zeros where its dilated window has no tap, and for the channels of other groups.
    fn spread(&mut self, mut filter: Filter, taps: Taps) -> Result<Filter, Refusal> {
        if taps.given() != Some(filter.weights.len()) {
            return refuse(
                format!("{} weights for a window of {:?}", filter.weights.len(), taps.window),
                "the file contradicts itself",
            );
        }
        if taps.dilation == [1, 1] && taps.groups == 1 {
            return Ok(filter);
        }
        let Some(len) = taps.len().filter(|&len| len <= Shape::MAX_LEN as usize) else {
            return refuse("weights larger than the format allows", "");
        };
        self.spend(len)?;
        filter.weights = match filter.weights {
            Numbers::Reals(reals) => Numbers::Reals(taps.spread(&reals, len)),
            Numbers::Integers { values, scales } => Numbers::Integers { values: taps.spread(&values, len), scales },
            Numbers::Unsigned { values, scale } => Numbers::Unsigned { values: taps.spread(&values, len), scale },
        };
        Ok(filter)
    }

    /// Adds a node with weights, which are checked; `dense` is whether it is rounded as a dense layer.
    pub(super) fn weighted(
        &mut self,
        input: NodeId,
        mut filter: Filter,
        output: Output,
        dense: bool,
        op: impl FnOnce(Filter) -> Op<super::super::draft::Given>,
    ) -> Result<NodeId, Refusal> {
        let Some([from, to]) = super::both(self.elements(input), output.elements)? else {
            return self.push(op(filter), &[input], output);
        };
        let (Some(scales), Bias::Integers(bias, long)) = (filter.weights.scales(), &filter.bias) else {
            return refuse("weights in floats", "convert the model with full integer quantization (int8)");
        };
        // Sums of int16 activations have 64 bits, unless the bias has 32; but the desktop's fully connected layer rounds the
        // whole product once, also there.
        let whole = self.mode() == RoundingMode::Reference && dense;
        let wide = *long && from.dtype == DType::I16 && !whole;
        let rounding = if wide { Rounding::Wide } else { self.rounding(dense) };
        // Factors of 64-bit sums are below 2^7.
        let most = if wide { 7 } else { 30 };
        let factor = |scale: f32| {
            Multiplier::from_real(f64::from(from.quant.scale) * f64::from(scale) / f64::from(to.quant.scale))
        };
        if !scales.iter().all(|&scale| factor(scale).is_some_and(|factor| factor.shift <= most)) {
            return refuse("scales whose ratio is out of range", "");
        }
        filter.bias = Bias::Integers(bias.clone(), wide);
        self.push_rounded(op(filter), &[input], output, rounding)
    }

    /// What lies before padding that `window` can do by itself with the same result, and the window that does: a convolution
    /// skips taps outside the image, which is what a zero contributes; a maximum skips them too, which is what the lowest
    /// value contributes.
    pub(super) fn without_padding(&self, input: NodeId, window: Window, lowest: bool) -> (NodeId, Window) {
        let node = self.node(input);
        let Op::Rearrange(Rearrange::Pad { before: [top, left, 0], after: [bottom, right, 0], value }) = node.op else {
            return (input, window);
        };
        let neutral = match self.elements(input) {
            Some(elements) if lowest => value == elements.quant.dequantize(elements.dtype.min()),
            _ => !lowest && value == 0.0,
        };
        let [before, after] = [[top, left], [bottom, right]];
        let smaller = (0..2).all(|axis| before[axis].max(after[axis]) < window.kernel[axis]);
        if neutral && smaller && !window.is_padded() {
            return (node.inputs[0], Window { before, after, ..window });
        }
        (input, window)
    }

    /// The input and a window that always has some of the map under it, as the runtime's have: zeros around the map else.
    pub(super) fn inside(&mut self, input: NodeId, window: Window) -> Result<(NodeId, Window), Refusal> {
        if window.is_valid() {
            return Ok((input, window));
        }
        self.padded(input, window, [0; 2])
    }

    /// Zeros around a map, and the window without them: all of its padding but the `rest` at the end.
    pub(super) fn padded(
        &mut self,
        input: NodeId,
        window: Window,
        rest: [u32; 2],
    ) -> Result<(NodeId, Window), Refusal> {
        let after = [0, 1].map(|axis| window.after[axis].saturating_sub(rest[axis]));
        let [before, after] = [window.before, after].map(|[h, w]| [h, w, 0]);
        let pad = Rearrange::Pad { before, after, value: 0.0 };
        let id = self.push(Op::Rearrange(pad), &[input], self.elements(input))?;
        Ok((id, Window { before: [0; 2], after: rest, ..window }))
    }
}

/// A filter's taps and what they are spread over.
#[derive(Clone, Copy)]
struct Taps {
    /// Height and width of the dilated window.
    window: [u32; 2],
    dilation: [u32; 2],
    inputs: u32,
    outputs: u32,
    groups: u32,
}

impl Taps {
    /// Rows and columns of taps.
    fn kernel(self) -> [usize; 2] {
        [0, 1].map(|axis| (self.window[axis] as usize - 1) / self.dilation[axis] as usize + 1)
    }

    fn product(factors: [usize; 4]) -> Option<usize> {
        factors.into_iter().try_fold(1usize, usize::checked_mul)
    }

    /// How many weights the file gives.
    fn given(self) -> Option<usize> {
        if self.window.contains(&0) || self.dilation.contains(&0) || self.groups == 0 {
            return None;
        }
        let [kh, kw] = self.kernel();
        Self::product([self.outputs as usize, kh, kw, (self.inputs / self.groups) as usize])
    }

    /// How many there are with zeros in between.
    fn len(self) -> Option<usize> {
        let [height, width] = self.window.map(|extent| extent as usize);
        Self::product([self.outputs as usize, height, width, self.inputs as usize])
    }

    /// Weights `[output][window row][window column][input]` of `[output][kernel row][kernel column][input of the group]`.
    fn spread<T: Copy + Default>(self, data: &[T], len: usize) -> Vec<T> {
        let [kh, kw] = self.kernel();
        let [height, width] = self.window.map(|extent| extent as usize);
        let [dy, dx] = self.dilation.map(|step| step as usize);
        let (inputs, each) = (self.inputs as usize, (self.inputs / self.groups) as usize);
        let outputs = (self.outputs / self.groups).max(1) as usize;
        let mut spread = vec![T::default(); len];
        for (at, run) in data.chunks_exact(each).enumerate() {
            let (x, y, o) = (at % kw * dx, at / kw % kh * dy, at / kw / kh);
            let start = ((o * height + y) * width + x) * inputs + o / outputs * each;
            spread[start..start + each].copy_from_slice(run);
        }
        spread
    }
}
