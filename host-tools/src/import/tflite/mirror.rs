//! MIRROR_PAD.

use kinglet::{Shape, Window};

use super::lower::Lowering;
use super::options::damaged;
use super::schema::Operator;
use crate::graph::Op;
use crate::import::mirror::{Mirror, line};
use crate::import::problem::{Refusal, refuse};
use crate::network::{TensorId, TensorInfo};

/// What a MIRROR_PAD repeats.
pub(super) fn mirror(o: &Operator<'_>) -> Result<Mirror, Refusal> {
    match o.options.map_or(Ok(0), |options| options.i8(0, 0)).map_err(damaged)? {
        0 => Ok(Mirror::Reflect),
        1 => Ok(Mirror::Symmetric),
        other => refuse(format!("padding of mode {other}"), "the file contradicts itself"),
    }
}

impl Lowering<'_, '_> {
    pub(super) fn mirror_pad(&mut self, o: &Operator<'_>) -> Result<(), Refusal> {
        let (before, after) = self.pad_amounts(o)?;
        let mirror = mirror(o)?;
        let input = self.operand(o, 0)?;
        let output = self.result(o)?;
        let (from, to) = (self.info(input).clone(), self.info(output).clone());
        if before[2] != 0 || after[2] != 0 {
            return refuse("repeated channels", "pad height and width only");
        }
        if !from.quant.same(to.quant) || from.dtype != to.dtype {
            return refuse("input and output have different scales", "");
        }
        if to.shape != kinglet::ops::Pad::output_shape(from.shape, before, after) {
            return refuse("the output's shape is not the padded input's", "the file contradicts itself");
        }
        let mut at = input;
        for axis in [0, 1] {
            at = self.repeat(at, axis, mirror, [before[axis], after[axis]])?;
        }
        self.alias(o, at);
        Ok(())
    }

    /// Rows (axis 0) or columns repeated before and after the map.
    fn repeat(&mut self, at: TensorId, axis: usize, mirror: Mirror, sides: [u32; 2]) -> Result<TensorId, Refusal> {
        let info = self.info(at).clone();
        let Shape { h, w, c } = info.shape;
        let [first, last] = mirror.repeated([h, w][axis], sides[0], sides[1])?;
        let added = (first.len() + last.len()) as u32;
        if added == 0 {
            return Ok(at);
        }
        let mut parts = first.into_iter().map(|place| self.one(at, axis, place)).collect::<Result<Vec<_>, _>>()?;
        parts.push(self.read_as(at, line(info.shape, axis)));
        for place in last {
            parts.push(self.one(at, axis, place)?);
        }
        let mut joined = line(info.shape, axis);
        joined.c += added * if axis == 0 { w * c } else { c };
        if !joined.is_valid() {
            return refuse("repeated rows or columns of so large a map", "pad the image before inference");
        }
        let joint = self.intermediate(TensorInfo { shape: joined, ..info });
        self.push(Op::Concat, parts, joint);
        let to = if axis == 0 { Shape::new(h + added, w, c) } else { Shape::new(h, w + added, c) };
        Ok(self.read_as(joint, to))
    }

    /// One row or column as one line: a window as high or wide as the map, all of whose taps but one are 0.
    fn one(&mut self, at: TensorId, axis: usize, place: u32) -> Result<TensorId, Refusal> {
        let info = self.info(at).clone();
        let Shape { h, w, c } = info.shape;
        let (kernel, shape) = if axis == 0 { ([h, 1], Shape::new(1, w, c)) } else { ([1, w], Shape::new(h, 1, c)) };
        let taps = [h, w][axis] as usize * c as usize;
        if kernel.iter().any(|&extent| extent > Window::MAX_EXTENT) {
            return refuse("repeated rows or columns of so large a map", "pad the image before inference");
        }
        self.spend(taps)?;
        let mut weights = vec![0; taps];
        weights[(place * c) as usize..][..c as usize].fill(1);
        let window = Window { kernel, stride: [1, 1], before: [0; 2], after: [0; 2] };
        let part = self.intermediate(TensorInfo { shape, ..info });
        self.taken(window, weights, at, part);
        Ok(self.read_as(part, line(shape, axis)))
    }

    /// The same elements under another shape.
    fn read_as(&mut self, id: TensorId, shape: Shape) -> TensorId {
        let info = self.info(id).clone();
        if info.shape == shape {
            return id;
        }
        let copy = self.intermediate(TensorInfo { shape, ..info });
        self.push(Op::Reshape(shape), vec![id], copy);
        copy
    }
}
