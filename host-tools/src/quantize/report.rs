//! What rounding costs, layer by layer: signal to noise, saturation, use of the range, and accuracy when only one layer is
//! rounded; and which layers make most of the noise.

use kinglet::quant::quantize;
use kinglet::{Clamp, DType, QuantParams, f16};
use rayon::prelude::*;
use serde::Serialize;

use super::fake::{self, Noise};
use super::forward::{NetRunner, Values};
use super::int16::Int16;
use super::{Prepared, int16};
use crate::graph::Op;
use crate::layers;

/// A value and the layer that computes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The layer's name, or `input`.
    pub name: String,
    /// Signal to quantization noise in decibels, of this value, when everything before it is rounded too.
    pub decibels: f64,
    /// The same at the network's output, when nothing but this layer's weights and output are rounded.
    pub output_decibels: f64,
    /// Part of the numbers beyond the range, in percent.
    pub saturated_percent: f64,
    /// Part of the range that the numbers span, in percent.
    pub range_used_percent: f64,
    /// Right answers when nothing but this layer is rounded, in percent.
    pub accuracy_alone: f64,
}

/// The whole network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What activations are: `int8`, `int16` (with int8 weights) or `float16`.
    pub activations: &'static str,
    /// Images that it was measured on.
    pub images: usize,
    /// Right answers of the float network, in percent.
    pub accuracy_float: f64,
    /// Right answers with all layers rounded, in percent. Rounding is pretended in float here; the exported model's
    /// accuracy is measured in the runtime.
    pub accuracy_rounded: f64,
    /// Every layer, in the order of computation.
    pub layers: Vec<LayerReport>,
}

impl Report {
    /// The layers by the noise that each alone makes at the output, the worst first. The input is none of them.
    pub fn worst(&self) -> Vec<&LayerReport> {
        let mut layers: Vec<_> = self.layers.iter().skip(1).collect();
        layers.sort_by(|a, b| a.output_decibels.total_cmp(&b.output_decibels));
        layers
    }

    /// The fewest of the worst layers that make half of the noise at the output or more, and their part of it in percent. `None` when
    /// rounding makes no noise.
    pub fn suggestion(&self) -> Option<(usize, f64)> {
        // Of one signal: noises add up.
        let noise = |layer: &LayerReport| 10f64.powf(-layer.output_decibels / 10.0);
        let total: f64 = self.layers.iter().skip(1).map(noise).sum();
        let mut part = 0.0;
        self.worst().into_iter().enumerate().find_map(|(at, layer)| {
            part += noise(layer) / total;
            (part >= 0.5).then_some((at + 1, 100.0 * part))
        })
    }
}

/// What values and weights are rounded to.
struct Rounding<'p> {
    dtype: DType,
    quants: &'p [QuantParams],
    /// The network with rounded weights.
    network: NetRunner,
}

impl<'p> Rounding<'p> {
    fn new(Prepared { float, corrected, quants, .. }: &'p Prepared, dtype: DType) -> Self {
        let mut network = match dtype {
            DType::I8 => fake::network(corrected, quants),
            _ => float.clone(),
        };
        for (at, node) in network.nodes.iter_mut().enumerate() {
            let Some(weights) = node.op.weights_mut() else { continue };
            match dtype {
                DType::I8 => {}
                DType::I16 => {
                    let [input, output] = [float.nodes[at].inputs[0].0, at].map(|value| int16::quant(quants[value]));
                    let node = Int16 { node: &float.nodes[at], input, output, bits: 8 };
                    *weights = int16::quantized(&node, weights).reals(weights, input);
                }
                _ => weights.weights.iter_mut().for_each(|weight| *weight = f16::from_f32(*weight).to_f32()),
            }
        }
        Self { dtype, quants, network: NetRunner::new(&network) }
    }

    /// The quantization of a value in integers.
    fn quant(&self, value: usize) -> QuantParams {
        match self.dtype {
            DType::I8 => self.quants[value],
            _ => int16::quant(self.quants[value]),
        }
    }

    /// Rounds the numbers of a value.
    fn round(&self, value: usize, numbers: &mut [f32]) {
        let (quant, all) = (self.quant(value), Clamp::full(self.dtype));
        let [low, high] = self.range(value);
        numbers.iter_mut().for_each(|x| {
            *x = match self.dtype {
                DType::F16 => f16::from_f32(x.clamp(low, high)).to_f32(),
                _ => quant.dequantize(all.apply(quantize(*x, quant))),
            }
        });
    }

