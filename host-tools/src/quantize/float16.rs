//! Half precision: weights and activations as f16, sums and biases in single precision.

use kinglet::kernels::float16::ordinal;
use kinglet::{QuantParams, f16};

use super::{QuantizeError, pieces};
use crate::graph::{Convert, Function, Node, Op, Real, Stored, StoredConstant, StoredFunction, StoredWeights, Weights};

/// The half-precision form of a node.
///
/// # Errors
/// When a number is beyond the largest f16.
pub(super) fn op(node: &Node<Real>) -> Result<Op<Stored>, QuantizeError> {
    node.op.convert(&F16 { name: &node.name })
}

/// Half-precision constants of the node of this name.
struct F16<'n> {
    name: &'n str,
}

impl Convert<Real, Stored> for F16<'_> {
    type Error = QuantizeError;

    fn weights(&self, weights: &Weights) -> Result<StoredWeights, QuantizeError> {
        Ok(StoredWeights::F16 { weights: nearest(&weights.weights, self.name)?, bias: weights.bias.clone() })
    }

    fn constant(&self, numbers: &Vec<f32>) -> Result<StoredConstant, QuantizeError> {
        Ok(StoredConstant { data: ordinals(numbers, self.name)?, quant: QuantParams::REAL })
    }

    fn function(&self, function: &Function) -> Result<StoredFunction, QuantizeError> {
        Ok(StoredFunction::Pieces(pieces::fit(|x| function.at(x))))
    }
}

fn nearest(numbers: &[f32], name: &str) -> Result<Vec<f16>, QuantizeError> {
    let nearest: Vec<f16> = numbers.iter().map(|&x| f16::from_f32(x)).collect();
    match nearest.iter().all(|x| x.is_finite()) {
        true => Ok(nearest),
        false => Err(QuantizeError::TooLarge(name.to_owned())),
    }
}

pub(super) fn ordinals(numbers: &[f32], name: &str) -> Result<Vec<i16>, QuantizeError> {
    Ok(nearest(numbers, name)?.into_iter().map(|x| ordinal(x) as i16).collect())
}
