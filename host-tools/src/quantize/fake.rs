//! Fake quantization: a folded network in float whose values and weights take only the numbers that int8 can say.

use kinglet::{Clamp, QuantParams};

use super::int8;
use crate::graph::{Graph, Node, Real};

/// The number that `quant` makes of `x`.
pub fn fake(x: f32, quant: QuantParams) -> f32 {
    quant.dequantize(Clamp::full(kinglet::DType::I8).apply(kinglet::quant::quantize(x, quant)))
}

/// Rounds the numbers of a value, by the node's number.
pub fn round(quants: &[QuantParams]) -> impl Fn(usize, &mut [f32]) {
    |value, numbers| numbers.iter_mut().for_each(|x| *x = fake(*x, quants[value]))
}

/// The node with the weights and the bias that int8 would have.
pub fn node(node: &Node<Real>, quants: &[QuantParams], output: usize) -> Node<Real> {
    let mut node = node.clone();
    if let Some(weights) = node.op.weights_mut() {
        *weights = int8::rounded(weights, quants[node.inputs[0].0], quants[output]);
    }
    node
}

/// The whole network with the weights that int8 would have.
pub fn network(network: &Graph<Real>, quants: &[QuantParams]) -> Graph<Real> {
    let nodes = network.nodes.iter().enumerate().map(|(output, each)| node(each, quants, output)).collect();
    Graph { nodes, ..network.clone() }
}

/// Signal to quantization noise in decibels: of `float` against what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// Sum of squares of the float numbers.
    pub signal: f64,
    /// Sum of squared differences.
    pub noise: f64,
}

impl Noise {
    /// Adds numbers.
    pub fn add(&mut self, float: &[f32], quantized: &[f32]) {
        for (x, y) in float.iter().zip(quantized) {
            self.signal += f64::from(*x).powi(2);
            self.noise += f64::from(x - y).powi(2);
        }
    }

    /// Both sums together.
    pub fn and(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise }
    }

    /// In decibels; infinite without noise.
    pub fn decibels(self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }
}