    /// The least and the greatest number that a value can have.
    fn range(&self, value: usize) -> [f32; 2] {
        match self.dtype {
            DType::F16 => [f16::MIN, f16::MAX].map(f16::to_f32),
            dtype => [dtype.min(), dtype.max()].map(|q| self.quant(value).dequantize(q)),
        }
    }

    /// All values of an image, each rounded.
    fn forward(&self, image: &[f32]) -> Values {
        self.network.rounded(image, |value, numbers| self.round(value, numbers))
    }

    /// Rounds the weights and the output of one layer of `network`, and computes all after it in float.
    fn alone(&self, network: &NetRunner, values: &mut Values, value: usize) {
        let after = value + 1..values.len();
        self.network.recompute(values, value..value + 1, |value, numbers| self.round(value, numbers));
        network.recompute(values, after, |_, _| {});
    }
}

/// What one image says of one value.
#[derive(Clone, Copy, Default)]
struct Seen {
    noise: Noise,
    output: Noise,
    right: usize,
    saturated: usize,
    elements: usize,
    extremes: [f32; 2],
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            noise: self.noise.and(other.noise),
            output: self.output.and(other.output),
            right: self.right + other.right,
            saturated: self.saturated + other.saturated,
            elements: self.elements + other.elements,
            extremes: [self.extremes[0].min(other.extremes[0]), self.extremes[1].max(other.extremes[1])],
        }
    }
}

/// Measures a network on images (H x W x C numbers) and their labels, with activations of type `dtype`.
pub fn measure(prepared: &Prepared, dtype: DType, images: &[Vec<f32>], labels: &[u8]) -> Report {
    let network = &prepared.float;
    let (runner, rounding) = (NetRunner::new(network), Rounding::new(prepared, dtype));
    let last = network.output();
    let logits = match network.node(last).op {
        Op::Softmax { .. } => network.node(last).inputs[0].0,
        _ => last.0,
    };
    let one = |(image, &label): (&Vec<f32>, &u8)| {
        let float = runner.forward(image);
        let rounded = rounding.forward(image);
        let right = |values: &Values| usize::from(layers::greatest(&values[logits]) == usize::from(label));
        let layers: Vec<Seen> = (0..network.nodes.len())
            .map(|value| {
                let mut alone = float.clone();
                rounding.alone(&runner, &mut alone, value);
                let mut seen = Seen { right: right(&alone), elements: float[value].len(), ..Seen::default() };
                seen.noise.add(&float[value], &rounded[value]);
                seen.output.add(&float[logits], &alone[logits]);
                let [low, high] = rounding.range(value);
                // Half a step further numbers are rounded, not cut off.
                let half = if dtype == DType::F16 { 0.0 } else { rounding.quant(value).scale / 2.0 };
                seen.saturated = float[value].iter().filter(|x| **x < low - half || **x > high + half).count();
                seen.extremes = float[value].iter().fold([0.0, 0.0], |[a, b], x| [x.min(a), x.max(b)]);
                seen
            })
            .collect();
        (right(&float), right(&rounded), layers)
    };
    let each: Vec<_> = images.par_iter().zip(labels).map(one).collect();
    let count = images.len().min(labels.len());
    let percent = |right: usize| 100.0 * right as f64 / count.max(1) as f64;
    let layer = |value: usize| {
        let seen = each.iter().fold(Seen::default(), |all, (_, _, layers)| all.and(layers[value]));
        let [low, high] = rounding.range(value);
        let [min, max] = seen.extremes;
        let used = f64::from(max.min(high) - min.max(low)) / f64::from(high - low);
        LayerReport {
            name: network.nodes[value].name.clone(),
            decibels: seen.noise.decibels(),
            output_decibels: seen.output.decibels(),
            saturated_percent: 100.0 * seen.saturated as f64 / seen.elements.max(1) as f64,
            range_used_percent: 100.0 * used,
            accuracy_alone: percent(seen.right),
        }
    };
    Report {
        activations: dtype.name(),
        images: count,
        accuracy_float: percent(each.iter().map(|of| of.0).sum()),
        accuracy_rounded: percent(each.iter().map(|of| of.1).sum()),
        layers: (0..network.nodes.len()).map(layer).collect(),
    }
}
