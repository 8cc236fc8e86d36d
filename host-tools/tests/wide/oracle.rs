//! What a 16x8 network computes of integers, by TensorFlow Lite's definitions and over wide integers: nothing of the runtime's
//! arithmetic is used, and neither are its windows, plans or multipliers.

use kinglet::{Activation, Window};
use kinglet_tools::graph::{ConstantFunction, Op, Rearrange, StoredConstant, StoredFunction, StoredWeights};
use kinglet_tools::network::{Network, Node};

/// A multiplier of 31 bits and a power of two, as TensorFlow Lite's `QuantizeMultiplier` makes them.
#[derive(Clone, Copy)]
struct Factor {
    mantissa: i128,
    exponent: i32,
}

impl Factor {
    fn of(real: f64) -> Self {
        let mut exponent = 0;
        let mut fraction = real;
        while fraction >= 1.0 {
            (fraction, exponent) = (fraction / 2.0, exponent + 1);
        }
        while fraction < 0.5 {
            (fraction, exponent) = (fraction * 2.0, exponent - 1);
        }
        let mantissa = (fraction * 2f64.powi(31)).round() as i128;
        if mantissa == 1 << 31 {
            Self { mantissa: 1 << 30, exponent: exponent + 1 }
        } else {
            Self { mantissa, exponent }
        }
    }

    /// Rounded twice: `SaturatingRoundingDoublingHighMul`, then `RoundingDivideByPOT`.
    fn twice(self, x: i128) -> i128 {
        let x = if self.exponent > 0 { x << self.exponent } else { x };
        let high = (x * self.mantissa + (1 << 30)).div_euclid(1 << 31);
        away(high, 1 << (-self.exponent).max(0))
    }

    /// With 15 bits, rounded once, half up: `MultiplyByQuantizedMultiplier` of 64-bit sums.
    fn once(self, x: i128) -> i128 {
        let reduced = ((self.mantissa + (1 << 15)) >> 16).min(32767);
        let total = 15 - self.exponent;
        (x * reduced + (1 << (total - 1))).div_euclid(1 << total)
    }
}

/// The quotient, half away from zero.
fn away(x: i128, by: i128) -> i128 {
    x.signum() * ((x.abs() + by / 2) / by)
}

/// A map of integers, `[y][x][c]`.
#[derive(Clone)]
pub struct Map {
    pub size: [usize; 3],
    pub data: Vec<i128>,
}

impl Map {
    fn at(&self, y: usize, x: usize, c: usize) -> i128 {
        self.data[(y * self.size[1] + x) * self.size[2] + c]
    }
}

/// The output of a network for an input; `None` when it has an operator that is no arithmetic: a curve, a softmax, halves.
pub fn run(network: &Network, input: Map) -> Option<Map> {
    let mut maps: Vec<Option<Map>> = vec![None; network.tensors.len()];
    maps[network.inputs[0]] = Some(input);
    for node in &network.nodes {
        let inputs: Vec<&Map> = node.inputs.iter().map(|&id| maps[id].as_ref().unwrap()).collect();
        let output = node_of(network, node, &inputs)?;
        maps[node.output] = Some(output);
    }
    maps[network.outputs[0]].clone()
}

