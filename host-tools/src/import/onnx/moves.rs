//! Operators that only move elements: concatenation, parts, padding, and other shapes.

use kinglet::{Shape, Window};

use super::context::{Activation, Context, Value, attribute, float, from_end, int, ints, shape};
use super::proto::NodeProto;
use crate::graph::{NodeId, Rearrange, Strided};
use crate::import::mirror::Mirror;
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Operator, sliced};

impl<'m> Context<'m> {
    pub(super) fn concat(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let part = |context: &mut Self, index| {
            let part = context.activation(node, index)?;
            context.in_order(part)
        };
        let parts = (0..node.input.len()).map(|index| part(self, index)).collect::<Result<Vec<_>, Refusal>>()?;
        let Some(first) = parts.first() else { return refuse("it has no input", "") };
        let axis = int(node, "axis", 1);
        let unlike = |p: &Activation| p.channels_last != first.channels_last || p.dims.len() != first.dims.len();
        let (Some(along), false) = (first.axis(axis), parts.iter().any(unlike)) else {
            return refuse(format!("concatenation along axis {axis}"), "the first dimension is the batch");
        };
        let ids: Vec<_> = parts.iter().map(|part| part.node).collect();
        let id = self.lower(Operator::Concat(along), &ids)?;
        self.set_map(node, id, first);
        Ok(())
    }

    pub(super) fn pad(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let mirror = match attribute(node, "mode").map(|mode| &mode.s[..]) {
            None | Some(b"constant") => None,
            Some(b"reflect") => Some(Mirror::Reflect),
            Some(b"edge") => Some(Mirror::Edge),
            Some(_) => return refuse("padding that wraps around", "pad with zeros, or pad the image before inference"),
        };
        let value = match self.optional(node, 2)? {
            Some(value) => value.scalar()?,
            None => float(node, "value", 0.0),
        };
        let (given, rank) = (self.list(node, 1, "pads")?.unwrap_or_default(), input.dims.len());
        let mut axes = self.list(node, 3, "axes")?.unwrap_or_default();
        if axes.is_empty() {
            axes = (0..rank as i64).collect();
        }
        let fits = given.len() == 2 * axes.len() && given.iter().all(|p| p.unsigned_abs() < u64::from(Shape::MAX_DIM));
        // Before and after, for all dimensions from the batch on; height 1 of a map of rank 3 put in.
        let mut pads = [[0; 2]; 4];
        for (at, &axis) in axes.iter().enumerate().filter(|_| fits) {
            let axis = from_end(axis, rank);
            let axis = axis.saturating_add(if axis > 1 { 4 - rank } else { 0 });
            match pads.get_mut(axis) {
                Some(pads) => *pads = [given[at], given[axes.len() + at]],
                None => return refuse(format!("padding of axis {axis}"), ""),
            }
        }
        let [[0, 0], channels, vertical, horizontal] = pads else {
            return refuse("padding of the batch", "");
        };
        if !fits {
            return refuse("malformed padding", "");
        }
        let sides = [0, 1].map(|side| [vertical[side], horizontal[side]]);
        let [before, after] = sides.map(|side| side.map(|p| p.max(0) as u32));
        let [Ok(front), Ok(back)] = channels.map(u32::try_from) else {
            return refuse("padding of the channels that cuts off", "slice instead");
        };
        // Negative padding cuts off.
        let [top, bottom] = sides.map(|side| side.map(|p| (-p).max(0) as u32));
        let Shape { h, w, c } = self.shape(&input);
        let count = [0, 1].map(|axis| [h, w][axis].saturating_sub(top[axis]).saturating_sub(bottom[axis]));
        let part = [[top[0], top[1], 0], [count[0], count[1], c], [1; 3]];
        let id = self.lower(Operator::Part(part), &[input.node])?;
        let operator = match mirror {
            Some(_) if (front, back) != (0, 0) => {
                return refuse("padding of the channels with other numbers than 0", "");
            }
            Some(mirror) => Operator::Mirror { mirror, before, after },
            None => {
                let [before, after] = [(before, front), (after, back)].map(|([h, w], c)| [h, w, c]);
                Operator::Rearrange(Rearrange::Pad { before, after, value })
            }
        };
        let id = self.lower(operator, &[id])?;
        self.set_map(node, id, &input);
        Ok(())
    }

