//! What an element becomes by others of its image: normalization, and sums along an axis.

use kinglet::{Shape, Window};

use super::context::{Activation, Context, float, int};
use super::proto::NodeProto;
use crate::graph::{Binary, Function, NodeId, Unary};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Curve, Operator, Pool, Reduction};

impl<'m> Context<'m> {
    /// A function of each element.
    pub(super) fn curve(&mut self, function: Function, input: NodeId) -> Result<NodeId, Refusal> {
        match function {
            Function::X => Ok(input),
            function => self.lower(Operator::Function(Curve::Other(function)), &[input]),
        }
    }

    /// LpNormalization: each element over the length of its row, its column or its channels, all of which are absolute values or
    /// squares.
    pub(super) fn lp_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        let (axis, p) = (int(node, "axis", -1), int(node, "p", 2));
        let Some(along) = input.axis(axis).filter(|_| input.flattened.is_none()) else {
            return refuse(format!("a length along axis {axis} of {:?}", input.dims), "");
        };
        let x = || Function::X;
        let (power, root) = match p {
            2 if along == 2 => {
                let id = self.lower(Operator::L2Norm, &[input.node])?;
                self.set_activation(node, Activation { node: id, ..input });
                return Ok(());
            }
            1 => (x().then(Unary::Abs), x()),
            2 => (x() * x(), x().then(Unary::Sqrt)),
            p => return refuse(format!("a length by powers of {p}"), "only sums of absolute values or of squares"),
        };
        let mut axes = [false; 3];
        axes[along] = true;
        let powers = self.curve(power, input.node)?;
        let sums = self.lower(Operator::Reduce { reduction: Reduction::Sum, axes }, &[powers])?;
        let lengths = self.curve(root, sums)?;
        let id = self.lower(Operator::Arithmetic(Binary::Div), &[input.node, lengths])?;
        self.set_activation(node, Activation { node: id, ..input });
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
