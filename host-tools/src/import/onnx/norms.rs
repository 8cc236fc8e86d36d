//! What an element becomes by others of its image: normalization, and sums along an axis.

use kinglet::{Shape, Window};

use super::context::{Activation, Context, float, from_end, int};
use super::proto::NodeProto;
use crate::graph::{Binary, Function, NodeId, Unary};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Curve, Norm, Operator, Pool, Reduction};

impl<'m> Context<'m> {
    /// A function of each element.
    pub(super) fn curve(&mut self, function: Function, input: NodeId) -> Result<NodeId, Refusal> {
        match function {
            Function::X => Ok(input),
            function => self.lower(Operator::Function(Curve::Other(function)), &[input]),
        }
    }

    /// LpNormalization: each element over the length of its row, its column or its channels.
    pub(super) fn lp_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let (axis, p) = (int(node, "axis", -1), int(node, "p", 2));
        let Some(along) = input.axis(axis).filter(|_| input.flattened.is_none()) else {
            return refuse(format!("a length along axis {axis} of {:?}", input.dims), "");
        };
        if (along, p) == (2, 2) {
            let id = self.lower(Operator::L2Norm, &[input.node])?;
            self.set_activation(node, Activation { node: id, ..input });
            return Ok(());
        }
        let (power, root) = length(p)?;
        let mut axes = [false; 3];
        axes[along] = true;
        let powers = self.curve(power, input.node)?;
        let sums = self.lower(Operator::Reduce { reduction: Reduction::Sum, axes }, &[powers])?;
        let lengths = self.curve(root, sums)?;
        let id = self.lower(Operator::Arithmetic(Binary::Div), &[input.node, lengths])?;
        self.set_activation(node, Activation { node: id, ..input });
        Ok(())
    }

    /// Each element less the mean along some axes, if `centered`, over the length of what is left.
    fn normalized(&mut self, input: NodeId, axes: [bool; 3], epsilon: f32, centered: bool) -> Result<NodeId, Refusal> {
        let mean = Operator::Reduce { reduction: Reduction::Mean, axes };
        let mut id = input;
        if centered {
            let means = self.lower(mean.clone(), &[id])?;
            id = self.lower(Operator::Arithmetic(Binary::Sub), &[id, means])?;
        }
        let squares = self.curve(Function::X * Function::X, id)?;
        let variance = self.lower(mean, &[squares])?;
        let deviation = (Function::X + Function::Constant(epsilon.into())).then(Unary::Sqrt);
        let scale = self.curve(Function::Constant(1.0) / deviation, variance)?;
        self.lower(Operator::Arithmetic(Binary::Mul), &[id, scale])
    }

    /// InstanceNormalization and GroupNormalization: each channel, or each group of them, by its own mean and variance.
    pub(super) fn group_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let from @ Shape { h, w, c } = self.shape(&input);
        let groups = int(node, "num_groups", i64::from(c));
        let groups = match u32::try_from(groups) {
            Ok(groups) if groups > 0 && c.is_multiple_of(groups) => groups,
            _ => return refuse(format!("{groups} groups of {c} channels"), "the file contradicts itself"),
        };
        self.spend(4 * c as usize)?;
        // Before operator set 21 there was one number for each group.
        let numbers = |index| -> Result<Vec<f32>, Refusal> {
            let constant = self.constant(node, index)?;
            match (constant.floats()?, c as usize / constant.len().max(1)) {
                (numbers, 1) if numbers.len() == c as usize => Ok(numbers.to_vec()),
                (numbers, each) if numbers.len() == groups as usize => {
                    Ok(numbers.iter().flat_map(|&number| std::iter::repeat_n(number, each)).collect())
                }
                _ => refuse(format!("{} numbers for {c} channels", constant.len()), "the file contradicts itself"),
            }
        };
        let (gamma, beta) = (numbers(1)?, numbers(2)?);
        let epsilon = float(node, "epsilon", 1e-5);
        let norm = Norm { gamma, beta, mean: vec![0.0; c as usize], variance: vec![1.0; c as usize], epsilon: 0.0 };
        let mut id = input.node;
        if groups == c {
            id = self.normalized(id, [true, true, false], epsilon, true)?;
        } else {
            id = self.lower(Operator::Reshape(Shape::new(h * w, groups, c / groups)), &[id])?;
            id = self.normalized(id, [true, false, true], epsilon, true)?;
            id = self.lower(Operator::Reshape(from), &[id])?;
        }
        let id = self.lower(Operator::Norm(norm), &[id])?;
        self.set_map(node, id, &input);
        Ok(())
    }

    /// LayerNormalization and RMSNormalization: over all dimensions from an axis on.
    pub(super) fn layer_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let input = self.in_order(input)?;
        let (rank, first) = (input.dims.len(), int(node, "axis", -1));
        let mut axes = [false; 3];
        for dim in from_end(first, rank)..rank {
            match input.axis(dim as i64) {
                Some(axis) if dim > 0 => axes[axis] = true,
                _ => return refuse(format!("from axis {first} of {:?} on", input.dims), "the first one is the batch"),
            }
        }
        let centered = node.op_type == "LayerNormalization";
        let id = self.normalized(input.node, axes, float(node, "epsilon", 1e-5), centered)?;
        let mut result = Activation { node: id, ..input };
        for (index, binary) in [(1, Binary::Mul), (2, Binary::Add)] {
            if let Some(constant) = self.optional(node, index)? {
                result = self.with_constant(binary, result, &constant, false)?;
            }
        }
        self.set_activation(node, result);
        Ok(())
    }

    /// CumSum.
    pub(super) fn cumulative_sum(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (input, axes) = (self.activation(node, 0)?, self.list(node, 1, "axis")?.unwrap_or_default());
        let (exclusive, reverse) = (int(node, "exclusive", 0) != 0, int(node, "reverse", 0) != 0);
        let axis = axes.first().and_then(|&axis| input.axis(axis)).filter(|_| input.flattened.is_none());
        let Some(axis) = axis else { return refuse(format!("sums along axis {axes:?} of {:?}", input.dims), "") };
        let id = self.lower(Operator::CumulativeSum { axis, exclusive, reverse }, &[input.node])?;
        self.set_activation(node, Activation { node: id, ..input });
        Ok(())
    }

    /// LRN: each element over a power of the squares' mean over the channels around it, which is a pool over rows of channels.
    pub(super) fn response_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.map(node, 0)?;
        let Shape { h, w, c } = self.shape(&input);
        let size = match u32::try_from(int(node, "size", 0)) {
            Ok(size) if (1..=Window::MAX_EXTENT).contains(&size) => size,
            _ => return refuse("a window over no channels", "the file contradicts itself"),
        };
        let number = |name, default| Function::Constant(f64::from(float(node, name, default)));
        let [alpha, beta, bias] = [number("alpha", 1e-4), number("beta", 0.75), number("bias", 1.0)];
        let squares = self.curve(Function::X * Function::X, input.node)?;
        let rows = self.lower(Operator::Reshape(Shape::new(h * w, c, 1)), &[squares])?;
        let around = (size - 1) / 2;
        let window = Window { kernel: [1, size], stride: [1; 2], before: [0, around], after: [0, size - 1 - around] };
        let means = self.lower(Operator::Pool(Pool::AverageWithPadding([0; 2]), window), &[rows])?;
        let means = self.lower(Operator::Reshape(Shape::new(h, w, c)), &[means])?;
        // x^-beta.
        let scale = (Function::X * alpha + bias).then(Unary::Log) * (Function::Constant(0.0) - beta);
        let scale = self.curve(scale.then(Unary::Exp), means)?;
        let id = self.lower(Operator::Arithmetic(Binary::Mul), &[input.node, scale])?;
        self.set_map(node, id, &input);
        Ok(())
    }
}

/// What a length by powers of `p` sums up of each element, and what it makes of the sum.
pub(super) fn length(p: i64) -> Result<(Function, Function), Refusal> {
    let x = || Function::X;
    match p {
        1 => Ok((x().then(Unary::Abs), x())),
        2 => Ok((x() * x(), x().then(Unary::Sqrt))),
        3..=8 => {
            let power = (1..p).fold(x().then(Unary::Abs), |power, _| power * x().then(Unary::Abs));
            let root = (x().then(Unary::Log) * Function::Constant(1.0 / p as f64)).then(Unary::Exp);
            Ok((power, root))
        }
        p => refuse(format!("a length by powers of {p}"), "powers from 1 to 8 are supported"),
    }
}