    pub(super) fn transpose(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let permutation = ints(node, "perm").unwrap_or_default();
        if let Value::Apart(apart) = self.value(node, 0)? {
            let turned = apart.transposed(permutation)?;
            self.set(node, Value::Apart(turned));
            return Ok(());
        }
        let input = self.activation(node, 0)?;
        let turned = match (permutation, input.channels_last, input.dims.len()) {
            ([0, 3, 1, 2], true, _) | ([0, 2, 1], true, 3) => false,
            ([0, 2, 3, 1], false, 4) | ([0, 2, 1], false, 3) => true,
            _ => return self.turn(node, permutation, input),
        };
        self.set_map(node, input.node, &Activation { channels_last: turned, ..input });
        Ok(())
    }

    /// A transposition that moves elements in our order, too.
    fn turn(&mut self, node: &'m NodeProto, permutation: &[i64], input: Activation) -> Result<(), Refusal> {
        // Our axis of each of the file's but the batch.
        let ours: &[u32] = match (input.dims.len(), input.channels_last) {
            (4, true) => &[0, 1, 2],
            (4, false) => &[2, 0, 1],
            (3, true) => &[1, 2],
            (3, false) => &[2, 1],
            _ => &[],
        };
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        let whole = sorted.iter().copied().eq(0..=ours.len() as i64) && permutation.first() == Some(&0);
        if !whole || ours.is_empty() || input.flattened.is_some() {
            return refuse(
                format!("the permutation {permutation:?} of {:?}", input.dims),
                "only height, width and channels of one image can change places",
            );
        }
        let mut axes = [0, 1, 2];
        for (to, &from) in permutation.iter().skip(1).enumerate() {
            axes[ours[to] as usize] = ours[from as usize - 1];
        }
        let op = Operator::Rearrange(Rearrange::Strided(Strided::Transpose(axes)));
        let id = self.lower(op, &[input.node])?;
        self.set_map(node, id, &input);
        Ok(())
    }

    /// DepthToSpace and SpaceToDepth.
    pub(super) fn blocks(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let block = match u32::try_from(int(node, "blocksize", 0)) {
            Ok(block) if (1..=Window::MAX_EXTENT).contains(&block) => block,
            _ => return refuse("its blocks have no size", "the file contradicts itself"),
        };
        let (deep, by_channels) = (node.op_type == "SpaceToDepth", text(node, "mode", "DCR") == "CRD");
        let strided = if deep {
            Strided::SpaceToDepth { block }
        } else {
            Strided::DepthToSpace { block: [block; 2], channels_first: by_channels }
        };
        let mut id = self.lower(Operator::Rearrange(Rearrange::Strided(strided)), &[input.node])?;
        if deep && by_channels {
            let (c, each) = (self.shape(&input).c, block * block);
            let picked = (0..c * each).map(|at| Some(at % each * c + at / each)).collect();
            id = self.lower(Operator::Channels(picked), &[id])?;
        }
        self.set_map(node, id, &input);
        Ok(())
    }

    /// A flattened map as a vector in the file's order; anything else as it is.
    pub(super) fn in_order(&mut self, input: Activation) -> Result<Activation, Refusal> {
        if input.flattened.is_none() {
            return Ok(input);
        }
        let node = self.rows_of_channels(&input)?;
        let node = self.lower(Operator::Reshape(self.shape(&input)), &[node])?;
        Ok(Activation { node, flattened: None, ..input })
    }

    /// The elements in the file's order: channels x height x width where that is its order, and ours another.
    fn rows_of_channels(&mut self, input: &Activation) -> Result<NodeId, Refusal> {
        let (mut id, mut shape) = (input.node, self.shape(input));
        if let Some(map) = input.flattened {
            (id, shape) = (self.lower(Operator::Reshape(map), &[id])?, map);
        }
        if shape.h * shape.w == 1 || shape.c == 1 || input.channels_last {
            return Ok(id);
        }
        self.lower(Operator::Rearrange(Rearrange::Strided(Strided::Transpose([2, 0, 1]))), &[id])
    }