fn node_of(network: &Network, node: &Node, inputs: &[&Map]) -> Option<Map> {
    let shape = network.tensors[node.output].shape;
    let size = [shape.h, shape.w, shape.c].map(|extent| extent as usize);
    let scale = |id: usize| f64::from(network.tensors[id].quant.scale);
    let (from, to) = (scale(node.inputs[0]), scale(node.output));
    let a = inputs[0];
    let clamp = |x: i128, activation: Activation| {
        let one = |real: f64| (real / to).round() as i128;
        let (low, high) = match activation {
            Activation::None => (-32768, 32767),
            Activation::Relu => (0, 32767),
            Activation::Relu6 => (0, one(6.0).min(32767)),
            Activation::ReluN1To1 => (one(-1.0).max(-32768), one(1.0).min(32767)),
        };
        x.clamp(low, high)
    };
    let map = |f: &dyn Fn(usize, usize, usize) -> i128| {
        let places = (0..size[0]).flat_map(|y| (0..size[1]).flat_map(move |x| (0..size[2]).map(move |c| (y, x, c))));
        Map { size, data: places.map(|(y, x, c)| f(y, x, c)).collect() }
    };
    // The second operand may be one pixel, or one number.
    let second = |y: usize, x: usize, c: usize| {
        let b = inputs[1];
        b.at(y.min(b.size[0] - 1), x.min(b.size[1] - 1), c.min(b.size[2] - 1))
    };
    // Terms in units of twice the greater scale, 15 bits finer. A difference is scaled in single precision.
    let sum = |a: i128, b: i128, other: f64, sign: i128, single: bool| {
        let narrow = |x: f64| if single { f64::from(x as f32) } else { x };
        let twice = 2.0 * from.max(other);
        let terms = [narrow(from / twice), narrow(other / twice)].map(Factor::of);
        let total = terms[0].twice(a << 15) + sign * terms[1].twice(b << 15);
        Factor::of(narrow(twice / narrow(32768.0 * to))).twice(total)
    };
    let factor = |scales: &[f32], c: usize| {
        let weight = scales[if scales.len() == 1 { 0 } else { c }];
        let product = if matches!(node.op, Op::Dense(_)) && scales.len() == 1 {
            f64::from(from as f32 * weight)
        } else {
            from * f64::from(weight)
        };
        Factor::of(product / to)
    };
    Some(match &node.op {
        Op::Conv2d { window, weights: StoredWeights::Int8 { weights, scales: weight_scales, bias } } => {
            map(&|y, x, c| {
                let each = weights.len() / bias.len();
                let sum: i128 = taps(window, a, y, x)
                    .map(|(tap, i, j)| {
                        let row = &weights[c * each + tap * a.size[2]..];
                        (0..a.size[2]).map(|k| a.at(i, j, k) * i128::from(row[k])).sum::<i128>()
                    })
                    .sum();
                clamp(factor(weight_scales, c).once(sum + i128::from(bias[c])), node.activation)
            })
        }
        Op::DepthwiseConv2d { window, weights: StoredWeights::Int8 { weights, scales: weight_scales, bias } } => {
            map(&|y, x, c| {
                let channel = c / (size[2] / a.size[2]);
                let sum: i128 = taps(window, a, y, x)
                    .map(|(tap, i, j)| a.at(i, j, channel) * i128::from(weights[tap * size[2] + c]))
                    .sum();
                clamp(factor(weight_scales, c).once(sum + i128::from(bias[c])), node.activation)
            })
        }
        Op::Dense(StoredWeights::Int8 { weights, scales: weight_scales, bias }) => map(&|_, _, c| {
            let sum: i128 = a.data.iter().zip(&weights[c * a.data.len()..]).map(|(x, &w)| x * i128::from(w)).sum();
            clamp(factor(weight_scales, c).once(sum + i128::from(bias[c])), node.activation)
        }),
        Op::MaxPool(window) => {
            map(&|y, x, c| clamp(taps(window, a, y, x).map(|(_, i, j)| a.at(i, j, c)).max().unwrap(), node.activation))
        }
        Op::AveragePool(window) => map(&|y, x, c| {
            let under: Vec<i128> = taps(window, a, y, x).map(|(_, i, j)| a.at(i, j, c)).collect();
            clamp(away(under.iter().sum(), under.len() as i128), node.activation)
        }),
        Op::Mean => {
            let count = (a.size[0] * a.size[1]) as i128;
            let Factor { mantissa, exponent } = Factor::of(from / to);
            let shift = (count.ilog2() as i32).min(31 + exponent);
            let factor = Factor { mantissa: (mantissa << shift) / count, exponent: exponent - shift };
            map(&|_, _, c| {
                let sum = (0..a.size[0]).flat_map(|y| (0..a.size[1]).map(move |x| a.at(y, x, c))).sum();
                clamp(factor.twice(sum), Activation::None)
            })
        }
        Op::Add => {
            map(&|y, x, c| clamp(sum(a.at(y, x, c), second(y, x, c), scale(node.inputs[1]), 1, false), node.activation))
        }
        Op::Sub => {
            map(&|y, x, c| clamp(sum(a.at(y, x, c), second(y, x, c), scale(node.inputs[1]), -1, true), node.activation))
        }
        Op::Mul => {
            let factor = Factor::of(from * scale(node.inputs[1]) / to);
            map(&|y, x, c| clamp(factor.twice(a.at(y, x, c) * second(y, x, c)), node.activation))
        }
        Op::Constant { function, data: StoredConstant { data, quant } } => map(&|y, x, c| {
            let at = (y * size[1] + x) * size[2] + c;
            let constant = i128::from(data[at % data.len()]);
            let other = f64::from(quant.scale);
            let result = match function {
                ConstantFunction::Mul => Factor::of(from * other / to).twice(a.data[at] * constant),
                ConstantFunction::Add => sum(a.data[at], constant, other, 1, false),
                ConstantFunction::Sub => sum(a.data[at], constant, other, -1, true),
                ConstantFunction::Prelu | ConstantFunction::SubFrom => unreachable!("no float graph has it"),
            };
            clamp(result, node.activation)
        }),
        Op::Activate(activation) => map(&|y, x, c| clamp(Factor::of(from / to).twice(a.at(y, x, c)), *activation)),
        Op::Function(StoredFunction::Slope(slope)) => {
            let (from, to) = (from as f32, to as f32);
            let (plain, below) = (f64::from(from / to), f64::from(from * slope / to));
            let at = |x: i128| Factor::of(if x < 0 { below } else { plain }).twice(x);
            map(&|y, x, c| clamp(at(a.at(y, x, c)), Activation::None))
        }
        Op::Concat => map(&|y, x, mut c| {
            for part in inputs {
                if c < part.size[2] {
                    return part.at(y, x, c);
                }
                c -= part.size[2];
            }
            0
        }),
        Op::Reshape(_) => Map { size, data: a.data.clone() },
        Op::Rearrange(Rearrange::Pad { before, .. }) => map(&|y, x, c| {
            let place = [y, x, c];
            let inside = |axis: usize| place[axis].checked_sub(before[axis] as usize).filter(|&at| at < a.size[axis]);
            match [0, 1, 2].map(inside) {
                [Some(y), Some(x), Some(c)] => a.at(y, x, c),
                _ => 0,
            }
        }),
        _ => return None,
    })
}

/// The taps at an output position that lie within the input: which one, its row and its column.
fn taps(window: &Window, input: &Map, y: usize, x: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let [rows, columns, _] = input.size;
    let [kernel, stride, before] = [window.kernel, window.stride, window.before].map(|pair| pair.map(|n| n as usize));
    let all = (0..kernel[0]).flat_map(move |i| (0..kernel[1]).map(move |j| (i, j)));
    all.filter_map(move |(i, j)| {
        let row = (y * stride[0] + i).checked_sub(before[0]).filter(|&row| row < rows)?;
        let column = (x * stride[1] + j).checked_sub(before[1]).filter(|&column| column < columns)?;
        Some((i * kernel[1] + j, row, column))
    })
}
