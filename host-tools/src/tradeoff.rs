//! What a network is worth and what it takes, with some of its layers in more than int8 or with weights of 4 bits: exported, and
//! measured in the runtime.

use std::str::FromStr;

use anyhow::Result;
use kinglet::{DType, Model};
use ndarray::Array2;
use serde::Serialize;

use crate::data::Split;
use crate::export;
use crate::graph::{Node, NodeId, Op};
use crate::network::Network;
use crate::quantize::emit::{self, Kept};
use crate::quantize::fake::Noise;
use crate::quantize::forward::NetRunner;
use crate::quantize::report::Report;
use crate::quantize::{Prepared, QuantizeError};
use crate::simulate::{self, Images};

/// Decibels that it must gain to take the readers of a layer out of int8 with it.
const WORTH: f64 = 1.0;

/// Which layers are to be more than int8: so many of the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    /// How many.
    pub worst: usize,
}

impl FromStr for Fix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let worst = text.strip_prefix("worst:").and_then(|count| count.parse().ok()).filter(|&count| count > 0);
        Ok(Self { worst: worst.ok_or_else(|| format!("`{text}` is not worst:k, with the number of layers for k"))? })
    }
}

/// One network, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// What was done to it.
    pub name: String,
    /// The layers that are something else than int8.
    pub kept: Vec<String>,
    /// Right answers of the exported model in the runtime, in percent.
    pub accuracy: f64,
    /// Signal to quantization noise in decibels, at the output before a softmax, in the runtime.
    pub output_decibels: f64,
    /// Bytes of weights and tables.
    pub weight_bytes: usize,
    /// Bytes of arena, the least there is a plan for.
    pub arena_bytes: usize,
    /// Multiply-accumulates over int8 activations.
    pub macs_int8: u64,
    /// Multiply-accumulates over int16 or float16 activations.
    pub macs_wider: u64,
    /// The network itself.
    #[serde(skip)]
    pub network: Network,
}

/// Measures networks on the same images.
pub struct Bench<'b> {
    prepared: &'b Prepared,
    images: &'b Split,
    /// The network up to the softmax at its end, if it ends in one.
    scored: Option<Prepared>,
    /// What a softmax at the end reads, or the output, of every image in float.
    scores: Vec<Vec<f32>>,
}

impl<'b> Bench<'b> {
    /// On `images` with their labels; `reals` are the same images as numbers.
    pub fn new(prepared: &'b Prepared, images: &'b Split, reals: &[Vec<f32>]) -> Self {
        let scored = without_softmax(prepared);
        let float = &scored.as_ref().unwrap_or(prepared).float;
        let runner = NetRunner::new(float);
        let scores = reals.iter().map(|image| runner.forward(image).pop().unwrap_or_default()).collect();
        Self { prepared, images, scored, scores }
    }

    /// The network with all activations of type `dtype`.
    ///
    /// # Errors
    /// When it does not export.
    pub fn whole(&self, dtype: DType) -> Result<Measured> {
        let network = |prepared: &Prepared| match dtype {
            DType::I8 => Ok(prepared.network()),
            DType::I16 => prepared.int16(),
            _ => emit::float16(&prepared.float),
        };
        let name = format!("all {}", dtype.name());
        self.measure(name, Vec::new(), network)
    }

    /// The int8 network, with each of the worst layers of `report` in turn taken out of int8 too, up to those that `fix` names.
    /// The layers that read one are taken with it where that gains more than a decibel: they get its output as it is then, while others
    /// get it rounded to int8. What an earlier layer took with it makes no step of its own.
    ///
    /// # Errors
    /// When one does not export.
    pub fn fixed(&self, report: &Report, fix: Fix, dtype: DType) -> Result<Vec<Measured>> {
        let mut steps: Vec<Measured> = Vec::new();
        let mut kept: Vec<String> = Vec::new();
        for layer in report.worst().into_iter().take(fix.worst) {
            if kept.contains(&layer.name) {
                continue;
            }
            let mut step = self.mixed(&kept, vec![layer.name.clone()], dtype)?;
            let mut readers = self.readers(&layer.name);
            readers.retain(|reader| !kept.contains(reader));
            if !readers.is_empty() {
                readers.insert(0, layer.name.clone());
                let more = self.mixed(&kept, readers, dtype)?;
                step = if more.output_decibels > step.output_decibels + WORTH { more } else { step };
            }
            kept.clone_from(&step.kept);
            steps.push(step);
        }
        Ok(steps)
    }

