//! Operators that only move elements: concatenation, parts, padding, and other shapes.

use kinglet::{DType, Shape, Window};

use super::super::draft::Draft;
use super::super::mirror::{Mirror, line};
use super::super::problem::{Refusal, refuse};
use super::super::source::{Curve, Elements, Output, Part};
use crate::graph::{NodeId, Op, Rearrange};
use crate::quantize::lookup;

/// Most rows or columns that are picked one by one.
const MAX_PICKED: usize = 32;

impl Draft {
    pub(super) fn concat(&mut self, parts: &[NodeId], axis: usize, output: Output) -> Result<NodeId, Refusal> {
        let mut inputs = Vec::with_capacity(parts.len());
        for &part in parts {
            let rescaled = match super::both(self.elements(part), output.elements)? {
                Some([from, to]) if !from.same(to) && self.unsigned => {
                    self.table(lookup::joined(from.quant, to.quant), part, output)?
                }
                Some([from, to]) if !from.same(to) => self.function(part, &Curve::Same, output.elements.into())?,
                _ => part,
            };
            inputs.push(rescaled);
        }
        match inputs[..] {
            [] => return refuse("it has no input", "the file contradicts itself"),
            [only] if output.elements.is_none() => return Ok(only),
            _ if axis == 2 => return self.push(Op::Concat, &inputs, output),
            _ => {}
        }
        // Rows are channels of maps that are read as one pixel, columns of maps that are read as one column.
        let extents = |shape: Shape| [shape.h, shape.w, shape.c];
        let mut joint = extents(self.shape(inputs[0]));
        joint[axis] = 0;
        for input in &mut inputs {
            let shape = self.shape(*input);
            let part = extents(shape);
            joint[axis] = joint[axis].saturating_add(part[axis]);
            if (0..3).any(|other| other != axis && part[other] != joint[other]) {
                return refuse("parts of different sizes", "the file contradicts itself");
            }
            *input = self.read_as(*input, line(shape, axis))?;
        }
        let [h, w, c] = joint;
        let joined = self.push(Op::Concat, &inputs, output)?;
        self.read_as(joined, Shape::new(h, w, c))
    }

    /// The elements in their order under another shape, and another scale if the file says so: only the label changes then,
    /// as in TensorFlow Lite, and the bytes stay.
    pub(super) fn reshape(&mut self, input: NodeId, shape: Shape, output: Output) -> Result<NodeId, Refusal> {
        let from = self.shape(input);
        if from.len() != shape.len() {
            return refuse(
                format!("{} elements become {}", from.len(), shape.len()),
                "a shape computed at run time is not supported",
            );
        }
        let input = match super::both(self.elements(input), output.elements)? {
            Some([from, to]) if !from.same(to) => {
                if [from.dtype, to.dtype] != [DType::I8; 2] {
                    return refuse("input and output have different scales", "");
                }
                self.table(lookup::identity(), input, output)?
            }
            _ => input,
        };
        self.read_as(input, shape)
    }

    /// A part of the channels by a convolution with weights 0 and 1, of rows and columns by a depthwise one.
    pub(super) fn part(
        &mut self,
        input: NodeId,
        [first, count, step]: Part,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        self.demand_alike(input, output)?;
        let Shape { h, w, c } = self.shape(input);
        let inside = |axis: usize| {
            let last = u64::from(first[axis]) + u64::from(count[axis].max(1) - 1) * u64::from(step[axis]);
            count[axis] > 0 && step[axis] > 0 && last < u64::from([h, w, c][axis])
        };
        if !(0..3).all(inside) {
            return refuse("a part that is empty or leaves its input", "the file contradicts itself");
        }
        let mut at = input;
        if count[2] != c {
            let picked: Vec<_> = (0..count[2]).map(|channel| Some(first[2] + channel * step[2])).collect();
            at = self.channels(at, &picked)?;
        }
        if [count[0], count[1]] != [h, w] {
            // One tap: the kernel is as large as what the output lacks.
            let kernel = [0, 1].map(|axis| [h, w][axis] - (count[axis] - 1) * step[axis]);
            let window = Window { kernel, stride: [step[0], step[1]], before: [0; 2], after: [0; 2] };
            at = self.taken(at, window, &[first[0] * kernel[1] + first[1]])?;
        }
        Ok(at)
    }

