//! int8 networks made float16 ones, so that every test of random networks is one of both.

use kinglet::kernels::float16::{LARGEST, ordinal};
use kinglet::{Activation, DType, QuantParams, Rounding, f16};
use kinglet_tools::network::{FloatLayer, Network, NodeOp};
use kinglet_tools::quantize::pieces::Pieces;

/// The same network in float16, with the numbers that its integers stand for. A table becomes pieces with its entries as
/// coefficients.
pub fn halved(mut network: Network) -> Network {
    let scales: Vec<f32> = network.tensors.iter().map(|tensor| tensor.quant.scale).collect();
    for tensor in &mut network.tensors {
        (tensor.dtype, tensor.quant) = (DType::F16, QuantParams::REAL);
    }
    for node in &mut network.nodes {
        node.rounding = Rounding::Double;
        let input = node.inputs.first().map_or(1.0, |&id| scales[id]);
        node.op = match node.op.clone() {
            NodeOp::Conv2d { window, weights, weight_scales, bias, activation } => {
                float(FloatLayer::Conv2d(window), (&weights, &weight_scales, &bias), input, activation)
            }
            NodeOp::DepthwiseConv2d { window, weights, weight_scales, bias, activation } => {
                float(FloatLayer::DepthwiseConv2d(window), (&weights, &weight_scales, &bias), input, activation)
            }
            NodeOp::Dense { weights, weight_scales, bias, activation } => {
                float(FloatLayer::Dense, (&weights, &weight_scales, &bias), input, activation)
            }
            NodeOp::Constant { function, data, quant, activation } => {
                let data = data.iter().map(|&q| f16::from_f32(quant.dequantize(q.into()))).collect();
                NodeOp::FloatConstant { function, data, activation }
            }
            NodeOp::Lookup { table } => {
                let starts = vec![-LARGEST as i16, ordinal(f16::from_f32(-1.25)) as i16, 0, 14_000];
                let coefficient = |at: usize| f32::from(table[at % table.len()]) / 100.0;
                let polynomials = (0..starts.len()).map(|i| [0, 1, 2, 3].map(|power| coefficient(64 * i + 17 * power)));
                NodeOp::Piecewise(Pieces { polynomials: polynomials.collect(), starts })
            }
            NodeOp::Pad { before, after, value } => {
                let value = ordinal(f16::from_f32(f32::from(value) * input)) as i16;
                NodeOp::Pad { before, after, value }
            }
            other => other,
        };
    }
    network
}

fn float(
    layer: FloatLayer,
    (weights, scales, bias): (&[i8], &[f32], &[i64]),
    input: f32,
    activation: Activation,
) -> NodeOp {
    let scale = |channel: usize| scales[channel % scales.len()];
    let each = weights.len() / bias.len();
    let channel = |at: usize| if matches!(layer, FloatLayer::DepthwiseConv2d(_)) { at % bias.len() } else { at / each };
    let weight = |(at, &w): (usize, &i8)| f16::from_f32(f32::from(w) * scale(channel(at)));
    NodeOp::Float {
        layer,
        weights: weights.iter().enumerate().map(weight).collect(),
        bias: bias.iter().enumerate().map(|(channel, &b)| b as f32 * scale(channel) * input).collect(),
        activation,
    }
}

/// Makes halves of bytes finite, and less than 2: nothing overflows, and every processor gives the same bits.
pub fn tame(bytes: &mut [u8]) {
    bytes.iter_mut().skip(1).step_by(2).for_each(|high| *high &= !0x40);
}
