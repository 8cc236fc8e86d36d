//! Arithmetic and activations of float files: what the graph has no operator for is put together from those that it has.

use kinglet::{Shape, Window};

use super::float::{FloatBuilder, Norm};
use super::problem::{Refusal, refuse};
use crate::graph::{Binary, ConstantFunction, Function, NodeId, Op};

/// Expressions do not grow beyond this: a file could double one with every node.
pub(super) const MAX_SIZE: usize = 64;

impl FloatBuilder {
    /// A function of every element.
    pub(super) fn function(&mut self, wanted: &str, input: NodeId, function: Function) -> Result<NodeId, Refusal> {
        self.add(wanted, Op::Function(function), &[input])
    }

    /// The node, and those that it is a function of, the nearest first: which function of each.
    fn origins(&self, mut id: NodeId) -> Vec<(NodeId, Function)> {
        let mut origins = vec![(id, Function::X)];
        let mut outer = Function::X;
        while let (Op::Function(function), [input]) = (&self.builder.node(id).op, &self.builder.node(id).inputs[..]) {
            outer = outer.of(function);
            if outer.size() > MAX_SIZE {
                break;
            }
            id = *input;
            origins.push((id, outer.clone()));
        }
        origins
    }

    /// Arithmetic with two activations; of equal shapes, or one of them a pixel or a map of one channel.
    pub(super) fn binary(&mut self, wanted: &str, binary: Binary, a: NodeId, b: NodeId) -> Result<NodeId, Refusal> {
        let (from, other) = (self.shape(a), self.shape(b));
        if from.same(other) {
            // Two functions of the same elements are one, as in `x * sigmoid(x)`.
            let others = self.origins(b);
            for (origin, left) in self.origins(a) {
                if let Some((_, right)) = others.iter().find(|(id, _)| *id == origin)
                    && left.size() + right.size() < MAX_SIZE
                {
                    return self.function(wanted, origin, left.with(binary, right.clone()));
                }
            }
        }
        let is_thin = |thin: Shape, beside: Shape| {
            thin.c == 1 && beside.c > 1 && (thin.h, thin.w) == (beside.h, beside.w) && thin.h * thin.w > 1
        };
        if is_thin(other, from) {
            let wide = self.widened(wanted, b, from.c)?;
            return self.binary(wanted, binary, a, wide);
        }
        if is_thin(from, other) {
            let wide = self.widened(wanted, a, other.c)?;
            return self.binary(wanted, binary, wide, b);
        }
        let fits = |a: Shape, b: Shape| kinglet::ops::Mul::output_shape(a, b).is_some();
        let part = |what: &str| format!("{wanted}_{what}");
        match binary {
            Binary::Add if from.same(other) => self.add(wanted, Op::Add, &[a, b]),
            Binary::Add | Binary::Mul if !fits(from, other) && fits(other, from) => self.binary(wanted, binary, b, a),
            Binary::Mul => self.add(wanted, Op::Mul, &[a, b]),
            Binary::Sub if !fits(from, other) && fits(other, from) => {
                let difference = self.add(&part("difference"), Op::Sub, &[b, a])?;
                self.function(wanted, difference, Function::negated())
            }
            Binary::Sub => self.add(wanted, Op::Sub, &[a, b]),
            // The runtime adds equal shapes only, but takes off a pixel.
            Binary::Add => {
                let less = self.function(&part("negated"), b, Function::negated())?;
                self.add(wanted, Op::Sub, &[a, less])
            }
            Binary::Max | Binary::Min if from.same(other) => {
                let (more, less) = if binary == Binary::Max { (b, a) } else { (a, b) };
                let difference = self.add(&part("difference"), Op::Sub, &[more, less])?;
                let above = self.function(&part("above"), difference, Function::relu())?;
                let op = if binary == Binary::Max { Op::Add } else { Op::Sub };
                self.add(wanted, op, &[a, above])
            }
            Binary::Div => {
                refuse("division by an activation", "multiply by its reciprocal, or normalize with constants")
            }
            _ => refuse(format!("shapes {from:?} and {other:?}"), "both inputs must have the same shape"),
        }
    }

    /// A map of one channel as one of many equal ones.
    fn widened(&mut self, wanted: &str, input: NodeId, channels: u32) -> Result<NodeId, Refusal> {
        let (ones, zeros) = (vec![1.0; channels as usize], vec![0.0; channels as usize]);
        self.conv(&format!("{wanted}_wide"), input, Window::global([1, 1]), ones, zeros, channels)
    }

