//! Arithmetic with two operands.

use kinglet::ops::{Add, Mul, Sub};
use kinglet::{Activation, DType, QuantParams, Rounding, Shape, Window};

use super::super::draft::{Draft, GivenFunction};
use super::super::problem::{Refusal, refuse};
use super::super::source::{Bias, Elements, Filter, List, Norm, Numbers, Operand, Output};
use super::function::unexplained;
use super::{Operands, constant_of};
use crate::graph::{Binary, ConstantFunction, Function, NodeId, Op};
use crate::quantize::lookup;

/// Expressions do not grow beyond this: a file could double one with every node.
pub(in super::super) const MAX_SIZE: usize = 64;

impl Draft {
    pub(super) fn arithmetic(
        &mut self,
        binary: Binary,
        inputs: Vec<Operand>,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        match constant_of(inputs)? {
            Operands::Values(a, b) => match super::both(self.elements(a), output.elements)? {
                Some(_) => self.of_integers(binary, a, b, output),
                None => {
                    let id = self.of_reals(binary, a, b)?;
                    self.activated(id, output.activation)
                }
            },
            Operands::Constant(input, List::Reals(numbers), first) if output.elements.is_none() => {
                let id = self.with_reals(binary, input, &numbers, first)?;
                self.activated(id, output.activation)
            }
            Operands::Constant(input, List::Integers(numbers, elements), first) => {
                self.with_integers(binary, input, (numbers, elements), first, output)
            }
            Operands::Constant(..) => refuse("a constant in floats beside integers", "quantize all of the network"),
        }
    }

    /// A value of floats after an activation.
    fn activated(&mut self, id: NodeId, activation: Activation) -> Result<NodeId, Refusal> {
        match activation {
            Activation::None => Ok(id),
            Activation::Relu => self.real(id, Function::relu()),
            Activation::Relu6 => self.real(id, Function::relu6()),
            Activation::ReluN1To1 => self.real(id, Function::X.clip(-1.0, 1.0)),
        }
    }

    pub(super) fn of_integers(
        &mut self,
        binary: Binary,
        a: NodeId,
        b: NodeId,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let (Some(x), Some(y), Some(to)) = (self.elements(a), self.elements(b), output.elements) else {
            return refuse("operands of floats and of integers", "quantize all of the network");
        };
        if [x.dtype, y.dtype] != [to.dtype; 2] {
            return refuse("operands of different types", "convert the model with one type of activations");
        }
        let (rounding, clamp) = (self.rounding(false), kinglet::Clamp::full(to.dtype));
        let valid = match binary {
            Binary::Add => Add::new(x.quant, y.quant, to.quant, to.dtype, rounding, clamp).is_some(),
            Binary::Sub => Sub::new(x.quant, y.quant, to.quant, to.dtype, rounding, clamp).is_some(),
            Binary::Mul => Mul::new(x.quant, y.quant, to.quant, rounding, clamp).is_some(),
            Binary::Min | Binary::Max => return self.extremum(binary == Binary::Max, [a, b], [x, y, to], output),
            Binary::Div => return refuse("a quotient of two activations", DIVISION),
        };
        if !valid {
            return refuse("scales whose ratio is out of range", "");
        }
        let op = match binary {
            Binary::Add => Op::Add,
            Binary::Sub => Op::Sub,
            _ => Op::Mul,
        };
        self.push(op, &[a, b], output)
    }

    /// MAXIMUM and MINIMUM of two maps: of two pixels that lie side by side. The maps' channels are joined, and read as a map
    /// of twice the width. The lesser of two is the greater one in the opposite order.
    fn extremum(
        &mut self,
        greater: bool,
        operands: [NodeId; 2],
        [x, y, to]: [Elements; 3],
        output: Output,
    ) -> Result<NodeId, Refusal> {
        demand_one_scale(&[x, y], to)?;
        let shapes = operands.map(|id| self.shape(id));
        let Shape { h, w, c } = shapes[0];
        if shapes[0] != shapes[1] {
            return refuse(format!("shapes {shapes:?}"), "both maps have one shape, or one operand is a number");
        }
        let (within, operands) = if greater {
            (Some(to), operands)
        } else {
            (Some(opposite(to)), [self.mirrored_order(operands[0], to)?, self.mirrored_order(operands[1], to)?])
        };
        let joint = self.push(Op::Concat, &operands, within)?;
        let pixels = self.read_as(joint, Shape::new(h, 2 * w, c))?;
        let window = Window { kernel: [1, 2], stride: [1, 2], before: [0; 2], after: [0; 2] };
        let pool = Op::MaxPool(window);
        if greater {
            return self.push(pool, &[pixels], output);
        }
        let least = self.push(pool, &[pixels], within)?;
        self.mirrored_order(least, opposite(to))
    }