    /// Reshapes that flatten a map or undo it, those that keep the order of elements in our order too, and all others by way of
    /// the file's order.
    pub(super) fn reshape(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (input, dims) = match self.value(node, 0)?.clone() {
            Value::Apart(apart) => {
                let apart = self.regrouped(&apart, &self.reshaped(node, &apart.dims())?)?;
                let value = match apart.dims().len() {
                    0..=4 => Value::Activation(self.put_together(&apart)?),
                    _ => Value::Apart(apart),
                };
                self.set(node, value);
                return Ok(());
            }
            _ => {
                let input = self.activation(node, 0)?;
                let dims = self.reshaped(node, &input.dims)?;
                (input, dims)
            }
        };
        if dims.len() > 4 {
            let apart = self.taken_apart(input, &dims)?;
            self.set(node, Value::Apart(apart));
            return Ok(());
        }
        let (from, to) = (self.shape(&input), shape(&dims, input.channels_last)?);
        let mut result = Activation { dims, ..input.clone() };
        let in_order = |shape: Shape| shape.h * shape.w == 1 || shape.c == 1 || input.channels_last;
        if from == to {
            // Dimensions of 1 come and go.
        } else if input.flattened == Some(to) {
            result.node = self.lower(Operator::Reshape(to), &[input.node])?;
            result.flattened = None;
        } else if to == Shape::vector(from.len()) && input.dims.len() > 2 {
            result.node = self.lower(Operator::Reshape(to), &[input.node])?;
            let pixels = from.h * from.w;
            result.flattened = (pixels > 1 && from.c > 1 && !input.channels_last).then_some(from);
            result.channels_last = false;
        } else if (in_order(from) && in_order(to) || from.c == to.c) && input.flattened.is_none() {
            result.node = self.lower(Operator::Reshape(to), &[input.node])?;
        } else if from.len() != to.len() {
            return refuse(format!("{:?} becomes {:?}", input.dims, result.dims), "the file contradicts itself");
        } else {
            let rows = self.rows_of_channels(&input)?;
            let Shape { h, w, c } = to;
            result.flattened = None;
            result.node = if in_order(to) {
                self.lower(Operator::Reshape(to), &[rows])?
            } else {
                let rows = self.lower(Operator::Reshape(Shape::new(c, h, w)), &[rows])?;
                self.lower(Operator::Rearrange(Rearrange::Strided(Strided::Transpose([1, 2, 0]))), &[rows])?
            };
        }
        self.set_activation(node, result);
        Ok(())
    }

    /// Parts of the channels, one for each output.
    pub(super) fn split(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        self.demand_channels(&input, int(node, "axis", 0))?;
        let Shape { h, w, c } = self.shape(&input);
        let c = c as usize;
        let given = self.list(node, 1, "split")?.unwrap_or_default();
        let each = c.div_ceil(node.output.len().max(1));
        let mut start = 0;
        for (index, output) in node.output.iter().enumerate() {
            let size = given.get(index).map_or(each.min(c - start), |&size| usize::try_from(size).unwrap_or(0));
            if size == 0 || size > c - start {
                return refuse("parts that do not fit", "the file contradicts itself");
            }
            let part = [[0, 0, start as u32], [h, w, size as u32], [1; 3]];
            let id = self.lower(Operator::Part(part), &[input.node])?;
            self.set_map_as(output, id, &input);
            start += size;
        }
        Ok(())
    }

