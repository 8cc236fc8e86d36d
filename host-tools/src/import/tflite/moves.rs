//! Operators that only move elements, and those that take others between them.

use kinglet::ops::{ResizeBilinear, ResizeNearest};
use kinglet::{Activation, Shape};

use super::dims::{place, shape};
use super::names as op;
use super::operators::{activation, damaged};
use super::read::{Reader, State};
use super::schema::{Model, Operator};
use crate::graph::{NodeId, Rearrange, Strided};
use crate::import::mirror::Mirror;
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{FileNode, List, Operator as Neutral, Part};

/// Most rows or columns that GATHER picks one by one: each takes an operator.
const MAX_PICKED: usize = 32;

impl Reader<'_, '_> {
    pub(super) fn concat(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let Some(options) = o.options else { return refuse("its options are missing", "") };
        let activation = activation(options.i8(1, 0).map_err(damaged)?)?;
        if activation != Activation::None {
            return refuse("a fused activation", "TensorFlow Lite Micro refuses it too");
        }
        let axis = options.i32(0, 0).map_err(damaged)?;
        let dims = o.output(0).map_or(&[][..], |t| &self.model.tensors[t].dims);
        let Some(along) = place(dims, axis.into()) else {
            return refuse(format!("concatenation along axis {axis} of {dims:?}"), "the first dimension is the batch");
        };
        let parts = (0..o.input_count()).map(|index| self.operand(o, index)).collect::<Result<Vec<_>, _>>()?;
        self.lower(o, Neutral::Concat(along), &parts)
    }

    pub(super) fn reshape(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        if self.regroup(o)? {
            return Ok(());
        }
        let (input, to) = (self.operand(o, 0)?, self.shape(o)?);
        self.lower(o, Neutral::Reshape(to), &[input])
    }

    /// A RESHAPE that parts channels into groups, or joins groups again, as ShuffleNet has it; whether it was one.
    pub(super) fn regroup(&mut self, o: &Operator<'_>) -> Result<bool, Refusal> {
        let (Some(from), Some(to)) = (o.input(0), o.output(0)) else { return Ok(false) };
        let (before, after) = (&self.model.tensors[from], &self.model.tensors[to]);
        let parted = match (&before.dims[..], &after.dims[..]) {
            (&[_, h, w, c], &[_, rows, columns, groups, each]) => {
                groups > 0 && each > 0 && [h, w] == [rows, columns] && groups.checked_mul(each) == Some(c)
            }
            _ => false,
        };
        let id = match self.states[from] {
            State::Groups(id) => id,
            _ if parted => self.value(from)?,
            _ => return Ok(false),
        };
        if !self.is_float && self.draft.elements(id).is_some_and(|is| !self.elements(to).is_ok_and(|to| to == Some(is)))
        {
            return refuse("input and output have different scales", "");
        }
        if parted {
            self.states[to] = State::Groups(id);
        } else if shape(after)? == self.draft.shape(id) {
            self.set(o, 0, id)?;
        } else {
            return refuse("groups of channels that become something else", "");
        }
        Ok(true)
    }

