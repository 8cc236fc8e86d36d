//! Parts of maps: SPLIT, UNPACK, SLICE, GATHER and REVERSE_V2; and PACK, which puts such parts together.

use kinglet::{Activation, Shape};

use super::dims::{place, shape};
use super::names as op;
use super::operators::damaged;
use super::read::Reader;
use super::schema::{Model, Operator};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{FileNode, Operator as Neutral, Part, sliced};

impl Reader<'_, '_> {
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

    /// GATHER of rows, columns or channels by their numbers.
    pub(super) fn gather(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let option = |at| o.options.map_or(Ok(0), |options| options.i32(at, 0)).map_err(damaged);
        let Some(indices) = o.input(1).and_then(|i| self.model.tensors[i].integers(Shape::MAX_DIM as usize)) else {
            return refuse("its indices are not constant", "only constant indices are supported");
        };
        let axis = option(0)?;
        let (Some(place), 0) = (place(dims, axis.into()), option(1)?) else {
            return refuse(format!("parts along axis {axis} of {dims:?}"), "");
        };
        let picked: Option<Vec<u32>> = indices.iter().map(|&index| u32::try_from(index).ok()).collect();
        let Some(picked) = picked else { return refuse("negative indices", "") };
        self.lower_viewed(o, Neutral::Pick(place, picked), input)
    }

    /// SLICE and STRIDED_SLICE.
    pub(super) fn slice(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (input, (part, backward)) = (self.operand(o, 0)?, slice_part(self.model, o)?);
        let output = self.output(o, Activation::None)?;
        let part = self.draft.lower(FileNode::new(Neutral::Part(part), &[input], output))?;
        let id = self.draft.backward(part, backward)?;
        self.set_viewed(o, id)
    }

    /// REVERSE_V2: rows, columns or channels in the opposite order.
    pub(super) fn reverse(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let input = self.operand(o, 0)?;
        let dims = o.input(0).map_or(&[][..], |i| &self.model.tensors[i].dims);
        let Some(&[axis]) = o.input(1).and_then(|i| self.model.tensors[i].integers(1)).as_deref() else {
            return refuse("its axis is not constant, or there are several", "reverse one axis after the other");
        };
        let Some(place) = place(dims, axis) else {
            return refuse(format!("axis {axis} of {dims:?}"), "the first dimension is the batch");
        };
        let mut axes = [false; 3];
        axes[place] = true;
        let id = self.draft.backward(input, axes)?;
        self.set_viewed(o, id)
    }
}

/// One row, column or channel of a map.
fn single(Shape { h, w, c }: Shape, along: usize) -> Shape {
    let mut extents = [h, w, c];
    extents[along] = 1;
    let [h, w, c] = extents;
    Shape::new(h, w, c)
}

/// The part of its input that a SLICE or STRIDED_SLICE gives, and which axes it gives in the opposite order.
fn slice_part(model: &Model<'_>, o: &Operator<'_>) -> Result<(Part, [bool; 3]), Refusal> {
    let list = |at| o.input(at).and_then(|i| model.tensors[i].integers(4));
    let dims = o.input(0).map_or_else(Vec::new, |i| model.tensors[i].dims.clone());
    let whole = |dim: i32| i64::from(dim.max(1));
    let (Some(begin), Some(second)) = (list(1), list(2)) else {
        return refuse("its bounds are not constant", "only constant slices are supported");
    };
    if begin.len() != dims.len() || second.len() != dims.len() {
        return refuse("its bounds are not as many as its input has dimensions", "the file contradicts itself");
    }
    let (mut first, mut count, mut step, mut backward) = (vec![], vec![], vec![], [false; 3]);
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
            let is = |mask: i32| mask & 1 << axis != 0;
            let begin = Some(begin[axis]).filter(|_| !is(begins));
            let end = Some(second[axis]).filter(|_| !is(ends));
            // Of a single index the end does not count.
            let (end, stride) = if is(single) { (None, Shape::MAX_DIM.into()) } else { (end, strides[axis]) };
            let (taken, is_backward) = sliced(dim.max(1).unsigned_abs(), begin, end, stride).unwrap_or_default();
            if let (true, Some(along)) = (is_backward, place(&dims, axis as i64)) {
                backward[along] = true;
            }
            for (list, number) in [&mut first, &mut count, &mut step].into_iter().zip(taken) {
                list.push(i64::from(number));
            }
        }
    }
    Ok(([spatial(&dims, &first, 0)?, spatial(&dims, &count, 1)?, spatial(&dims, &step, 1)?], backward))
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
