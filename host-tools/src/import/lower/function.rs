//! Functions of one element: of integers as tables, or as the operators that the runtime has for int16.

use kinglet::ops;
use kinglet::{Activation, DType, QuantParams};

use super::super::draft::{Draft, Given, GivenFunction};
use super::super::problem::{Refusal, refuse};
use super::super::source::{Curve, Elements, List, Output};
use super::super::{Relu6, RoundingMode};
use crate::graph::{Binary, ConstantFunction, Function, NodeId, Op, StoredFunction};
use crate::quantize::lookup;

/// What is done about RELU6 between different scales.
const RESCALED: &str = "RELU6 that stands alone rescales, as the network was trained and as TensorFlow Lite does; TensorFlow Lite \
                        Micro only clamps its input's integers (--relu6 tflm)";

impl Draft {
    pub(super) fn function(&mut self, input: NodeId, curve: &Curve, output: Output) -> Result<NodeId, Refusal> {
        let Some([from, to]) = super::both(self.elements(input), output.elements)? else {
            return match curve {
                Curve::Same => Ok(input),
                _ => self.real(input, curve.real()),
            };
        };
        if [from.dtype, to.dtype] != [DType::I8; 2] {
            let op = self.int16_function(curve, from, to, self.shape(input).c as usize)?;
            return self.push(op, &[input], output);
        }
        let (rounding, desktop) = (self.rounding(false), self.mode() == RoundingMode::Reference);
        let (x, y) = (from.quant, to.quant);
        let table = match curve {
            Curve::Same => lookup::requantized(x, y, rounding),
            Curve::Relu => lookup::clamped(x, y, Activation::Relu, rounding),
            Curve::Relu6 if self.relu6() == Relu6::Tflm => Ok(lookup::micro_relu6(x)),
            Curve::Relu6 => {
                if !x.same(y) {
                    self.note(RESCALED);
                }
                lookup::clamped(x, y, Activation::Relu6, rounding)
            }
            Curve::ReluN1To1 => lookup::clamped(x, y, Activation::ReluN1To1, rounding),
            Curve::Logistic if desktop => Ok(lookup::logistic_in_floats(x, y)),
            Curve::Tanh if desktop => Ok(lookup::tanh_in_floats(x, y)),
            Curve::Logistic => lookup::logistic(x, y, rounding),
            Curve::Tanh => lookup::tanh(x, y, rounding),
            Curve::HardSwish => lookup::hard_swish(x, y),
            Curve::Elu => Ok(lookup::elu(x, y)),
            Curve::Abs => {
                let [ratio, _] = lookup::slopes(x.scale, y.scale, 1.0, self.mode().is_double());
                lookup::abs(x, y, ratio, rounding)
            }
            Curve::Rsqrt => lookup::rsqrt(x, y, rounding),
            Curve::Gelu { approximate } => Ok(lookup::gelu(x, y, *approximate)),
            Curve::LeakyRelu(slope) => {
                let factors = lookup::slopes(x.scale, y.scale, *slope, self.mode().is_double());
                lookup::leaky_relu(x, y, factors, rounding)
            }
            Curve::Other(_) => {
                return refuse(
                    "a function of int8 that is computed in integers there",
                    "leave it in floats, or import the float model with calibration images",
                );
            }
        };
        self.table(table.map_err(unexplained)?, input, output)
    }

