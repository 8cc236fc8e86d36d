//! int8 networks made float16 ones, so that every test of random networks is one of both.

use kinglet::kernels::float16::{LARGEST, ordinal};
use kinglet::quant::quantize;
use kinglet::{DType, QuantParams, Rounding, f16};
use kinglet_tools::graph::{Op, Pieces, Rearrange, StoredFunction, StoredWeights};
use kinglet_tools::network::Network;

/// The same network in float16, with the numbers that its integers stand for. A table becomes pieces with its entries as
/// coefficients.
pub fn halved(mut network: Network) -> Network {
    let quants: Vec<QuantParams> = network.tensors.iter().map(|tensor| tensor.quant).collect();
    for tensor in &mut network.tensors {
        (tensor.dtype, tensor.quant) = (DType::F16, QuantParams::REAL);
    }
    for node in &mut network.nodes {
        node.rounding = Rounding::Double;
        let input = node.inputs.first().map_or(QuantParams::REAL, |&id| quants[id]);
        let last = matches!(node.op, Op::DepthwiseConv2d { .. });
        match &mut node.op {
            Op::Conv2d { weights, .. } | Op::DepthwiseConv2d { weights, .. } | Op::Dense(weights) => {
                *weights = reals(weights, last, input.scale);
            }
            Op::Constant { data, .. } => {
                let quant = std::mem::replace(&mut data.quant, QuantParams::REAL);
                for element in &mut data.data {
                    *element = ordinal(f16::from_f32(quant.dequantize((*element).into()))) as i16;
                }
            }
            Op::Function(function) => {
                let StoredFunction::Table(table) = function else { continue };
                let starts = vec![-LARGEST as i16, ordinal(f16::from_f32(-1.25)) as i16, 0, 14_000];
                let coefficient = |at: usize| f32::from(table[at % table.len()]) / 100.0;
                let polynomials = (0..starts.len()).map(|i| [0, 1, 2, 3].map(|power| coefficient(64 * i + 17 * power)));
                *function = StoredFunction::Pieces(Pieces { polynomials: polynomials.collect(), starts });
            }
            Op::Rearrange(Rearrange::Pad { value, .. }) => {
                *value = f32::from(quantize(*value, input) as i16) * input.scale
            }
            _ => {}
        }
    }
    network
}

/// Integer weights as real numbers; the output channel is the `last` dimension or the first.
fn reals(weights: &StoredWeights, last: bool, input: f32) -> StoredWeights {
    let StoredWeights::Int8 { weights, scales, bias } = weights else { return weights.clone() };
    let scale = |channel: usize| scales[channel % scales.len()];
    let each = weights.len() / bias.len();
    let channel = |at: usize| if last { at % bias.len() } else { at / each };
    let weight = |(at, &w): (usize, &i8)| f16::from_f32(f32::from(w) * scale(channel(at)));
    StoredWeights::F16 {
        weights: weights.iter().enumerate().map(weight).collect(),
        bias: bias.iter().enumerate().map(|(channel, &b)| b as f32 * scale(channel) * input).collect(),
    }
}

/// Makes halves of bytes finite, and less than 2: nothing overflows, and every processor gives the same bits.
pub fn tame(bytes: &mut [u8]) {
    bytes.iter_mut().skip(1).step_by(2).for_each(|high| *high &= !0x40);
}