    /// All integers in the opposite order: `-1 - x`. Of elements `of` they stand for those of [`opposite`].
    pub(super) fn mirrored_order(&mut self, input: NodeId, of: Elements) -> Result<NodeId, Refusal> {
        let to = opposite(of);
        if of.dtype == DType::I8 {
            return self.table(lookup::mirrored(), input, Some(to).into());
        }
        let channels = self.shape(input).c as usize;
        self.spend(2 * channels)?;
        let data = List::Integers(vec![-1; channels], of);
        self.push(Op::Constant { function: ConstantFunction::SubFrom, data }, &[input], Some(of))
    }

    /// A map like `input` that holds a constant: nothing of the input, and the constant added.
    fn constant_map(&mut self, input: NodeId, mut data: Vec<i16>, of: Elements) -> Result<NodeId, Refusal> {
        let channels = self.shape(input).c as usize;
        if let [value] = data[..] {
            data = vec![value; channels];
        }
        self.spend(4 * channels)?;
        let weights = Numbers::Integers { values: vec![0; channels], scales: vec![1.0] };
        let weights = Filter { weights, bias: Bias::Integers(vec![0; channels], false) };
        let nothing = Op::DepthwiseConv2d { window: Window::global([1, 1]), weights };
        let zeros = self.push_rounded(nothing, &[input], Some(of).into(), Rounding::Double)?;
        let (function, data) = (ConstantFunction::Add, List::Integers(data, of));
        self.push(Op::Constant { function, data }, &[zeros], Some(of))
    }

    /// Arithmetic of integers with a constant, which is on the left if `first`.
    fn with_integers(
        &mut self,
        binary: Binary,
        input: NodeId,
        (mut data, constant): (Vec<i16>, Elements),
        first: bool,
        output: Output,
    ) -> Result<NodeId, Refusal> {
        let Some([from, to]) = super::both(self.elements(input), output.elements)? else {
            return refuse("a constant of integers beside floats", "quantize all of the network, or nothing");
        };
        if from.dtype != to.dtype || from.dtype != constant.dtype {
            return refuse("operands of different types", "");
        }
        let function = match (binary, first) {
            (Binary::Mul, _) => ConstantFunction::Mul,
            (Binary::Add, _) => ConstantFunction::Add,
            (Binary::Sub, false) => ConstantFunction::Sub,
            (Binary::Sub, true) => ConstantFunction::SubFrom,
            (Binary::Min | Binary::Max, _) => {
                demand_one_scale(&[from, constant], to)?;
                if let ([value], DType::I8) = (&data[..], to.dtype) {
                    return self.table(lookup::extremum(*value as i8, binary == Binary::Max), input, output);
                }
                let bounds = self.constant_map(input, data, to)?;
                return self.extremum(binary == Binary::Max, [input, bounds], [from, constant, to], output);
            }
            (Binary::Div, first) => {
                let (DType::I8, [value]) = (from.dtype, &data[..]) else {
                    return refuse("a quotient of more than one number", DIVISION);
                };
                let (quants, value) = ([from.quant, constant.quant, to.quant], *value as i8);
                let table = lookup::quotient(quants, value, first, output.activation, self.rounding(false));
                return self.table(table.map_err(unexplained)?, input, output);
            }
        };
        let shape = self.shape(input);
        match data[..] {
            [value] if from.dtype == DType::I8 => {
                let (quants, value) = ([from.quant, constant.quant, to.quant], value as i8);
                let rounding = (self.rounding(false), self.mode().is_double());
                let table = lookup::with_constant(function, quants, value, output.activation, rounding);
                return self.table(table.map_err(unexplained)?, input, output);
            }
            [value] => data = vec![value; shape.c as usize],
            _ => {}
        }
        if ![shape.c, shape.len()].contains(&(data.len() as u32)) {
            return refuse(
                format!("a constant of {} numbers", data.len()),
                "a constant has one element, or a shape that is spread over the activation's",
            );
        }
        let data = List::Integers(data, constant);
        self.push(Op::Constant { function, data }, &[input], output)
    }