    pub(super) fn transpose(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(from), Some(to), Some(permutation)) =
            (o.input(0), o.output(0), o.input(1).and_then(|i| self.model.tensors[i].integers(8)))
        else {
            return refuse("its permutation is not constant", "");
        };
        let dims = &self.model.tensors[from].dims;
        if let (State::Groups(id), &[_, _, _, groups, each]) = (&self.states[from], &dims[..]) {
            // Channel shuffle.
            let turned = self.model.tensors[to].dims.get(3..) == Some(&[each, groups]);
            if permutation != [0, 1, 2, 4, 3] || !turned {
                return refuse(
                    format!("a permutation {permutation:?} of groups of channels"),
                    "groups and their channels may change places, nothing else",
                );
            }
            let [groups, each] = [groups, each].map(|count| count.max(1).unsigned_abs());
            let picked = (0..groups * each).map(|at| Some(at % groups * each + at / groups)).collect();
            let elements = self.draft.elements(*id);
            let node = FileNode::new(Neutral::Channels(picked), &[*id], elements.into());
            self.states[to] = State::Groups(self.draft.lower(node)?);
            return Ok(());
        }
        let moves =
            |&at: &i64| usize::try_from(at).ok().and_then(|at| dims.get(at)).is_some_and(|&d| d != 1 && d != -1);
        let moved: Vec<i64> = permutation.iter().copied().filter(moves).collect();
        if moved.is_sorted() && permutation.len() == dims.len() {
            return self.reshape(o);
        }
        // A channels-first model that was converted as it is: we take its input channels-last.
        if permutation == [0, 2, 3, 1] && self.model.inputs.contains(&from) && self.readers[from] == 1 && !self.is_float
        {
            let (to, elements) = (self.shape(o)?, self.elements(to)?);
            let id = self.draft.input(to, elements);
            self.states[from] = State::Value(id);
            self.draft.note("the input is height x width x channels here, and channels x height x width in the model: --layout nchw for such arrays");
            return self.set(o, 0, id);
        }
        let Some(axes) = turned(dims, &self.model.tensors[to].dims, &permutation) else {
            return refuse(
                format!("a permutation {permutation:?} of {dims:?}"),
                "only height, width and channels of one image may change places",
            );
        };
        let input = self.operand(o, 0)?;
        self.lower(o, Neutral::Rearrange(Rearrange::Strided(Strided::Transpose(axes))), &[input])
    }

    /// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.
    pub(super) fn resize(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, Some(options)) = (self.map(o, 0)?, o.options) else {
            return refuse("its options are missing", "");
        };
        let size = o.input(1).and_then(|i| self.model.tensors[i].integers(2)).unwrap_or_default();
        let size: Vec<u32> = size.iter().filter_map(|&extent| u32::try_from(extent).ok()).collect();
        let &[h, w] = &size[..] else { return refuse("its size is not a constant height and width", "") };
        // The other operator's table of options still has two fields that nobody writes any more.
        let first = if o.code == op::RESIZE_BILINEAR { 2 } else { 0 };
        let [align_corners, half_pixel_centers] =
            [options.bool(first).map_err(damaged)?, options.bool(first + 1).map_err(damaged)?];
        if o.code == op::RESIZE_NEAREST_NEIGHBOR {
            let resize = ResizeNearest { size: [h, w], align_corners, half_pixel_centers };
            return self.lower(o, Neutral::Rearrange(Rearrange::ResizeNearest(resize)), &[input]);
        }
        if align_corners && half_pixel_centers {
            return refuse("both corners and centers are aligned", "TensorFlow Lite refuses it too");
        }
        let resize = ResizeBilinear::new(self.draft.shape(input), [h, w], align_corners, half_pixel_centers);
        let Some(resize) = resize else { return refuse("a map that becomes thousands of times smaller", "") };
        self.lower(o, Neutral::ResizeBilinear(resize), &[input])
    }

    /// SPLIT and SPLIT_V: each of the operator's outputs is a part of its input.
    pub(super) fn split(&mut self, o: &Operator<'_>, value: usize, axis: usize) -> Result<(), Refusal> {
        let input = self.operand(o, value)?;
        if o.outputs().count() == 1 {
            let to = self.shape(o)?;
            return self.lower(o, Neutral::Reshape(to), &[input]);
        }
        let from = self.draft.shape(input);
        let dims = o.input(value).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let Some(&[axis]) = o.input(axis).and_then(|i| self.model.tensors[i].integers(1)).as_deref() else {
            return refuse("its axis is not constant", "");
        };
        let Some(along) = place(dims, axis) else {
            return refuse(format!("a split along axis {axis} of {dims:?}"), "the first dimension is the batch");
        };
        let mut start = 0;
        for (index, output) in o.outputs().enumerate() {
            let Shape { h, w, c } = shape(&self.model.tensors[output])?;
            let (mut first, mut count) = ([0; 3], [from.h, from.w, from.c]);
            (first[along], count[along]) = (start, [h, w, c][along]);
            start = u32::saturating_add(start, count[along]);
            let part = Neutral::Part([first, count, [1; 3]]);
            let node = FileNode::new(part, &[input], self.elements(output)?.into());
            let id = self.draft.lower(node)?;
            self.set(o, index, id)?;
        }
        Ok(())
    }

    /// PACK: the inputs along an axis of their own.
    pub(super) fn pack(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (Some(options), Some(to)) = (o.options, o.output(0)) else { return refuse("its options are missing", "") };
        if o.input_count() == 1 {
            return self.reshape(o);
        }
        let (axis, dims) = (options.i32(1, 0).map_err(damaged)?, &self.model.tensors[to].dims);
        let Some(along) = place(dims, axis.into()) else {
            return refuse(
                format!("parts that are packed along axis {axis} of {dims:?}"),
                "the first dimension is the batch",
            );
        };
        let part = single(self.shape(o)?, along);
        let mut parts = Vec::with_capacity(o.input_count());
        for at in 0..o.input_count() {
            parts.push(self.draft.read_as(self.operand(o, at)?, part)?);
        }
        self.lower(o, Neutral::Concat(along), &parts)
    }

    /// UNPACK: each of the operator's outputs is one row, column or channel of its input.
    pub(super) fn unpack(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, Some(options)) = (self.operand(o, 0)?, o.options) else {
            return refuse("its options are missing", "");
        };
        if o.outputs().count() == 1 {
            return self.reshape(o);
        }
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let axis = options.i32(1, 0).map_err(damaged)?;
        let Some(along) = place(dims, axis.into()) else {
            return refuse(format!("axis {axis} of {dims:?} that is unpacked"), "the first dimension is the batch");
        };
        let Shape { h, w, c } = single(self.draft.shape(input), along);
        for (index, output) in o.outputs().enumerate() {
            let mut first = [0; 3];
            first[along] = index as u32;
            let node =
                FileNode::new(Neutral::Part([first, [h, w, c], [1; 3]]), &[input], self.elements(output)?.into());
            let part = self.draft.lower(node)?;
            let id = self.draft.read_as(part, shape(&self.model.tensors[output])?)?;
            self.set(o, index, id)?;
        }
        Ok(())
    }

    /// BROADCAST_TO, and TILE of what has one element along an axis.
    pub(super) fn broadcast(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, to) = (self.operand(o, 0)?, self.shape(o)?);
        let id = self.widened(input, to)?;
        self.lower(o, Neutral::Reshape(to), &[id])
    }

    /// A map spread over axes where it has one element: rows and columns by the nearest neighbor, channels by their number.
    pub(super) fn widened(&mut self, input: NodeId, to: Shape) -> Result<NodeId, Refusal> {
        let from = self.draft.shape(input);
        let spreads = |from: u32, to: u32| from == 1 || from == to;
        if !(spreads(from.h, to.h) && spreads(from.w, to.w) && spreads(from.c, to.c)) {
            return refuse("a map that is repeated as a whole", "only a single row, column or channel is repeated");
        }
        let (mut id, elements) = (input, self.draft.elements(input));
        if from.c != to.c {
            id = self.draft.channels(id, &vec![Some(0); to.c as usize])?;
        }
        if [from.h, from.w] != [to.h, to.w] {
            let size = [to.h, to.w];
            let resize = ResizeNearest { size, align_corners: false, half_pixel_centers: false };
            let spread = Neutral::Rearrange(Rearrange::ResizeNearest(resize));
            id = self.draft.lower(FileNode::new(spread, &[id], elements.into()))?;
        }
        Ok(id)
    }

    /// GATHER of channels by their numbers, or of rows or columns at even distances.
    pub(super) fn gather(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let option = |at| o.options.map_or(Ok(0), |options| options.i32(at, 0)).map_err(damaged);
        let Some(indices) = o.input(1).and_then(|i| self.model.tensors[i].integers(Shape::MAX_DIM as usize)) else {
            return refuse("its indices are not constant", "only constant indices are supported");
        };
        let axis = option(0)?;
        let Shape { h, w, c } = self.draft.shape(input);
        let (Some(place), 0) = (place(dims, axis.into()), option(1)?) else {
            return refuse(format!("parts along axis {axis} of {dims:?}"), "");
        };
        let picked: Option<Vec<u32>> = indices.iter().map(|&index| u32::try_from(index).ok()).collect();
        let (Some(picked), [first, rest @ ..]) = (picked, &indices[..]) else {
            return refuse("negative or no indices", "");
        };
        let step = rest.first().map_or(1, |second| second - first);
        let part = |first: u32, count: usize, step: i64| {
            let mut part = [[0, 0, 0], [h, w, c], [1; 3]];
            [part[0][place], part[1][place], part[2][place]] = [first, count as u32, step as u32];
            Neutral::Part(part)
        };
        let operator = if place == 2 {
            Neutral::Channels(picked.into_iter().map(Some).collect())
        } else if step > 0 && indices.windows(2).all(|pair| pair[1] - pair[0] == step) {
            part(picked[0], picked.len(), step)
        } else if picked.len() <= MAX_PICKED {
            let elements = self.draft.elements(input);
            let mut parts = Vec::with_capacity(picked.len());
            for first in picked {
                parts.push(self.draft.lower(FileNode::new(part(first, 1, 1), &[input], elements.into()))?);
            }
            return self.lower(o, Neutral::Concat(place), &parts);
        } else {
            return refuse(format!("more than {MAX_PICKED} rows or columns, not at even distances"), "slice instead");
        };
        self.lower_viewed(o, operator, input)
    }

    /// PAD, PADV2 and MIRROR_PAD.
    pub(super) fn pad(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (before, after) = pad_amounts(self.model, o)?;
        let input = self.operand(o, 0)?;
        if o.code == op::MIRROR_PAD {
            let mirror = match o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)? {
                0 => Mirror::Reflect,
                1 => Mirror::Symmetric,
                other => return refuse(format!("padding of mode {other}"), "the file contradicts itself"),
            };
            let ([top, left, 0], [bottom, right, 0]) = (before, after) else {
                return refuse("repeated channels", "pad height and width only");
            };
            return self.lower(o, Neutral::Mirror { mirror, before: [top, left], after: [bottom, right] }, &[input]);
        }
        let value = match o.input(2).filter(|_| o.code == op::PADV2) {
            None => 0.0,
            Some(_) => match self.list(o, 2, o.input(0))? {
                List::Reals(reals) if reals.len() == 1 => reals[0],
                // An element of the input's type, which is what counts.
                List::Integers(elements, of) if elements.len() == 1 => match self.draft.elements(input) {
                    Some(from) if from.dtype == of.dtype => from.quant.dequantize(elements[0].into()),
                    _ => return refuse("its value is not of its input's type", ""),
                },
                _ => return refuse("its value is not one constant", ""),
            },
        };
        self.lower(o, Neutral::Rearrange(Rearrange::Pad { before, after, value }), &[input])
    }
}

