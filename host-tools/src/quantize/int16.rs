//! int8 weights with int16 activations, TensorFlow Lite's 16x8 scheme: the constants of a folded network's layers.
//!
//! Activations are symmetric, weights are the int8 ones, biases have 64 bits. Ranges are those that were chosen for 8 bits, so that
//! what shares a quantization there shares one here; with 16 bits there is no need to cut any off, and extremes are best.

use std::convert::Infallible;

use kinglet::ops::{Curve, Softmax};
use kinglet::quant::quantize;
use kinglet::{DType, QuantParams};

use super::int8::Quantized;
use super::pieces;
use super::scales::TANH;
use crate::graph::{
    Binary, Convert, Function, Node, Real, Stored, StoredConstant, StoredFunction, StoredWeights, Unary, Weights,
};

/// The quantization of probabilities, logistic functions and hyperbolic tangents, which TensorFlow Lite fixes.
pub const UNIT: QuantParams = QuantParams { scale: 1.0 / 32768.0, zero_point: 0 };

/// The quantization in 16 bits of a value that has `narrow` in 8: symmetric, and all that `narrow` rounds to one of its numbers
/// without cutting it off is within the range.
pub fn quant(narrow: QuantParams) -> QuantParams {
    if narrow.same(Softmax::OUTPUT) || narrow.same(TANH) {
        return UNIT;
    }
    let largest = (narrow.zero_point - DType::I8.min()).max(DType::I8.max() - narrow.zero_point);
    symmetric((f64::from(largest) + 0.5) * f64::from(narrow.scale))
}

/// The quantization in 8 bits of which [`quant`] makes one of scale `wide`.
pub fn narrow(wide: f32) -> QuantParams {
    let scale = f64::from(wide) * f64::from(DType::I16.max()) / (0.5 - f64::from(DType::I8.min()));
    QuantParams { scale: scale as f32, zero_point: 0 }
}

/// The quantization of numbers of magnitudes up to `largest`.
fn symmetric(largest: f64) -> QuantParams {
    let scale = (largest / f64::from(DType::I16.max())) as f32;
    // Nothing but zeros: any scale says that.
    if scale < f32::MIN_POSITIVE { UNIT } else { QuantParams { scale, zero_point: 0 } }
}

/// Constants for int16 activations of these quantizations; a function's are those of its [`Form`]'s last or only operator.
pub(super) struct Int16<'n> {
    pub(super) node: &'n Node<Real>,
    pub(super) input: QuantParams,
    pub(super) output: QuantParams,
    /// Of weights.
    pub(super) bits: u32,
}

impl Convert<Real, Stored> for Int16<'_> {
    type Error = Infallible;

    fn weights(&self, weights: &Weights) -> Result<StoredWeights, Infallible> {
        Ok(quantized(self, weights).stored())
    }

    fn constant(&self, numbers: &Vec<f32>) -> Result<StoredConstant, Infallible> {
        let quant = symmetric(numbers.iter().fold(0.0, |most: f64, x| most.max(f64::from(x.abs()))));
        let most = DType::I16.max();
        let data = numbers.iter().map(|&x| quantize(x, quant).clamp(-most, most) as i16).collect();
        Ok(StoredConstant { data, quant })
    }

    fn function(&self, function: &Function) -> Result<StoredFunction, Infallible> {
        Ok(match Form::of(function) {
            Form::Curve(curve) | Form::Gate(curve) => StoredFunction::Curve(curve),
            Form::Slope(slope) => StoredFunction::Slope(slope),
            Form::Pieces => StoredFunction::Pieces(pieces::fit(|x| function.at(x))),
        })
    }
}

/// The weights of a node. What only selects elements has weights of 1, which change none of the 16 bits.
pub(super) fn quantized(int16: &Int16<'_>, weights: &Weights) -> Quantized {
    let Int16 { node, input, output, bits } = *int16;
    if node.keeps_quantization() {
        let channels = weights.bias.len();
        let weights = weights.weights.iter().map(|&one_or_zero| one_or_zero as i8).collect();
        return Quantized { weights, scales: vec![1.0; channels], bias: vec![0; channels] };
    }
    Quantized::int16(weights, input, output, bits)
}

/// What a function of int16 elements is computed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// An operator of its own.
    Curve(Curve),
    /// The product of the element and that operator's result: SiLU.
    Gate(Curve),
    /// The elements below 0 multiplied by a factor.
    Slope(f32),
    /// None of these: by way of half precision, whose 11 bits are more than int8 weights are good for.
    Pieces,
}

impl Form {
    pub(super) fn of(function: &Function) -> Self {
        let curve = |function: &Function| match function {
            Function::Unary(Unary::Sigmoid, x) if **x == Function::X => Some(Curve::Logistic),
            Function::Unary(Unary::Tanh, x) if **x == Function::X => Some(Curve::Tanh),
            _ => None,
        };
        if let Some(curve) = curve(function) {
            return Form::Curve(curve);
        }
        match function {
            Function::Binary(Binary::Mul, a, b) if **a == Function::X => curve(b).map_or(Form::Pieces, Form::Gate),
            Function::Binary(Binary::Mul, a, b) if **b == Function::X => curve(a).map_or(Form::Pieces, Form::Gate),
            Function::Binary(Binary::Add, _, below) => match &**below {
                Function::Binary(Binary::Mul, slope, _) => match **slope {
                    Function::Constant(slope) if slope >= 0.0 && *function == Function::leaky_relu(slope) => {
                        Form::Slope(slope as f32)
                    }
                    _ => Form::Pieces,
                },
                _ => Form::Pieces,
            },
            _ => Form::Pieces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_operators() {
        let (x, sigmoid) = (|| Function::X, || Function::X.then(Unary::Sigmoid));
        for (function, form) in [
            (sigmoid(), Form::Curve(Curve::Logistic)),
            (x().then(Unary::Tanh), Form::Curve(Curve::Tanh)),
            (x() * sigmoid(), Form::Gate(Curve::Logistic)),
            (sigmoid() * x(), Form::Gate(Curve::Logistic)),
            (Function::leaky_relu(0.25), Form::Slope(0.25)),
            (Function::leaky_relu(-0.25), Form::Pieces),
            (x() * x(), Form::Pieces),
            (Function::hard_swish(), Form::Pieces),
            (x().then(Unary::Abs).then(Unary::Tanh), Form::Pieces),
        ] {
            assert_eq!(Form::of(&function), form, "{function:?}");
        }
    }

    /// Whatever int8 does not cut off is within the range of int16, and the range is not much larger.
    #[test]
    fn ranges_are_symmetric_and_hold_those_of_int8() {
        for zero_point in -128..=127 {
            let narrow = QuantParams { scale: 0.037, zero_point };
            let wide = quant(narrow);
            let ends = [DType::I8.min(), DType::I8.max()].map(|q| narrow.dequantize(q).abs());
            let (largest, most) = (ends[0].max(ends[1]) + 0.0185, wide.dequantize(DType::I16.max()));
            assert!(wide.zero_point == 0 && (most / largest - 1.0).abs() < 1e-5, "{zero_point}: {most} {largest}");
        }
        assert_eq!((quant(Softmax::OUTPUT), quant(TANH)), (UNIT, UNIT));
    }
}
