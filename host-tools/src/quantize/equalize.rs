//! Cross-layer equalization and bias correction.

use kinglet::{Activation, QuantParams};
use rayon::prelude::*;

use super::fake;
use super::forward::{NetRunner, Runner, Values};
use crate::graph::{Graph, Node, NodeId, Op, Real, Weights};

/// Passes of equalization: each pair moves its neighbours'.
const PASSES: usize = 20;

/// Cross-layer equalization (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
/// 2019): a channel that one layer makes small and the next one large again is scaled so that the two ranges agree.
/// Exact up to float rounding, since ReLU lets positive factors through. Gives the number of pairs of layers.
pub fn equalize(network: &mut Graph<Real>) -> usize {
    let pairs = pairs(network);
    for node in pairs.iter().flat_map(|&(from, to)| [from, to]) {
        // Trained for weights as they were.
        network.nodes[node].op.weights_mut().into_iter().for_each(|weights| weights.steps = None);
    }
    for _ in 0..PASSES {
        for &(from, to) in &pairs {
            let (first, second) = (outgoing(network, from), incoming(network, to));
            let factors: Vec<f64> = first
                .iter()
                .zip(&second)
                .map(|(a, b)| if a * b > 0.0 { (b / a).sqrt().clamp(1e-3, 1e3) } else { 1.0 })
                .collect();
            if let Some(weights) = network.nodes[from].op.weights_mut() {
                weights.scale(&factors, &vec![0.0; factors.len()]);
            }
            scale_inputs(network, to, &factors);
        }
    }
    pairs.len()
}

/// Layers whose output only one other layer reads, perhaps through pools, which let factors through too.
fn pairs(network: &Graph<Real>) -> Vec<(usize, usize)> {
    let consumers = network.consumers();
    let next = |mut at: usize| loop {
        let &[NodeId(reader)] = &consumers[at][..] else { return None };
        match &network.nodes[reader].op {
            Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean | Op::ResizeBilinear(_) => at = reader,
            Op::Rearrange(rearrange) if rearrange.keeps_channels() => at = reader,
            Op::Dense(_) if network.nodes[at].shape.h * network.nodes[at].shape.w != 1 => return None,
            op => return op.weights().map(|_| reader),
        }
    };
    let scalable = |node: &usize| {
        let node = &network.nodes[*node];
        node.op.weights().is_some() && matches!(node.activation, Activation::None | Activation::Relu)
    };
    (0..network.nodes.len()).filter(scalable).filter_map(|node| Some((node, next(node)?))).collect()
}

/// The weights of a node of a pair.
fn weights(network: &Graph<Real>, node: usize) -> &Weights {
    network.nodes[node].op.weights().expect("pairs have weights")
}

/// The largest weight of each output channel.
fn outgoing(network: &Graph<Real>, node: usize) -> Vec<f64> {
    let weights = weights(network, node);
    (0..weights.bias.len()).map(|c| weights.of(c).fold(0.0, |max: f64, w| max.max(f64::from(w).abs()))).collect()
}

/// The input channel of each weight, by its place.
fn input_channel(network: &Graph<Real>, node: usize) -> impl Fn(usize) -> usize + use<> {
    let Node { op, inputs, shape, .. } = &network.nodes[node];
    let (inputs, outputs) = (network.node(inputs[0]).shape.c as usize, shape.c as usize);
    let depthwise = matches!(op, Op::DepthwiseConv2d { .. });
    move |index| if depthwise { index % outputs / (outputs / inputs) } else { index % inputs }
}

/// The largest weight on each input channel.
fn incoming(network: &Graph<Real>, node: usize) -> Vec<f64> {
    let channel = input_channel(network, node);
    let mut largest = vec![0.0; network.input_shapes(NodeId(node))[0].c as usize];
    for (index, weight) in weights(network, node).weights.iter().enumerate() {
        let largest: &mut f64 = &mut largest[channel(index)];
        *largest = largest.max(f64::from(*weight).abs());
    }
    largest
}

/// Takes the factors of the input channels back.
fn scale_inputs(network: &mut Graph<Real>, node: usize, factors: &[f64]) {
    let channel = input_channel(network, node);
    let weights = network.nodes[node].op.weights_mut().expect("pairs have weights");
    for (index, weight) in weights.weights.iter_mut().enumerate() {
        *weight = (f64::from(*weight) / factors[channel(index)]) as f32;
    }
}

/// Bias correction (same paper, measured): what rounding of weights and inputs adds to the mean of each channel over
/// the images is taken off its bias. Layer by layer, so that later ones see what the earlier ones became.
pub fn correct_bias(network: &mut Graph<Real>, quants: &[QuantParams], images: &[Vec<f32>]) {
    let runner = NetRunner::new(network);
    let float: Vec<Values> = images.par_iter().map(|image| runner.forward(image)).collect();
    let mut rounded = float.clone();
    let round = |values: &mut [f32], value: usize| values.iter_mut().for_each(|x| *x = fake::fake(*x, quants[value]));
    rounded.par_iter_mut().for_each(|values| round(&mut values[0], 0));
    for index in 1..network.nodes.len() {
        let shapes = network.input_shapes(NodeId(index));
        if network.nodes[index].op.weights().is_some() {
            let sums = |values: &[Values], quantized: bool| {
                let mut node = network.nodes[index].clone();
                node.activation = Activation::None;
                if quantized {
                    node = fake::node(&node, quants, index);
                }
                let (channels, node) = (node.shape.c as usize, Runner::new(&node, &shapes));
                let each: Vec<Vec<f64>> = values
                    .par_iter()
                    .map(|values| {
                        let mut sums = vec![0.0; channels];
                        let output = node.output_of(values);
                        output.iter().enumerate().for_each(|(i, x)| sums[i % channels] += f64::from(*x));
                        sums
                    })
                    .collect();
                each.into_iter().fold(vec![0.0; channels], |all, one| all.iter().zip(one).map(|(a, b)| a + b).collect())
            };
            let (wanted, got) = (sums(&float, false), sums(&rounded, true));
            let shape = network.nodes[index].shape;
            let count = (images.len() * (shape.h * shape.w) as usize).max(1) as f64;
            if let Some(weights) = network.nodes[index].op.weights_mut() {
                for ((bias, wanted), got) in weights.bias.iter_mut().zip(wanted).zip(got) {
                    *bias += ((wanted - got) / count) as f32;
                }
            }
        }
        let node = Runner::new(&fake::node(&network.nodes[index], quants, index), &shapes);
        rounded.par_iter_mut().for_each(|values| {
            values[index] = node.output_of(values);
            round(&mut values[index], index);
        });
    }
}
