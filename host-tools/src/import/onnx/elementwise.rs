//! Operators on single elements: activations, normalization, arithmetic.

use super::context::{Activation, Context, Value, attribute, float, int};
use super::proto::NodeProto;
use super::tensor::Constant;
use crate::graph::{Binary, Function, Unary};
use crate::import::problem::{Refusal, refuse};
use crate::import::source::{Comparison, Curve, FileNode, List, Norm, Operand, Operator, Output, broadcast};

/// The function of one element that a node computes by itself, if it is one.
fn function(node: &NodeProto) -> Option<Function> {
    let number = |name: &str, default: f32| f64::from(float(node, name, default));
    let x = || Function::X;
    let constant = Function::Constant;
    let elementary = |unary| Some(x().then(unary));
    match node.op_type.as_str() {
        "Abs" => elementary(Unary::Abs),
        "Celu" => {
            let alpha = number("alpha", 1.0);
            let below = (Function::negative() / constant(alpha)).then(Unary::Exp) - constant(1.0);
            Some(Function::relu() + constant(alpha) * below)
        }
        "Elu" => Some(Function::elu(number("alpha", 1.0))),
        "Erf" => elementary(Unary::Erf),
        "Exp" => elementary(Unary::Exp),
        "Gelu" => Some(Function::gelu(attribute(node, "approximate").is_some_and(|a| a.s == b"tanh"))),
        "HardSigmoid" => Some(Function::hard_sigmoid(number("alpha", 0.2), number("beta", 0.5))),
        "HardSwish" => Some(Function::hard_swish()),
        "LeakyRelu" => Some(Function::leaky_relu(number("alpha", 0.01))),
        "Log" => elementary(Unary::Log),
        "Mish" => Some(x() * x().then(Unary::Softplus).then(Unary::Tanh)),
        "Neg" => Some(Function::negated()),
        // Of truth values, which are 0 and 1.
        "Not" => Some(constant(1.0) - x()),
        "Reciprocal" => Some(constant(1.0) / x()),
        "Relu" => Some(Function::relu()),
        "Selu" => Some(constant(number("gamma", 1.050_701)) * Function::elu(number("alpha", 1.673_263_2))),
        "Sigmoid" => elementary(Unary::Sigmoid),
        "Sign" => Some(x().then(Unary::Step) - Function::negated().then(Unary::Step)),
        "Softplus" => elementary(Unary::Softplus),
        "Softsign" => Some(x() / (constant(1.0) + x().then(Unary::Abs))),
        "Sqrt" => elementary(Unary::Sqrt),
        "Swish" => Some(x() * (constant(number("alpha", 1.0)) * x()).then(Unary::Sigmoid)),
        "Tanh" => elementary(Unary::Tanh),
        "ThresholdedRelu" => Some(x() * (x() - constant(number("alpha", 1.0))).then(Unary::Step)),
        _ => None,
    }
}

impl<'m> Context<'m> {
    /// Imports a node that is a function of one element; whether it was one.
    pub(super) fn activation_function(&mut self, node: &'m NodeProto) -> Result<bool, Refusal> {
        let function = match node.op_type.as_str() {
            "Clip" => self.clip(node)?,
            "Pow" => self.power(node)?,
            _ => match function(node) {
                Some(function) => function,
                None => return Ok(false),
            },
        };
        // Whatever the dimensions, it is a function of each element.
        if let Value::Apart(mut apart) = self.value(node, 0)?.clone() {
            apart.map.node = self.curve(function, apart.map.node)?;
            self.set(node, Value::Apart(apart));
            return Ok(true);
        }
        let input = self.activation(node, 0)?;
        let id = self.lower(Operator::Function(Curve::Other(function.clone())), &[input.node])?;
        // A length that is kept from zero is a length, as PyTorch's `normalize` has it.
        if let Some(&of) = self.lengths.get(&input.node)
            && node.op_type == "Clip"
            && [1e-6, 1e6].iter().all(|length| (function.at(*length) / length - 1.0).abs() < 1e-3)
        {
            self.lengths.insert(id, of);
        }
        self.set_activation(node, Activation { node: id, ..input });
        Ok(true)
    }