    /// Channels by their numbers; rows or columns at even distances.
    pub(super) fn gather(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (mut input, indices) = (self.activation(node, 0)?, self.constant(node, 1)?);
        let axis = int(node, "axis", 0);
        let rank = input.dims.len();
        if rank == 1 {
            input = self.in_order(input)?;
        }
        let place = if rank == 1 { Some(2) } else { input.axis(axis).filter(|_| input.flattened.is_none()) };
        let (Some(place), true) = (place, indices.len() > 0 && indices.dims.len() <= 1 || rank == 1) else {
            return refuse(format!("parts along axis {axis} of {:?}", input.dims), "");
        };
        let Shape { h, w, c } = self.shape(&input);
        let extent = [h, w, c][place];
        let place_of = |&index: &i64| u32::try_from(from_end(index, extent as usize)).unwrap_or(u32::MAX);
        let picked = indices.integers()?.iter().map(place_of).collect();
        let id = self.lower(Operator::Pick(place, picked), &[input.node])?;
        if rank > 1 && !indices.dims.is_empty() {
            self.set_map(node, id, &input);
            return Ok(());
        }
        // The axis is gone.
        let mut dims = input.dims.clone();
        let gathered = indices.dims.iter().map(|&dim| dim as i64);
        let axis = from_end(axis, rank);
        dims.splice(axis..axis + 1, gathered);
        if rank == 1 && dims.len() > 1 {
            // Elements of a list, in the order of the file's dimensions: `as_strided` is exported so.
            let list = Activation { node: id, dims: vec![indices.len() as i64], flattened: None, channels_last: false };
            let apart = self.taken_apart(list, &dims)?;
            let map = self.put_together(&apart)?;
            self.set_activation(node, map);
            return Ok(());
        }
        let channels_last = input.channels_last || place == 2;
        let mut id = id;
        if rank > 1 {
            id = self.lower(Operator::Reshape(shape(&dims, channels_last)?), &[id])?;
        }
        self.set_activation(node, Activation { node: id, dims, channels_last, ..input });
        Ok(())
    }

    /// Repetition along dimensions of 1: nothing where there is none, else left to the arithmetic that reads it.
    pub(super) fn expand(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let to = self.list(node, 1, "shape")?.unwrap_or_default();
        let (from, rank) = (&input.dims, input.dims.len().max(to.len()));
        let at = |dims: &[i64], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis]);
        let dims: Vec<i64> = (0..rank).map(|axis| at(from, axis).max(at(&to, axis))).collect();
        if dims == *from {
            self.set_activation(node, input);
        } else {
            self.set(node, Value::Expanded(input, dims));
        }
        Ok(())
    }

    fn demand_channels(&self, input: &Activation, axis: i64) -> Result<(), Refusal> {
        if input.flattened.is_some() || !input.is_channels(axis) {
            return refuse(format!("parts along axis {axis} of {:?}", input.dims), "only channels can be taken apart");
        }
        Ok(())
    }

    /// Parts with constant bounds.
    pub(super) fn slice(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let list = |index, name| self.list(node, index, name);
        let (Some(starts), Some(ends)) = (list(1, "starts")?, list(2, "ends")?) else {
            return refuse("bounds that are not constant", "only constant slices are supported");
        };
        let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return refuse("bounds that do not fit", "the file contradicts itself");
        }
        let Shape { h, w, c } = self.shape(&input);
        // First element, number of elements and step along height, width, channels.
        let (mut part, mut backward) = ([[0, h, 1], [0, w, 1], [0, c, 1]], [false; 3]);
        for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let Some(place) = input.axis(*axis).filter(|_| input.flattened.is_none()) else {
                return refuse(format!("a slice along axis {axis} of {:?}", input.dims), "");
            };
            let Some(taken) = sliced([h, w, c][place], Some(*start), Some(*end), *step) else {
                return refuse("an empty slice", "");
            };
            (part[place], backward[place]) = taken;
        }
        let part = [0, 1, 2].map(|what| part.map(|axis| axis[what]));
        let id = self.lower(Operator::Part(part), &[input.node])?;
        let id = self.draft.backward(id, backward)?;
        self.set_map(node, id, &input);
        Ok(())
    }
}

/// A text attribute.
pub(super) fn text<'n>(node: &'n NodeProto, name: &str, default: &'n str) -> &'n str {
    attribute(node, name).and_then(|attribute| std::str::from_utf8(&attribute.s).ok()).unwrap_or(default)
}
