//! From a folded network to the network in half precision: weights and activations as f16, sums and biases in single precision.

use kinglet::kernels::float16::ordinal;
use kinglet::{DType, QuantParams, Rounding, f16};

use super::{QuantizeError, pieces};
use crate::graph::{
    Convert, Function, Graph, Node, Op, Real, Stored, StoredConstant, StoredFunction, StoredWeights, Weights,
};
use crate::network::{self, Network, Pixels, TensorInfo};

/// The network whose every number is the nearest f16.
///
/// # Errors
/// When a number is beyond the largest f16.
pub fn emit(network: &Graph<Real>) -> Result<Network, QuantizeError> {
    let tensor = |node: &Node<Real>| TensorInfo {
        name: node.name.clone(),
        shape: node.shape,
        dtype: DType::F16,
        quant: QuantParams::REAL,
    };
    let node = |(output, node): (usize, &Node<Real>)| {
        Ok(network::Node {
            name: node.name.clone(),
            op: op(node)?,
            activation: node.activation,
            inputs: node.inputs.iter().map(|input| input.0).collect(),
            output,
            rounding: Rounding::Double,
        })
    };
    Ok(Network {
        name: network.name.clone(),
        tensors: network.nodes.iter().map(tensor).collect(),
        nodes: network.nodes.iter().enumerate().skip(1).map(node).collect::<Result<_, QuantizeError>>()?,
        input: 0,
        output: network.output().0,
        labels: network.labels.clone(),
        pixels: Some(pixels(network)?),
    })
}

/// The half-precision form of a node.
///
/// # Errors
/// As [`emit`].
pub fn op(node: &Node<Real>) -> Result<Op<Stored>, QuantizeError> {
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

fn ordinals(numbers: &[f32], name: &str) -> Result<Vec<i16>, QuantizeError> {
    Ok(nearest(numbers, name)?.into_iter().map(|x| ordinal(x) as i16).collect())
}

/// What pixels become: ordinals of f16.
fn pixels(network: &Graph<Real>) -> Result<Pixels, QuantizeError> {
    let numbers: Vec<f32> = (0..network.input.c as usize).flat_map(|c| network.preprocess.table(c)).collect();
    Ok(super::emit::joined(network, ordinals(&numbers, "the input")?))
}
