//! A file's dimensions as height, width and channels.
//!
//! The last three are these. Those before them have one element, the batch among them, or are rows, too: a tensor that has no batch
//! reads as a map like any other, and of five dimensions the first ones are joined. An axis means something where it is all that
//! there is of ours.

use kinglet::Shape;

use super::schema::{Model, Tensor, Type};
use crate::import::problem::{Refusal, refuse};

/// The extent of a dimension: a batch that is left open is that of one inference.
fn extents(dims: &[i32]) -> impl DoubleEndedIterator<Item = i32> + '_ {
    dims.iter().enumerate().map(|(at, &dim)| if at == 0 && dim == -1 && dims.len() > 1 { 1 } else { dim })
}

/// For each dimension whether it lies along the height (0), the width (1) or the channels (2).
fn axes(rank: usize) -> impl Iterator<Item = usize> {
    (0..rank).map(move |at| (at + 3).saturating_sub(rank))
}

/// Which of height (0), width (1) and channels (2) a dimension is, negative ones counted from the end; `None` for the batch.
pub(super) fn place(dims: &[i32], axis: i64) -> Option<usize> {
    let rank = dims.len();
    let at = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|&at| at < rank)?;
    let own = axes(rank).nth(at)?;
    let others = extents(dims).zip(axes(rank)).enumerate().filter(|&(other, (_, along))| other != at && along == own);
    others.into_iter().all(|(_, (extent, _))| extent == 1).then_some(own)
}

/// A tensor's shape as height, width and channels.
pub(super) fn shape(tensor: &Tensor<'_>) -> Result<Shape, Refusal> {
    let dims = &tensor.dims[..];
    let mut ours = [1u32; 3];
    for (extent, along) in extents(dims).zip(axes(dims.len())) {
        ours[along] = ours[along].saturating_mul(u32::try_from(extent).unwrap_or(0));
    }
    if dims.len() == 4 && place(dims, 1).is_none() && place(dims, 0).is_none() {
        return refuse(
            format!("shape {dims:?}: the first dimension is not 1"),
            "the first dimension is the batch: export the model with a batch size of 1",
        );
    }
    let [h, w, c] = ours;
    let shape = Shape::new(h, w, c);
    if !shape.is_valid() {
        return refuse(
            format!("shape {dims:?}: a dimension is unknown, zero or too large"),
            "export the model with a fixed input size",
        );
    }
    Ok(shape)
}

/// Whether a tensor is one map, its first dimension a batch of one.
pub(super) fn is_map(dims: &[i32]) -> bool {
    dims.len() < 4 || extents(dims).next() == Some(1)
}

impl Model<'_> {
    /// Makes one image of several that are inferred at once; how many there were, if all activations had them.
    pub(super) fn one_image(&mut self) -> Option<i32> {
        let is_activation = |index: usize| {
            let floats = matches!(self.tensors[index].dtype, Type::Int8 | Type::UInt8 | Type::Int16 | Type::Float32);
            floats && !self.is_constant(index)
        };
        let used = self.operators.iter().flat_map(|o| o.outputs()).chain(self.inputs.iter().copied());
        let used: Vec<usize> = used.filter(|&index| is_activation(index)).collect();
        let count = *self.tensors[*used.first()?].dims.first().filter(|&&count| count > 1)?;
        let alike = |&index: &usize| {
            let dims = &self.tensors[index].dims;
            dims.len() > 1 && dims[0] == count
        };
        if !used.iter().all(alike) {
            return None;
        }
        used.iter().for_each(|&index| self.tensors[index].dims[0] = 1);
        Some(count)
    }
}