    /// The node, and those that it is a function of, the nearest first: which function of each.
    fn origins(&self, mut id: NodeId) -> Vec<(NodeId, Function)> {
        let mut origins = vec![(id, Function::X)];
        let mut outer = Function::X;
        while let (Op::Function(GivenFunction::Real(function)), [input]) =
            (&self.node(id).op, &self.node(id).inputs[..])
        {
            outer = outer.of(function);
            if outer.size() > MAX_SIZE {
                break;
            }
            id = *input;
            origins.push((id, outer.clone()));
        }
        origins
    }

    /// Arithmetic with two values of floats.
    pub(super) fn of_reals(&mut self, binary: Binary, a: NodeId, b: NodeId) -> Result<NodeId, Refusal> {
        if self.shape(a).same(self.shape(b)) {
            // Two functions of the same elements are one, as in `x * sigmoid(x)`.
            let others = self.origins(b);
            for (origin, left) in self.origins(a) {
                if let Some((_, right)) = others.iter().find(|(id, _)| *id == origin)
                    && left.size() + right.size() < MAX_SIZE
                {
                    return self.real(origin, left.with(binary, right.clone()));
                }
            }
        }
        match binary {
            Binary::Add => self.push(Op::Add, &[a, b], None),
            Binary::Mul => self.push(Op::Mul, &[a, b], None),
            Binary::Sub => self.push(Op::Sub, &[a, b], None),
            Binary::Max | Binary::Min => {
                let (more, less) = if binary == Binary::Max { (b, a) } else { (a, b) };
                let difference = self.push(Op::Sub, &[more, less], None)?;
                let above = self.real(difference, Function::relu())?;
                let op = if binary == Binary::Max { Op::Add } else { Op::Sub };
                self.push(op, &[a, above], None)
            }
            Binary::Div => {
                let reciprocal = self.real(b, Function::Constant(1.0) / Function::X)?;
                self.push(Op::Mul, &[a, reciprocal], None)
            }
        }
    }

    /// Arithmetic of floats with a constant, which is on the left if `first`: one number, one for each channel, or one for
    /// each element in our order.
    pub(super) fn with_reals(
        &mut self,
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
            return self.real(input, left.with(binary, right));
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
            (Binary::Div, true) | (Binary::Min | Binary::Max, _) => {
                return refuse("bounds or quotients that differ from channel to channel", "use one number for all");
            }
        };
        if !whole {
            let (ones, zeros) = (vec![1.0; c], vec![0.0; c]);
            let (gamma, beta) = (factors.unwrap_or(ones.clone()), offsets.unwrap_or(zeros.clone()));
            let norm = Norm { gamma, beta, mean: zeros, variance: ones, epsilon: 0.0 };
            return self.push(Op::BatchNorm(norm), &[input], None);
        }
        let (function, input, data) = match (factors, offsets) {
            (Some(factors), None) => (ConstantFunction::Mul, input, factors),
            (None, Some(offsets)) => (ConstantFunction::Add, input, offsets),
            (_, offsets) => {
                (ConstantFunction::Add, self.real(input, Function::negated())?, offsets.unwrap_or_default())
            }
        };
        self.push(Op::Constant { function, data: List::Reals(data) }, &[input], None)
    }
}

const DIVISION: &str = "multiply by its reciprocal, or normalize with constants";

/// What elements stand for in the opposite order; of int16, which have no zero point, it is another number.
pub(super) fn opposite(of: Elements) -> Elements {
    match of.dtype {
        DType::I8 => Elements { quant: QuantParams { zero_point: -1 - of.quant.zero_point, ..of.quant }, ..of },
        _ => of,
    }
}

/// Demands elements of one scale, since TensorFlow Lite compares integers as they are.
fn demand_one_scale(operands: &[Elements], to: Elements) -> Result<(), Refusal> {
    if operands.iter().all(|from| from.same(to)) {
        return Ok(());
    }
    refuse("operands of different scales", "TensorFlow Lite compares integers as they are: it demands one scale")
}