/// One row, column or channel of a map.
fn single(Shape { h, w, c }: Shape, along: usize) -> Shape {
    let mut extents = [h, w, c];
    extents[along] = 1;
    let [h, w, c] = extents;
    Shape::new(h, w, c)
}

/// Which of height, width and channels of a map each of these is of the map with its dimensions permuted.
fn turned(before: &[i32], after: &[i32], permutation: &[i64]) -> Option<[u32; 3]> {
    let mut axes = [None; 3];
    let (mut sorted, mut free) = (permutation.to_vec(), vec![0, 1, 2]);
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..before.len() as i64) || after.len() != before.len() {
        return None;
    }
    for (to, &from) in permutation.iter().enumerate() {
        if ![1, -1].contains(&before[from as usize]) {
            let own = place(before, from)?;
            axes[place(after, to as i64)?] = Some(own as u32);
            free.retain(|&axis| axis != own as u32);
        }
    }
    // What has one element has a place wherever one is left.
    let mut free = free.into_iter();
    let [h, w, c] = axes.map(|axis| axis.or_else(|| free.next()));
    Some([h?, w?, c?])
}

/// What is added before and after height, width and channels.
fn pad_amounts(model: &Model<'_>, o: &Operator<'_>) -> Result<([u32; 3], [u32; 3]), Refusal> {
    let (Some(from), Some(amounts)) = (o.input(0), o.input(1).and_then(|i| model.tensors[i].integers(16))) else {
        return refuse("its amounts are not constant", "");
    };
    let dims = &model.tensors[from].dims;
    let amounts: Option<Vec<u32>> =
        amounts.iter().map(|&a| u32::try_from(a).ok().filter(|&a| a < Shape::MAX_DIM)).collect();
    let Some(amounts) = amounts.filter(|a| a.len() == 2 * dims.len()) else {
        return refuse("negative, huge or malformed amounts", "");
    };
    let mut sides = [[0; 3]; 2];
    for (axis, pair) in amounts.chunks_exact(2).enumerate().filter(|(_, pair)| *pair != [0, 0]) {
        let Some(along) = place(dims, axis as i64) else { return refuse("padding of the batch", "") };
        (sides[0][along], sides[1][along]) = (pair[0], pair[1]);
    }
    Ok(sides.into())
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
        let (begins, ends, single) = (mask(0)?, mask(1)?, mask(4)?);
        if [mask(2)?, mask(3)?] != [0; 2] || strides.len() != dims.len() {
            return refuse("it adds dimensions", "slice without new axes or ellipses");
        }
        for (axis, &dim) in dims.iter().enumerate() {
            let from_end = |at: i64| if at < 0 { at + whole(dim) } else { at }.clamp(0, whole(dim));
            let begin = if begins & 1 << axis != 0 { 0 } else { from_end(begin[axis]) };
            let end = if ends & 1 << axis != 0 { whole(dim) } else { from_end(second[axis]) };
            // A single index.
            let end = if single & 1 << axis != 0 { begin + 1 } else { end };
            let stride = strides[axis].max(0);
            first.push(begin);
            count.push(if stride == 0 { 0 } else { (end - begin + stride - 1) / stride });
            step.push(stride);
        }
    }
    Ok([spatial(&dims, &first, 0)?, spatial(&dims, &count, 1)?, spatial(&dims, &step, 1)?])
}

/// Height, width and channels of a list for all dimensions; `neutral` for those that have one element.
fn spatial(dims: &[i32], list: &[i64], neutral: u32) -> Result<[u32; 3], Refusal> {
    let mut found = [neutral; 3];
    for (axis, &value) in list.iter().enumerate() {
        match (u32::try_from(value).ok().filter(|&v| v <= Shape::MAX_DIM), place(dims, axis as i64)) {
            (Some(value), Some(along)) => found[along] = value,
            (Some(0 | 1), None) => {}
            (Some(_), None) => return refuse("a slice of the batch", "the first dimension is the batch"),
            (None, _) => return refuse(format!("a bound of {value}"), ""),
        }
    }
    Ok(found)
}

/// Whether an operator's output has the shape of its input.
pub(super) fn changes_nothing(model: &Model<'_>, o: &Operator<'_>) -> bool {
    o.input(0).zip(o.output(0)).is_some_and(|(from, to)| model.tensors[from].dims == model.tensors[to].dims)
}
