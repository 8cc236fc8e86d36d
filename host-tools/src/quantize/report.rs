//! What int8 costs, layer by layer: signal to noise, saturation, use of the range, and accuracy when only one layer is
//! quantized.

use kinglet::QuantParams;
use rayon::prelude::*;
use serde::Serialize;

use super::Prepared;
use super::fake::{self, Noise};
use super::fold::{Folded, FoldedOp, ValueId};
use super::forward::Values;
use crate::layers;

/// A value and the layer that computes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The layer's name, or `input`.
    pub name: String,
    /// Signal to quantization noise in decibels, of this value, when everything before it is quantized too.
    pub decibels: f64,
    /// The same at the network's output, when nothing but this layer's weights and output are quantized.
    pub output_decibels: f64,
    /// Part of the numbers beyond the range, in percent.
    pub saturated_percent: f64,
    /// Part of the range that the numbers span, in percent.
    pub range_used_percent: f64,
    /// Right answers when nothing but this layer is quantized, in percent.
    pub accuracy_alone: f64,
}

/// The whole network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Images that it was measured on.
    pub images: usize,
    /// Right answers of the float network, in percent.
    pub accuracy_float: f64,
    /// Right answers with all layers quantized, in percent. Rounding is pretended in float here; the exported model's
    /// accuracy is measured in the runtime.
    pub accuracy_int8: f64,
    /// Every layer, in the order of computation.
    pub layers: Vec<LayerReport>,
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

/// Measures a network on images (H x W x C numbers) and their labels.
pub fn measure(prepared: &Prepared, images: &[Vec<f32>], labels: &[u8]) -> Report {
    let Prepared { float: network, corrected, quants } = prepared;
    let rounded = fake::network(corrected, quants);
    let all: Vec<Option<QuantParams>> = quants.iter().copied().map(Some).collect();
    let logits = match network.nodes.last() {
        Some(node) if node.op == FoldedOp::Softmax => node.inputs[0],
        _ => network.nodes.len(),
    };
    let one = |(image, &label): (&Vec<f32>, &u8)| {
        let float = network.forward(image);
        let mut int8 = float.clone();
        rounded.recompute(&mut int8, 0, &all);
        let right = |values: &Values| usize::from(layers::greatest(&values[logits]) == usize::from(label));
        let layers: Vec<Seen> = (0..network.values())
            .map(|value| {
                let mut alone = float.clone();
                quantize_alone(network, &rounded, &mut alone, value, &all);
                let mut seen = Seen { right: right(&alone), elements: float[value].len(), ..Seen::default() };
                seen.noise.add(&float[value], &int8[value]);
                seen.output.add(&float[logits], &alone[logits]);
                let [low, high] = [-128, 127].map(|q| quants[value].dequantize(q));
                let half = quants[value].scale / 2.0;
                seen.saturated = float[value].iter().filter(|x| **x < low - half || **x > high + half).count();
                seen.extremes = float[value].iter().fold([0.0, 0.0], |[a, b], x| [x.min(a), x.max(b)]);
                seen
            })
            .collect();
        (right(&float), right(&int8), layers)
    };
    let each: Vec<_> = images.par_iter().zip(labels).map(one).collect();
    let count = images.len().min(labels.len());
    let percent = |right: usize| 100.0 * right as f64 / count.max(1) as f64;
    let layer = |value: ValueId| {
        let seen = each.iter().fold(Seen::default(), |all, (_, _, layers)| all.and(layers[value]));
        let [low, high] = [-128, 127].map(|q| quants[value].dequantize(q));
        let [min, max] = seen.extremes;
        let used = f64::from(max.min(high) - min.max(low)) / f64::from(high - low);
        LayerReport {
            name: network.value_name(value).to_string(),
            decibels: seen.noise.decibels(),
            output_decibels: seen.output.decibels(),
            saturated_percent: 100.0 * seen.saturated as f64 / seen.elements.max(1) as f64,
            range_used_percent: 100.0 * used,
            accuracy_alone: percent(seen.right),
        }
    };
    Report {
        images: count,
        accuracy_float: percent(each.iter().map(|of| of.0).sum()),
        accuracy_int8: percent(each.iter().map(|of| of.1).sum()),
        layers: (0..network.values()).map(layer).collect(),
    }
}

/// Quantizes the weights and the output of one layer, and computes all after it in float.
fn quantize_alone(
    network: &Folded,
    rounded: &Folded,
    values: &mut Values,
    value: ValueId,
    quants: &[Option<QuantParams>],
) {
    if let Some(node) = value.checked_sub(1) {
        values[value] = network.output_of(&rounded.nodes[node], values);
    }
    if let Some(quant) = quants[value] {
        values[value].iter_mut().for_each(|x| *x = fake::fake(*x, quant));
    }
    network.recompute(values, value + 1, &vec![None; network.values()]);
}
