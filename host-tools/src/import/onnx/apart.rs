//! Values of more dimensions than a map has, which become one again: blocks of pixels, groups of channels and the boxes of detectors, as
//! exporters spell them. Reshaping and transposing such a value moves nothing; where a map is needed, one operator moves all.

use kinglet::Shape;
use kinglet::ops::Digit;

use super::context::{Activation, Context, from_end, shape};
use crate::graph::{NodeId, Rearrange, Strided};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::Operator;

/// A map in pieces: a position along each dimension is a number, whose digits move along axes of the map.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    pub(super) map: Activation,
    axes: Vec<Vec<Digit>>,
}

impl Apart {
    /// A map, or a vector in the file's order, of our shape `from`; nothing is in pieces yet.
    fn whole(map: Activation, from: Shape) -> Self {
        let digit = |dim: usize| {
            let axis = map.axis(dim as i64).filter(|_| dim > 0 || map.dims.len() == 1)?;
            Some(Digit { extent: [from.h, from.w, from.c][axis], axis: axis as u32, stride: 1 })
        };
        let axes = (0..map.dims.len()).map(|dim| digit(dim).into_iter().collect()).collect();
        Self { map, axes }
    }

    /// The dimensions in the file.
    pub(super) fn dims(&self) -> Vec<i64> {
        self.axes.iter().map(|digits| digits.iter().map(|digit| i64::from(digit.extent)).product()).collect()
    }

    /// The same elements in the same order under other dimensions; `None` where these divide a digit unevenly.
    fn reshaped(&self, dims: &[i64]) -> Option<Self> {
        let mut rest: Vec<Digit> = self.axes.iter().flatten().copied().filter(|digit| digit.extent != 1).collect();
        rest.reverse();
        let mut axes = Vec::new();
        for &dim in dims {
            let (mut left, mut digits) = (u32::try_from(dim).ok()?, Vec::new());
            while left > 1 {
                let Digit { extent, axis, stride } = rest.pop()?;
                let inner = extent / left.min(extent);
                if !extent.is_multiple_of(left) && !left.is_multiple_of(extent) {
                    return None;
                }
                if inner > 1 {
                    rest.push(Digit { extent: inner, axis, stride });
                }
                digits.push(Digit { extent: extent / inner, axis, stride: stride * inner });
                left /= extent / inner;
            }
            axes.push(digits);
        }
        rest.is_empty().then(|| Self { map: self.map.clone(), axes })
    }

    /// Its dimensions in another order.
    pub(super) fn transposed(&self, permutation: &[i64]) -> Result<Self, Refusal> {
        let rank = self.axes.len();
        let places: Vec<usize> = permutation.iter().map(|&axis| from_end(axis, rank)).collect();
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return refuse(
                format!("the permutation {permutation:?} of {:?}", self.dims()),
                "the file contradicts itself",
            );
        }
        let axes = places.into_iter().map(|axis| self.axes[axis].clone()).collect();
        Ok(Self { map: self.map.clone(), axes })
    }
}

impl<'m> Context<'m> {
    /// A map that is reshaped to more dimensions than one has.
    pub(super) fn taken_apart(&mut self, input: Activation, dims: &[i64]) -> Result<Apart, Refusal> {
        let input = self.in_order(input)?;
        let from = self.shape(&input);
        let whole = Apart::whole(input, from);
        self.regrouped(&whole, dims)
    }

    /// The same elements in the same order under other dimensions.
    pub(super) fn regrouped(&self, apart: &Apart, dims: &[i64]) -> Result<Apart, Refusal> {
        match apart.reshaped(dims) {
            Some(apart) => Ok(apart),
            None => refuse(
                format!("dimensions {:?} become {dims:?}", apart.dims()),
                "only dimensions that are whole parts, or products, of those of a map",
            ),
        }
    }

    /// What is in pieces as a map of at most four dimensions.
    pub(super) fn put_together(&mut self, apart: &Apart) -> Result<Activation, Refusal> {
        let dims = apart.dims();
        let channels_last = apart.map.channels_last;
        let result = Activation { node: apart.map.node, dims, flattened: None, channels_last };
        let to = shape(&result.dims, channels_last)?;
        let mut axes = [const { Vec::new() }; 3];
        for (dim, digits) in apart.axes.iter().enumerate() {
            if let Some(axis) = result.axis(dim as i64) {
                axes[axis].extend(digits);
            }
        }
        let node = self.moved(apart.map.node, axes, to)?;
        Ok(Activation { node, ..result })
    }

    /// What is in pieces as an output: its elements in the file's order, the last two dimensions as columns and channels.
    pub(super) fn as_output(&mut self, apart: &Apart) -> Result<NodeId, Refusal> {
        let dims = apart.dims();
        let [around @ .., columns, channels] = &apart.axes[..] else { return refuse("no dimensions", "") };
        let axes = [around.concat(), columns.clone(), channels.clone()];
        let [h, w, c] = axes.each_ref().map(|digits| digits.iter().map(|digit| digit.extent).product());
        self.draft.note(&format!("an output of dimensions {dims:?} is {h} x {w} x {c}, in the same order"));
        self.moved(apart.map.node, axes, Shape::new(h, w, c))
    }

    /// A map of shape `to`, of whose height, width and channels these are the digits.
    fn moved(&mut self, input: NodeId, axes: [Vec<Digit>; 3], to: Shape) -> Result<NodeId, Refusal> {
        let from = self.draft.shape(input);
        if !to.is_valid() {
            return refuse(format!("a map of {} x {} x {}", to.h, to.w, to.c), "");
        }
        let is_same = |axes, shape| Strided::of(axes, shape) == Some(Strided::Transpose([0, 1, 2]));
        let bytes = [from.w * from.c, from.c, 1];
        let flat = |digit: &Digit| Digit { axis: 2, stride: digit.stride * bytes[digit.axis as usize], ..*digit };
        let in_memory = [vec![], vec![], axes.iter().flatten().map(flat).collect()];
        if is_same(in_memory, Shape::vector(from.len())) {
            return self.lower(Operator::Reshape(to), &[input]);
        }
        let [rows, columns, channels] = &axes;
        let one = Shape::vector(from.c);
        if channels.iter().all(|digit| digit.axis == 2)
            && is_same([rows.clone(), columns.clone(), vec![]], Shape::new(from.h, from.w, 1))
            && let Some(order) = Strided::of([vec![], vec![], channels.clone()], one)
        {
            // Shuffled channels are a convolution, which the next one may take in.
            let picked = Rearrange::Strided(order).sources(one);
            let picked = picked.into_iter().map(|source| source.map(|at| at as u32)).collect();
            return self.lower(Operator::Channels(picked), &[input]);
        }
        match Strided::of(axes, from) {
            Some(order) => self.lower(Operator::Rearrange(Rearrange::Strided(order)), &[input]),
            None => refuse("dimensions that are in too many pieces", ""),
        }
    }
}