    /// The int8 network but for the layers that are `kept`, and the same with the weights of one more of `layers` in 4 bits each time:
    /// those first that save most bytes for the noise that each makes alone. What a network of 4 bits costs is so known from both ends.
    ///
    /// # Errors
    /// When one does not export, or has no weights.
    pub fn narrowed(&self, kept: &Kept, layers: &[String]) -> Result<Vec<Measured>> {
        let narrow = |name: String, nibbles: &[String]| {
            let kept = Kept { nibbles: [kept.nibbles.as_slice(), nibbles].concat(), ..kept.clone() };
            self.measure(name, nibbles.to_vec(), |prepared| emit::mixed(prepared, &kept))
        };
        let noise = |measured: &Measured| 10f64.powf(measured.output_decibels / -10.0);
        let whole = narrow("none".to_owned(), &[])?;
        let mut ranked = Vec::new();
        for layer in layers {
            let alone = narrow(String::new(), std::slice::from_ref(layer))?;
            let saved = whole.weight_bytes as f64 - alone.weight_bytes as f64;
            if saved > 0.0 {
                ranked.push(((noise(&alone) - noise(&whole)).max(0.0) / saved, -saved, layer));
            }
        }
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut steps = vec![whole];
        let mut nibbles = Vec::new();
        for (_, _, layer) in ranked {
            nibbles.push(layer.clone());
            steps.push(narrow(format!("+ {layer}"), &nibbles)?);
        }
        Ok(steps)
    }

    /// The int8 network but for the layers that are `kept` and some `more`.
    fn mixed(&self, kept: &[String], more: Vec<String>, dtype: DType) -> Result<Measured> {
        let name = format!("+ {}", more.join(", "));
        let kept = [kept, &more].concat();
        let network = |prepared: &Prepared| {
            let there = |name: &&String| prepared.float.nodes.iter().any(|node| node.name == **name);
            let wider = those(kept.iter().filter(there).cloned().collect(), dtype);
            let nibbles = prepared.nibbles.iter().filter(|name| !wider.float16.contains(name)).cloned().collect();
            emit::mixed(prepared, &Kept { nibbles, ..wider })
        };
        self.measure(name, kept.clone(), network)
    }

    /// The layers that read the output of layer `name`, also by way of others that only move it.
    fn readers(&self, name: &str) -> Vec<String> {
        let nodes = &self.prepared.float.nodes;
        let mut values: Vec<NodeId> = self.prepared.float.find(name).into_iter().collect();
        let mut readers = Vec::new();
        // In the order of computation: what reads a value comes after it.
        for (value, node) in self.prepared.float.ids().zip(nodes) {
            if node.inputs.iter().any(|input| values.contains(input)) {
                readers.push(node.name.clone());
                if node.keeps_quantization() {
                    values.push(value);
                }
            }
        }
        readers
    }

    /// The network that `emit` makes. How near its scores are to the float network's is seen before its softmax.
    fn measure(
        &self,
        name: String,
        kept: Vec<String>,
        emit: impl Fn(&Prepared) -> Result<Network, QuantizeError>,
    ) -> Result<Measured> {
        let network = emit(self.prepared)?;
        let measured = self.run(&network, |model, outputs| {
            let labels: Vec<usize> = self.images.labels.iter().map(|&label| label.into()).collect();
            let macs = |wider: bool| {
                let steps = model.steps().filter(|step| (step.tensors.a.dtype != DType::I8) == wider);
                steps.map(|step| step.macs()).sum()
            };
            Measured {
                name,
                kept,
                accuracy: simulate::accuracy(outputs, &labels),
                output_decibels: self.decibels(model, outputs),
                weight_bytes: model.weight_bytes(),
                arena_bytes: model.arena_len(),
                macs_int8: macs(false),
                macs_wider: macs(true),
                network: network.clone(),
            }
        })?;
        let Some(scored) = &self.scored else { return Ok(measured) };
        let output_decibels = self.run(&emit(scored)?, |model, outputs| self.decibels(model, outputs))?;
        Ok(Measured { output_decibels, ..measured })
    }

    /// What `look` makes of a network's exported model, and of its outputs for every image in the runtime.
    fn run<T>(&self, network: &Network, look: impl FnOnce(&Model<'_>, &Array2<i16>) -> T) -> Result<T> {
        let exported = export::to_bytes(network, &export::Options::default())?;
        let model = Model::new(&exported.bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
        let outputs = simulate::run(model, &Images::Pixels(self.images.images.clone()))?;
        Ok(look(&model, &outputs))
    }

    /// How near the outputs of a model are to the float network's scores.
    fn decibels(&self, model: &Model<'_>, outputs: &Array2<i16>) -> f64 {
        let output = model.output();
        let mut noise = Noise::default();
        for (scores, outputs) in self.scores.iter().zip(outputs.rows()) {
            noise.add(scores, &outputs.iter().map(|&element| output.real(element)).collect::<Vec<_>>());
        }
        noise.decibels()
    }
}

/// The layers that are kept in activations of type `dtype`.
pub fn those(names: Vec<String>, dtype: DType) -> Kept {
    match dtype {
        DType::F16 => Kept { float16: names, ..Kept::default() },
        _ => Kept { int16: names, ..Kept::default() },
    }
}

/// The network up to the softmax at its end, if there is one after something else.
fn without_softmax(prepared: &Prepared) -> Option<Prepared> {
    let last = prepared.float.output();
    let Node { op, inputs, .. } = prepared.float.node(last);
    if !matches!(op, Op::Softmax { .. }) || last.0 == 1 || inputs[0].0 + 1 != last.0 {
        return None;
    }
    let mut scores = prepared.clone();
    for network in [&mut scores.float, &mut scores.corrected] {
        network.nodes.pop();
        network.outputs = vec![inputs[0]];
    }
    scores.quants.pop();
    Some(scores)
}
