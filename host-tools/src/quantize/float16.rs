//! From a folded network to the network in float16: weights and activations as halves, sums and biases in single precision.

use kinglet::kernels::float16::ordinal;
use kinglet::{DType, QuantParams, Rounding, Window, f16};

use super::fold::{Folded, FoldedNode, FoldedOp, Weights};
use super::{QuantizeError, pieces};
use crate::network::{FloatLayer, Network, Node, NodeOp, Pixels, TensorInfo};

/// The network whose every number is the nearest half.
///
/// # Errors
/// When a number is beyond the largest half.
pub fn emit(network: &Folded) -> Result<Network, QuantizeError> {
    let tensor = |value: usize| TensorInfo {
        name: network.value_name(value).to_string(),
        shape: network.shape(value),
        dtype: DType::F16,
        quant: QuantParams::REAL,
    };
    let node = |(node, output): (&FoldedNode, usize)| {
        let (name, inputs) = (node.name.clone(), node.inputs.clone());
        Ok(Node { name, op: op(node)?, inputs, output, rounding: Rounding::Double })
    };
    Ok(Network {
        name: network.name.clone(),
        tensors: (0..network.values()).map(tensor).collect(),
        nodes: network.nodes.iter().zip(1..).map(node).collect::<Result<_, QuantizeError>>()?,
        input: 0,
        output: network.nodes.len(),
        labels: network.labels.clone(),
        pixels: Some(pixels(network)?),
    })
}

/// The float16 form of a node.
///
/// # Errors
/// As [`emit`].
pub fn op(node: &FoldedNode) -> Result<NodeOp, QuantizeError> {
    let activation = node.activation;
    let float = |layer, numbers: &Weights| {
        let weights = halves(&numbers.weights, &node.name)?;
        Ok::<_, QuantizeError>(NodeOp::Float { layer, weights, bias: numbers.bias.clone(), activation })
    };
    Ok(match &node.op {
        FoldedOp::Conv2d(window, weights) => float(FloatLayer::Conv2d(*window), weights)?,
        FoldedOp::DepthwiseConv2d(window, weights) => float(FloatLayer::DepthwiseConv2d(*window), weights)?,
        FoldedOp::Dense(weights) => float(FloatLayer::Dense, weights)?,
        FoldedOp::Constant(function, numbers) => {
            NodeOp::FloatConstant { function: *function, data: halves(numbers, &node.name)?, activation }
        }
        // A pool over one pixel does nothing but clamp.
        FoldedOp::Activate => NodeOp::MaxPool { window: Window::global([1, 1]), activation },
        // Folding fuses no activation into it.
        FoldedOp::Function(function) => NodeOp::Piecewise(pieces::fit(|x| function.at(x))),
        _ => super::emit::op(node, QuantParams::REAL, QuantParams::REAL),
    })
}

fn halves(numbers: &[f32], name: &str) -> Result<Vec<f16>, QuantizeError> {
    let halves: Vec<f16> = numbers.iter().map(|&x| f16::from_f32(x)).collect();
    match halves.iter().all(|x| x.is_finite()) {
        true => Ok(halves),
        false => Err(QuantizeError::TooLarge(name.to_owned())),
    }
}

/// What pixels become: ordinals of halves.
fn pixels(network: &Folded) -> Result<Pixels, QuantizeError> {
    let numbers: Vec<f32> = (0..network.input.c as usize).flat_map(|c| network.preprocess.table(c)).collect();
    let tables = halves(&numbers, "the input")?.into_iter().map(|x| ordinal(x) as i16).collect();
    Ok(super::emit::joined(network, tables))
}