    /// Rows (0), columns (1) or channels (2) by their numbers.
    pub(super) fn pick(&mut self, input: NodeId, axis: usize, picked: &[u32]) -> Result<NodeId, Refusal> {
        let Shape { h, w, c } = self.shape(input);
        let (extents, same) = ([h, w, c], self.elements(input).into());
        if picked.is_empty() || picked.iter().any(|&at| at >= extents[axis]) {
            return refuse("no elements, or some that there are none of", "the file contradicts itself");
        }
        if picked.iter().copied().eq(0..extents[axis]) {
            return Ok(input);
        }
        let part = |first: u32, count: usize, step: u32| {
            let mut part = [[0; 3], extents, [1; 3]];
            [part[0][axis], part[1][axis], part[2][axis]] = [first, count as u32, step];
            part
        };
        let step = picked.get(1).map_or(Some(1), |second| second.checked_sub(picked[0])).filter(|&step| step > 0);
        let even = |step: u32| picked.iter().zip(0..).all(|(&at, number)| at == picked[0] + number * step);
        match step {
            Some(step) if even(step) => self.part(input, part(picked[0], picked.len(), step), same),
            _ if axis == 2 => self.channels(input, &picked.iter().copied().map(Some).collect::<Vec<_>>()),
            _ if picked.len() <= MAX_PICKED => {
                let parts = picked.iter().map(|&at| self.part(input, part(at, 1, 1), same));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                self.concat(&parts, axis, same)
            }
            _ => refuse(
                format!("more than {MAX_PICKED} rows or columns, not at even distances"),
                "each of them takes an operator",
            ),
        }
    }

    /// Rows, columns and channels, those of them that are so marked, in the opposite order.
    pub(in super::super) fn backward(&mut self, input: NodeId, axes: [bool; 3]) -> Result<NodeId, Refusal> {
        let mut at = input;
        for axis in (0..3).filter(|&axis| axes[axis]) {
            let Shape { h, w, c } = self.shape(at);
            at = self.pick(at, axis, &(0..[h, w, c][axis]).rev().collect::<Vec<_>>())?;
        }
        Ok(at)
    }

    /// Elements in other places; padding with nothing is none.
    pub(super) fn rearrange(&mut self, input: NodeId, rearrange: Rearrange, output: Output) -> Result<NodeId, Refusal> {
        self.demand_alike(input, output)?;
        match rearrange {
            Rearrange::Pad { before: [0, 0, 0], after: [0, 0, 0], .. } => Ok(input),
            _ => self.push(Op::Rearrange(rearrange), &[input], output),
        }
    }

    /// Rows and columns repeated around the map. No operator copies rows, but a row is a part, and parts are joined along the
    /// channels: of a map that is read as one pixel, or, for columns, as one column.
    pub(super) fn mirrored(
        &mut self,
        input: NodeId,
        mirror: Mirror,
        before: [u32; 2],
        after: [u32; 2],
        output: Output,
    ) -> Result<NodeId, Refusal> {
        self.demand_alike(input, output)?;
        let mut at = input;
        for axis in [0, 1] {
            let shape = self.shape(at);
            let Shape { h, w, c } = shape;
            let [first, last] = mirror.repeated([h, w][axis], before[axis], after[axis])?;
            let added = (first.len() + last.len()) as u32;
            if added == 0 {
                continue;
            }
            let mut parts = Vec::new();
            for place in first {
                parts.push(self.one(at, axis, place)?);
            }
            parts.push(self.read_as(at, line(shape, axis))?);
            for place in last {
                parts.push(self.one(at, axis, place)?);
            }
            let joint = self.push(Op::Concat, &parts, self.elements(at))?;
            let to = if axis == 0 { Shape::new(h + added, w, c) } else { Shape::new(h, w + added, c) };
            at = self.read_as(joint, to)?;
        }
        Ok(at)
    }

    /// One row or column as one line: a window as high or wide as the map, all of whose taps but one are 0.
    fn one(&mut self, input: NodeId, axis: usize, place: u32) -> Result<NodeId, Refusal> {
        let Shape { h, w, .. } = self.shape(input);
        let kernel = if axis == 0 { [h, 1] } else { [1, w] };
        let window = Window { kernel, stride: [1, 1], before: [0; 2], after: [0; 2] };
        let part = self.taken(input, window, &[place])?;
        self.read_as(part, line(self.shape(part), axis))
    }

    /// Integers with another scale or type; the same if they have it.
    pub(in super::super) fn rescaled(&mut self, input: NodeId, to: Elements) -> Result<NodeId, Refusal> {
        match self.elements(input) {
            Some(from) if from.same(to) => Ok(input),
            _ => self.function(input, &Curve::Same, Some(to).into()),
        }
    }
}