    /// The same of int16 elements, for which TensorFlow Lite Micro has fewer.
    fn int16_function(
        &mut self,
        curve: &Curve,
        from: Elements,
        to: Elements,
        channels: usize,
    ) -> Result<Op<Given>, Refusal> {
        if *curve == Curve::Same {
            return Ok(Op::Activate(Activation::None));
        }
        if from.dtype != to.dtype {
            return refuse("input and output have different types", "the file contradicts itself");
        }
        let stored = |function| Ok(Op::Function(GivenFunction::Stored(function)));
        match curve {
            Curve::Relu => Ok(Op::Activate(Activation::Relu)),
            Curve::ReluN1To1 => Ok(Op::Activate(Activation::ReluN1To1)),
            Curve::Relu6 if from.quant.same(to.quant) => Ok(Op::Activate(Activation::Relu6)),
            Curve::Relu6 if self.relu6() == Relu6::Rescale => {
                self.note(RESCALED);
                Ok(Op::Activate(Activation::Relu6))
            }
            Curve::Relu6 => refuse("input and output have different scales", "rescale (--relu6 rescale)"),
            Curve::LeakyRelu(slope) if !(*slope >= 0.0 && slope.is_finite()) => {
                refuse(format!("a slope of {slope}"), "only slopes that are not negative are supported")
            }
            Curve::LeakyRelu(slope) => stored(StoredFunction::Slope(*slope)),
            Curve::Logistic | Curve::Tanh if (to.quant.scale * 32768.0 - 1.0).abs() > 1e-3 => {
                refuse("the output's scale is not 2^-15", "TensorFlow Lite Micro demands it too")
            }
            Curve::Logistic => stored(StoredFunction::Curve(ops::Curve::Logistic)),
            Curve::Tanh => stored(StoredFunction::Curve(ops::Curve::Tanh)),
            // Below zero times -1.
            Curve::Abs => {
                let minus = Elements { quant: QuantParams { scale: 1.0, zero_point: 0 }, ..from };
                Ok(Op::Constant { function: ConstantFunction::Prelu, data: List::Integers(vec![-1; channels], minus) })
            }
            Curve::Same | Curve::HardSwish | Curve::Elu | Curve::Rsqrt | Curve::Gelu { .. } | Curve::Other(_) => {
                refuse("it is not supported for int16", "TensorFlow Lite Micro has it for int8 only: convert to int8")
            }
        }
    }

    /// A value of floats times a number.
    pub(super) fn scaled(&mut self, input: NodeId, factor: f32) -> Result<NodeId, Refusal> {
        self.real(input, Function::X.with(Binary::Mul, Function::Constant(factor.into())))
    }

    /// PRelu; with one slope for all a function of one element.
    pub(super) fn prelu(&mut self, input: NodeId, slopes: List, output: Output) -> Result<NodeId, Refusal> {
        let shape = self.shape(input);
        if ![1, shape.c, shape.len()].contains(&(slopes.len() as u32)) {
            return refuse(
                format!("{} slopes", slopes.len()),
                "there is one slope for all elements, for each channel, or for each element",
            );
        }
        let (slopes, quant, [from, to]) = match (slopes, super::both(self.elements(input), output.elements)?) {
            (List::Integers(slopes, quant), Some(ends)) => (slopes, quant, ends),
            (List::Reals(slopes), None) => return self.prelu_of_reals(input, &slopes),
            _ => return refuse("its operands are not all quantized", "quantize all of the network"),
        };
        if [from.dtype, to.dtype, quant.dtype] != [DType::I8; 3] {
            return refuse("its operands are not int8", "");
        }
        let rounding = self.rounding(false);
        if let [first, ..] = slopes[..]
            && slopes.iter().all(|slope| *slope == first)
        {
            let slope = (i32::from(first), quant.quant);
            let table = lookup::prelu(from.quant, to.quant, slope, rounding).map_err(unexplained)?;
            return self.table(table, input, output);
        }
        let data = List::Integers(slopes, quant);
        self.push(Op::Constant { function: ConstantFunction::Prelu, data }, &[input], output)
    }

    fn prelu_of_reals(&mut self, input: NodeId, slopes: &[f32]) -> Result<NodeId, Refusal> {
        if let [first, ..] = slopes
            && slopes.iter().all(|slope| slope == first)
        {
            return self.real(input, Function::leaky_relu(f64::from(*first)));
        }
        // A number for each element.
        let slopes = slopes.iter().copied().cycle().take(self.shape(input).len() as usize).collect();
        self.spend(4 * self.shape(input).len() as usize)?;
        self.push(Op::Constant { function: ConstantFunction::Prelu, data: List::Reals(slopes) }, &[input], None)
    }
}

/// A reason without a hint.
pub(super) fn unexplained(reason: String) -> Refusal {
    (reason, String::new())
}
