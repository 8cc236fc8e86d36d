//! SLICE, STRIDED_SLICE, SPLIT and SPLIT_V of activations, as convolutions with weights 0 and 1: there is no operator that
//! only selects, and a factor of exactly 1 changes no element.

use kinglet::{Activation, Rounding, Shape, Window};

use super::lower::Lowering;
use super::names as op;
use super::options::damaged;
use super::schema::{Model, Operator};
use crate::graph::{Op, StoredWeights};
use crate::import::problem::{Refusal, refuse};
use crate::network::{TensorId, TensorInfo};

/// First element, number of elements, step along height, width, channels.
pub(super) type Part = [[u32; 3]; 3];

impl Lowering<'_, '_> {
    /// The operator's only output is a part of its input.
    pub(super) fn slice(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        self.part(o, 0, input, slice_part(self.model, o)?)
    }

    /// Each of the operator's outputs is a part of its input.
    pub(super) fn split(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, usize::from(o.code == op::SPLIT))?;
        if o.outputs().count() == 1 {
            return self.relabel(o, input);
        }
        for (index, part) in split_parts(self.model, o, self.info(input).shape)?.into_iter().enumerate() {
            self.part(o, index, input, part)?;
        }
        Ok(())
    }

    /// Output `index` of the operator is `part` of `input`.
    fn part(&mut self, o: &Operator<'_>, index: usize, input: TensorId, part: Part) -> Result<(), Refusal> {
        let from = self.info(input).clone();
        let output = self.result_at(o, index)?;
        let to = self.info(output).clone();
        let [first, count, step] = part;
        let extents = [from.shape.h, from.shape.w, from.shape.c];
        let inside = |axis: usize| {
            let last = u64::from(first[axis]) + u64::from(count[axis].max(1) - 1) * u64::from(step[axis]);
            count[axis] > 0 && step[axis] > 0 && last < u64::from(extents[axis])
        };
        let [h, w, c] = count;
        if !(0..3).all(inside) || to.shape != Shape::new(h, w, c) {
            return refuse("a slice that leaves its input, or is not what its output's shape says", "");
        }
        if !from.quant.same(to.quant) || from.dtype != to.dtype {
            return refuse("input and output have different scales", "");
        }
        let crops = [h, w] != [from.shape.h, from.shape.w];
        let mut at = input;
        if c != from.shape.c || !crops {
            let shape = Shape::new(from.shape.h, from.shape.w, c);
            let target = if crops { self.intermediate(TensorInfo { shape, ..to.clone() }) } else { output };
            self.channels((0..c).map(|channel| first[2] + channel * step[2]), at, target)?;
            at = target;
        }
        if crops {
            // One tap: the kernel is as large as what the output lacks.
            let kernel = [0, 1].map(|axis| extents[axis] - (count[axis] - 1) * step[axis]);
            let taps = u64::from(kernel[0]) * u64::from(kernel[1]) * u64::from(c);
            if kernel.iter().any(|&k| k > Window::MAX_EXTENT) || taps > u64::from(Shape::MAX_LEN) {
                return refuse("a slice that drops too much", "crop the image before inference");
            }
            self.spend(taps as usize)?;
            let mut weights = vec![0; taps as usize];
            let tap = ((first[0] * kernel[1] + first[1]) * c) as usize;
            weights[tap..tap + c as usize].fill(1);
            let window = Window { kernel, stride: [step[0], step[1]], before: [0; 2], after: [0; 2] };
            self.taken(window, weights, at, output);
        }
        Ok(())
    }

    /// Makes `target` of elements of `input` as they are: those under the taps that are 1.
    pub(super) fn taken(&mut self, window: Window, weights: Vec<i8>, input: TensorId, target: TensorId) {
        let bias = vec![0; self.info(input).shape.c as usize];
        let weights = StoredWeights::Int8 { weights, scales: vec![1.0], bias };
        let op = Op::DepthwiseConv2d { window, weights };
        self.push_rounded(op, Activation::None, vec![input], target, Rounding::Double);
    }

    /// Makes `target` of channels of `input` by their numbers, all of them within it, each as often as it is named.
    pub(super) fn channels(
        &mut self,
        picked: impl ExactSizeIterator<Item = u32>,
        input: TensorId,
        target: TensorId,
    ) -> Result<(), Refusal> {
        let (from, to) = (self.info(input).shape.c as usize, picked.len());
        self.spend(from.saturating_mul(to))?;
        let mut weights = vec![0; from * to];
        for (channel, picked) in picked.enumerate() {
            weights[channel * from + picked as usize] = 1;
        }
        let weights = StoredWeights::Int8 { weights, scales: vec![1.0], bias: vec![0; to] };
        let op = Op::Conv2d { window: Window::global([1, 1]), weights };
        self.push_rounded(op, Activation::None, vec![input], target, Rounding::Double);
        Ok(())
    }
}