    /// Arithmetic with a constant, which is on the left if `first`: one number, one for each channel, or one for each
    /// element in our order.
    pub(super) fn with_constant(
        &mut self,
        wanted: &str,
        binary: Binary,
        input: NodeId,
        constant: &[f32],
        first: bool,
    ) -> Result<NodeId, Refusal> {
        let shape = self.shape(input);
        let (c, len) = (shape.c as usize, shape.len() as usize);
        let whole = constant.len() == len && len != c;
        let [any, ..] = constant else { return refuse("a constant without numbers", "") };
        if constant.iter().all(|x| x == any) {
            let number = Function::Constant(f64::from(*any));
            let (left, right) = if first && matches!(binary, Binary::Sub | Binary::Div) {
                (number, Function::X)
            } else {
                (Function::X, number)
            };
            return self.function(wanted, input, left.with(binary, right));
        }
        if constant.len() != c && !whole {
            return refuse(
                format!("a constant of {} numbers for {c} channels", constant.len()),
                "a constant has one number, one for each channel, or one for each element",
            );
        }
        let negated = |numbers: &[f32]| numbers.iter().map(|x| -x).collect::<Vec<f32>>();
        let (factors, offsets) = match (binary, first) {
            (Binary::Add, _) => (None, Some(constant.to_vec())),
            (Binary::Sub, false) => (None, Some(negated(constant))),
            (Binary::Sub, true) => (Some(vec![-1.0; constant.len()]), Some(constant.to_vec())),
            (Binary::Mul, _) => (Some(constant.to_vec()), None),
            (Binary::Div, false) => (Some(constant.iter().map(|x| x.recip()).collect()), None),
            _ => return refuse("bounds or quotients that differ from channel to channel", "use one number for all"),
        };
        if !whole {
            let (ones, zeros) = (vec![1.0; c], vec![0.0; c]);
            let (gamma, beta) = (factors.unwrap_or(ones.clone()), offsets.unwrap_or(zeros.clone()));
            return self.norm(wanted, input, Norm { gamma, beta, mean: zeros, variance: ones, epsilon: 0.0 });
        }
        match (factors, offsets) {
            (Some(factors), None) => self.constant(wanted, ConstantFunction::Mul, input, factors),
            (None, Some(offsets)) => self.constant(wanted, ConstantFunction::Add, input, offsets),
            (_, offsets) => {
                let input = self.function(&format!("{wanted}_negated"), input, Function::negated())?;
                self.constant(wanted, ConstantFunction::Add, input, offsets.unwrap_or_default())
            }
        }
    }

    /// PReLU: `x` above 0, `slope * x` below. With one slope for all it is a function, else
    /// `x + (slope - 1) * min(x, 0)`.
    pub(super) fn prelu(&mut self, wanted: &str, input: NodeId, slopes: &[f32]) -> Result<NodeId, Refusal> {
        if let [first, ..] = slopes
            && slopes.iter().all(|slope| slope == first)
        {
            return self.function(wanted, input, Function::leaky_relu(f64::from(*first)));
        }
        let below = self.function(&format!("{wanted}_below"), input, Function::negative())?;
        let rest: Vec<f32> = slopes.iter().map(|slope| slope - 1.0).collect();
        let bent = self.with_constant(&format!("{wanted}_bent"), Binary::Mul, below, &rest, false)?;
        self.add(wanted, Op::Add, &[input, bent])
    }
}

/// Numbers of dimensions `dims` for every element of `extents`, whose trailing dimensions are theirs or where theirs are 1;
/// `None` when they are not.
pub(super) fn broadcast<T: Copy>(numbers: &[T], dims: &[usize], extents: &[usize]) -> Option<Vec<T>> {
    let missing = extents.len().checked_sub(dims.len())?;
    let dims: Vec<usize> = std::iter::repeat_n(1, missing).chain(dims.iter().copied()).collect();
    if dims.iter().zip(extents).any(|(&dim, &extent)| dim != 1 && dim != extent) {
        return None;
    }
    let place = |index: usize| {
        let (mut rest, mut at, mut stride) = (index, 0, 1);
        for (&dim, &extent) in dims.iter().zip(extents).rev() {
            at += if dim == 1 { 0 } else { rest % extent * stride };
            rest /= extent;
            stride *= dim;
        }
        at
    };
    (0..extents.iter().product()).map(|index| numbers.get(place(index)).copied()).collect()
}
