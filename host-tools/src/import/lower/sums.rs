//! Sums that are rounded once, of several maps or along an axis; and squared differences.
//!
//! TensorFlow Lite sums up integers times 2^19, where the roundings of a convolution with weights of 1 would be others. So these are
//! convolutions only where all sums that there can be become the same integers in the end.

use kinglet::quant::requantize;
use kinglet::{Clamp, DType, Multiplier, Rounding, Shape, Window};

use super::super::draft::Draft;
use super::super::problem::{Refusal, refuse};
use super::super::source::{Bias, Elements, Filter, List, Numbers, Operand, Output};
use super::function::unexplained;
use super::{Operands, constant_of};
use crate::graph::{Binary, Function, NodeId, Op};
use crate::quantize::lookup;

/// Bits by which TensorFlow Lite's sums are finer than their elements.
const FINE: u32 = 19;

impl Draft {
    /// The sum of maps of one shape.
    pub(super) fn sum(&mut self, inputs: &[NodeId], output: Output) -> Result<NodeId, Refusal> {
        let [first, rest @ ..] = inputs else { return refuse("it has no input", "the file contradicts itself") };
        let shape @ Shape { h, w, c } = self.shape(*first);
        if rest.iter().any(|&input| self.shape(input) != shape) {
            return refuse("maps of different shapes", "the file contradicts itself");
        }
        let Some(ends @ [from, _]) = super::both(self.elements(*first), output.elements)? else {
            return rest.iter().try_fold(*first, |sum, &input| self.push(Op::Add, &[sum, input], None));
        };
        if rest.iter().any(|&input| self.elements(input).is_none_or(|elements| !elements.same(from))) {
            return refuse("operands of different scales", "TensorFlow Lite Micro demands one scale, too");
        }
        // As rows, one under the other, all of which are under the window.
        let mut rows = Vec::with_capacity(inputs.len());
        for &input in inputs {
            rows.push(self.read_as(input, Shape::new(1, h.saturating_mul(w), c))?);
        }
        let joint = self.concat(&rows, 0, Some(from).into())?;
        let window = Window { kernel: [inputs.len() as u32, 1], stride: [1, 1], before: [0; 2], after: [0; 2] };
        let id = self.sum_under(joint, window, &vec![true; inputs.len()], Some(ends))?;
        self.read_as(id, shape)
    }

    pub(super) fn cumulative_sum(
        &mut self,
        input: NodeId,
        axis: usize,
        exclusive: bool,
        reverse: bool,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let ends = super::both(self.elements(input), output.elements)?;
        let shape @ Shape { h, w, c } = self.shape(input);
        // Channels as columns of one channel.
        let at = if axis == 2 { self.read_as(input, Shape::new(h.saturating_mul(w), c, 1))? } else { input };
        let extent = [h, w, c][axis];
        // All elements up to this one, and zeros before the first.
        let along = |extent: u32, other: u32| if axis == 0 { [extent, other] } else { [other, extent] };
        let [before, after] = if reverse { [0, extent - 1] } else { [extent - 1, 0] };
        let window =
            Window { kernel: along(extent, 1), stride: [1, 1], before: along(before, 0), after: along(after, 0) };
        let mut taps = vec![true; extent as usize];
        if exclusive {
            taps[if reverse { 0 } else { extent as usize - 1 }] = false;
        }
        let id = self.sum_under(at, window, &taps, ends)?;
        self.read_as(id, shape)
    }

    /// The sum of what lies under some taps of a window, of each channel.
    fn sum_under(
        &mut self,
        input: NodeId,
        window: Window,
        taps: &[bool],
        ends: Option<[Elements; 2]>,
    ) -> Result<NodeId, Refusal> {
        let c = self.shape(input).c as usize;
        if window.kernel.iter().any(|&extent| extent > Window::MAX_EXTENT) {
            return refuse("a sum of more numbers than a window has taps", "");
        }
        self.spend(taps.len().saturating_mul(c).saturating_mul(4))?;
        let weights = taps.iter().flat_map(|&tap| std::iter::repeat_n(i8::from(tap), c));
        let Some(ends) = ends else {
            let weights = Numbers::Reals(weights.map(f32::from).collect());
            let filter = Filter { weights, bias: Bias::Reals(vec![0.0; c]) };
            return self.push(Op::DepthwiseConv2d { window, weights: filter }, &[input], None);
        };
        // TensorFlow Lite Micro means to begin with zero, but with the integer 0 less its zero point.
        let start = -ends[0].quant.zero_point;
        if !is_exact(ends, taps.len() as i32, start, self.rounding(false)) {
            return refuse("a sum of these scales that no convolution rounds alike", "give input and output one scale");
        }
        let weights = Numbers::Integers { values: weights.collect(), scales: vec![1.0] };
        let filter = Filter { weights, bias: Bias::Integers(vec![start.into(); c], false) };
        let op = Op::DepthwiseConv2d { window, weights: filter };
        self.push_rounded(op, &[input], Some(ends[1]).into(), Rounding::Single)
    }

    pub(super) fn squared_difference(&mut self, inputs: Vec<Operand>, output: Output) -> Result<NodeId, Refusal> {
        if output.elements.is_none() {
            let difference = self.arithmetic(Binary::Sub, inputs, output)?;
            return self.real(difference, Function::X * Function::X);
        }
        const HINT: &str = "leave it in floats, or import the float model with calibration images";
        let Operands::Constant(input, List::Integers(data, constant), _) = constant_of(inputs)? else {
            return refuse("squares of the difference of two activations", HINT);
        };
        let (Some([from, to]), [value]) = (super::both(self.elements(input), output.elements)?, &data[..]) else {
            return refuse("squares of the difference to more than one number", HINT);
        };
        if [from.dtype, constant.dtype, to.dtype] != [DType::I8; 3] {
            return refuse("its operands are not int8", HINT);
        }
        let quants = [from.quant, constant.quant, to.quant];
        let table = lookup::squared_difference(quants, *value as i8, self.rounding(false));
        self.table(table.map_err(unexplained)?, input, output)
    }
}

/// Whether all sums of `count` elements and `start` become the same integers as TensorFlow Lite makes of them. Where those do not fit
/// 32 bits, it is not defined what they are.
fn is_exact([from, to]: [Elements; 2], count: i32, start: i32, rounding: Rounding) -> bool {
    if [from.dtype, to.dtype] != [DType::I8; 2] {
        return false;
    }
    let ratio = f64::from(from.quant.scale) / f64::from(to.quant.scale);
    let factors = (Multiplier::from_real(ratio), Multiplier::from_real(ratio / f64::from(1 << FINE)));
    let (Some(ours), Some(theirs)) = factors else { return false };
    let bound = |element: i32| count.saturating_mul(element - from.quant.zero_point).saturating_add(start);
    let sums = bound(-128).max(i32::MIN >> FINE)..=bound(127).min(i32::MAX >> FINE);
    let output = |sum: i32, factor, rounding| {
        Clamp::full(DType::I8).apply(requantize(sum, factor, rounding).wrapping_add(to.quant.zero_point))
    };
    ours.is_valid()
        && theirs.is_valid()
        && sums.into_iter().all(|sum| output(sum, ours, Rounding::Single) == output(sum << FINE, theirs, rounding))
}