/// The part of its input that a SLICE or STRIDED_SLICE gives.
pub(super) fn slice_part(model: &Model<'_>, o: &Operator<'_>) -> Result<Part, Refusal> {
    let list = |at| o.input(at).and_then(|i| model.tensors[i].integers(4));
    let dims = o.input(0).map_or_else(Vec::new, |i| model.tensors[i].dims.clone());
    let whole = |dim: i32| i64::from(dim.max(1));
    let (Some(begin), Some(second)) = (list(1), list(2)) else {
        return refuse("its bounds are not constant", "only constant slices are supported");
    };
    if begin.len() != dims.len() || second.len() != dims.len() {
        return refuse("its bounds are not as many as its input has dimensions", "the file contradicts itself");
    }
    let (mut first, mut count, mut step) = (vec![], vec![], vec![]);
    if o.code == op::SLICE {
        for ((&begin, &size), &dim) in begin.iter().zip(&second).zip(&dims) {
            first.push(begin);
            count.push(if size == -1 { whole(dim) - begin } else { size });
            step.push(1);
        }
    } else {
        let (Some(strides), Some(options)) = (list(3), o.options) else {
            return refuse("its strides are not constant", "only constant slices are supported");
        };
        let mask = |at| options.i32(at, 0).map_err(damaged);
        let (begins, ends) = (mask(0)?, mask(1)?);
        if [2, 3, 4].into_iter().map(mask).collect::<Result<Vec<_>, _>>()? != [0; 3] || strides.len() != dims.len() {
            return refuse("it adds or drops dimensions", "slice without new axes, ellipses or single indices");
        }
        for (axis, &dim) in dims.iter().enumerate() {
            let from_end = |at: i64| if at < 0 { at + whole(dim) } else { at }.clamp(0, whole(dim));
            let begin = if begins & 1 << axis != 0 { 0 } else { from_end(begin[axis]) };
            let end = if ends & 1 << axis != 0 { whole(dim) } else { from_end(second[axis]) };
            let stride = strides[axis].max(0);
            first.push(begin);
            count.push(if stride == 0 { 0 } else { (end - begin + stride - 1) / stride });
            step.push(stride);
        }
    }
    Ok([spatial(&first, 0)?, spatial(&count, 1)?, spatial(&step, 1)?])
}

/// The parts of its input, of this shape, that are the outputs of a SPLIT or SPLIT_V.
pub(super) fn split_parts(model: &Model<'_>, o: &Operator<'_>, input: Shape) -> Result<Vec<Part>, Refusal> {
    if o.outputs().count() == 1 {
        return Ok(vec![[[0; 3], [input.h, input.w, input.c], [1; 3]]]);
    }
    let (value, axis) = if o.code == op::SPLIT { (1, 0) } else { (0, 2) };
    let rank = o.input(value).map_or(0, |i| model.tensors[i].dims.len()) as i64;
    let Some(&[axis]) = o.input(axis).and_then(|i| model.tensors[i].integers(1)).as_deref() else {
        return refuse("its axis is not constant", "");
    };
    let from_last = (rank - 1 - if axis < 0 { axis + rank } else { axis }) as usize;
    if from_last >= 3 || rank < 2 || from_last as i64 == rank - 1 {
        return refuse(format!("a split along axis {axis} of {rank}"), "");
    }
    let along = 2 - from_last;
    let mut start = 0;
    let part = |output: usize| {
        let Shape { h, w, c } = super::lower::shape(&model.tensors[output])?;
        let (mut first, mut count) = ([0; 3], [input.h, input.w, input.c]);
        (first[along], count[along]) = (start, [h, w, c][along]);
        start = u32::saturating_add(start, count[along]);
        Ok([first, count, [1; 3]])
    };
    o.outputs().map(part).collect()
}

/// Height, width and channels of a list for all dimensions, of which the first, the batch, is whole; `neutral` for those
/// that are missing.
fn spatial(list: &[i64], neutral: u32) -> Result<[u32; 3], Refusal> {
    let mut found = [neutral; 3];
    for (at, &value) in list.iter().skip(1).rev().enumerate() {
        match (u32::try_from(value).ok().filter(|&v| v <= Shape::MAX_DIM), 2usize.checked_sub(at)) {
            (Some(value), Some(axis)) => found[axis] = value,
            _ => return refuse(format!("a bound of {value}"), ""),
        }
    }
    match list.first() {
        Some(0 | 1) if list.len() >= 2 => Ok(found),
        _ => refuse("a slice of the batch", "the first dimension is the batch"),
    }
}