    fn clip(&self, node: &NodeProto) -> Result<Function, Refusal> {
        let bound = |index, attribute, default| -> Result<f64, Refusal> {
            match self.optional(node, index)? {
                Some(bound) => Ok(bound.scalar()?.into()),
                None => Ok(float(node, attribute, default).into()),
            }
        };
        let (min, max) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
        if min.is_nan() || max.is_nan() {
            return refuse("a bound that is not a number", "");
        }
        let open = |bound: f64| if bound.abs() >= f64::from(f32::MAX) { bound * f64::INFINITY } else { bound };
        Ok(Function::X.clip(open(min), open(max)))
    }

    /// Powers that are products and roots.
    fn power(&self, node: &NodeProto) -> Result<Function, Refusal> {
        let x = || Function::X;
        match self.constant(node, 1)?.number()? {
            1.0 => Ok(x()),
            2.0 => Ok(x() * x()),
            3.0 => Ok(x() * x() * x()),
            0.5 => Ok(x().then(Unary::Sqrt)),
            -1.0 => Ok(Function::Constant(1.0) / x()),
            other => refuse(format!("a power of {other}"), "powers of 1, 2, 3, 1/2 and -1 are supported"),
        }
    }

    pub(super) fn batch_norm(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let input = self.activation(node, 0)?;
        if int(node, "training_mode", 0) != 0 {
            return refuse("training mode", "export the model for inference");
        }
        // Before operator set 14 the outputs of training were what told of it.
        if self.opset < 14 && node.output.iter().skip(1).any(|output| !output.is_empty()) {
            return refuse("training mode, with the batch's statistics as outputs", "export the model for inference");
        }
        let c = self.shape(&input).c as usize;
        self.spend(4 * c)?;
        let numbers = |index| -> Result<Vec<f32>, Refusal> {
            let constant = self.constant(node, index)?;
            if constant.len() != c {
                return refuse(format!("statistics of dimensions {:?} for {c} channels", constant.dims), "");
            }
            Ok(input.in_our_order(constant.floats()?))
        };
        let norm = Norm {
            gamma: numbers(1)?,
            beta: numbers(2)?,
            mean: numbers(3)?,
            variance: numbers(4)?,
            epsilon: float(node, "epsilon", 1e-5),
        };
        let id = self.lower(Operator::Norm(norm), &[input.node])?;
        self.set_activation(node, Activation { node: id, ..input });
        Ok(())
    }

    /// Add, Sub, Mul, Div, Min, Max of activations and constants; Add, Min and Max have any number of operands.
    pub(super) fn arithmetic(&mut self, node: &'m NodeProto, binary: Binary) -> Result<(), Refusal> {
        let result = self.combined(node, binary)?;
        self.set_activation(node, result);
        Ok(())
    }

    /// Greater, Less and their like: 1 or 0.
    pub(super) fn comparison(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let difference = self.combined(node, Binary::Sub)?;
        let comparison = match node.op_type.as_str() {
            "Greater" => Comparison::Greater,
            "Less" => Comparison::Less,
            "GreaterOrEqual" => Comparison::GreaterOrEqual,
            "Equal" => Comparison::Equal,
            _ => Comparison::LessOrEqual,
        };
        let id = self.curve(comparison.of_difference(), difference.node)?;
        self.set_activation(node, Activation { node: id, ..difference });
        Ok(())
    }

    /// Where: the one times the condition, which is 1 or 0, plus the other times what it lacks to 1.
    pub(super) fn chosen(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let condition = self.activation(node, 0)?;
        let rest = Function::Constant(1.0) - Function::X;
        let rest = self.lower(Operator::Function(Curve::Other(rest)), &[condition.node])?;
        let rest = Activation { node: rest, ..condition.clone() };
        let [yes, no] = [(condition, 1), (rest, 2)].map(|(factor, index)| match self.value(node, index)?.clone() {
            Value::Constant(constant) if !constant.floats()?.iter().all(|x| x.is_finite()) => {
                refuse("a choice of what is not finite", "mask with large numbers instead")
            }
            Value::Constant(constant) => self.with_constant(Binary::Mul, factor, &constant, false),
            _ => {
                let value = self.activation(node, index)?;
                self.binary(Binary::Mul, factor, value)
            }
        });
        let sum = self.binary(Binary::Add, yes?, no?)?;
        self.set_activation(node, sum);
        Ok(())
    }

    /// What arithmetic makes of a node's inputs, from the left to the right.
    fn combined(&mut self, node: &'m NodeProto, binary: Binary) -> Result<Activation, Refusal> {
        let mut result: Option<Activation> = None;
        // What comes before the first activation: a file may have a constant on the left.
        let mut before: Vec<std::rc::Rc<Constant>> = Vec::new();
        for index in 0..node.input.len() {
            let value = self.value(node, index)?.clone();
            result = Some(match (value, result.take()) {
                (Value::Constant(constant), Some(left)) => self.with_constant(binary, left, &constant, false)?,
                (Value::Constant(constant), None) => {
                    before.push(constant);
                    continue;
                }
                (_, Some(left)) => {
                    let right = self.broadcast(node, index)?;
                    self.binary(binary, left, right)?
                }
                (_, None) => {
                    let mut right = self.broadcast(node, index)?;
                    for constant in std::mem::take(&mut before) {
                        right = self.with_constant(binary, right, &constant, true)?;
                    }
                    right
                }
            });
        }
        match result {
            Some(result) => Ok(result),
            None => refuse("constants only", "let the exporter fold constants"),
        }
    }

    /// Operand `index` of arithmetic, as it was before Expand if another operand has the dimensions that Expand gave it.
    fn broadcast(&self, node: &NodeProto, index: usize) -> Result<Activation, Refusal> {
        if let Value::Expanded(input, dims) = self.value(node, index)? {
            let like = |other: usize| {
                other != index && matches!(self.value(node, other), Ok(Value::Activation(other)) if other.dims == *dims)
            };
            if input.dims.len() == dims.len() && (0..node.input.len()).any(like) {
                return Ok(input.clone());
            }
        }
        self.activation(node, index)
    }

    fn binary(&mut self, binary: Binary, a: Activation, b: Activation) -> Result<Activation, Refusal> {
        let (mut a, mut b) = (a, b);
        if a.channels_last != b.channels_last {
            (a, b) = (self.channels_first(a)?, self.channels_first(b)?);
        }
        let alike = a.channels_last == b.channels_last || a.dims.len() == 2;
        if a.dims.len() != b.dims.len() || a.flattened != b.flattened || !alike {
            return refuse(format!("dimensions {:?} and {:?}", a.dims, b.dims), "both inputs must have the same shape");
        }
        let id = match binary {
            Binary::Div if self.lengths.get(&b.node) == Some(&a.node) => self.lower(Operator::L2Norm, &[a.node])?,
            _ => self.lower(Operator::Arithmetic(binary), &[a.node, b.node])?,
        };
        let dims = a.dims.iter().zip(&b.dims).map(|(&a, &b)| a.max(b)).collect();
        Ok(Activation { node: id, dims, ..a })
    }

    pub(super) fn with_constant(
        &mut self,
        binary: Binary,
        input: Activation,
        constant: &Constant,
        first: bool,
    ) -> Result<Activation, Refusal> {
        let numbers = List::Reals(self.spread(&input, constant)?);
        let mut inputs = vec![Operand::Value(input.node), Operand::Constant(numbers)];
        if first {
            inputs.reverse();
        }
        let output = Output::default();
        let id = self.draft.lower(FileNode { operator: Operator::Arithmetic(binary), inputs, output })?;
        Ok(Activation { node: id, ..input })
    }

    pub(super) fn prelu(&mut self, node: &'m NodeProto) -> Result<(), Refusal> {
        let (input, slopes) = (self.activation(node, 0)?, self.constant(node, 1)?);
        let slopes = self.spread(&input, &slopes)?;
        let id = self.lower(Operator::Prelu(List::Reals(slopes)), &[input.node])?;
        self.set_activation(node, Activation { node: id, ..input });
        Ok(())
    }

    /// The numbers of a constant that is broadcast over an activation: one, one for each channel, or one for each element
    /// in our order.
    fn spread(&mut self, input: &Activation, constant: &Constant) -> Result<Vec<f32>, Refusal> {
        let numbers = constant.floats()?;
        let extents: Vec<usize> = input.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
        let rank = extents.len();
        if numbers.len() == 1 {
            return Ok(numbers.to_vec());
        }
        let channels = if input.channels_last { rank.saturating_sub(1) } else { 1 };
        let from_last = rank.saturating_sub(channels);
        self.spend(numbers.len())?;
        if extents.get(channels) == Some(&numbers.len())
            && constant.dims.iter().rev().nth(from_last.saturating_sub(1)) == Some(&numbers.len())
        {
            return Ok(input.in_our_order(numbers));
        }
        self.spend(extents.iter().product())?;
        let Some(whole) = broadcast(numbers, &constant.dims, &extents) else {
            return refuse(format!("a constant of dimensions {:?} beside {:?}", constant.dims, input.dims), "");
        };
        Ok(input.in_our_order(&whole))
    }
}
