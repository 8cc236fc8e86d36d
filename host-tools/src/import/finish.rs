//! What a network that has been read becomes: a network of integers, or a float graph and its numbers for the quantizer.

use std::collections::{BTreeMap, HashMap, HashSet};

use kinglet::{QuantParams, Shape};
use ndarray::{ArrayD, IxDyn};

use super::draft::{Draft, Given, GivenFunction, Value, refusal};
use super::problem::{Refusal, refuse};
use super::simplify::simplify;
use super::source::{Bias, Filter, List, Numbers};
use crate::graph::{
    Builder, Channels, Convert, Dims, Function, Graph, NodeId, Op, Params, Spec, Stored, StoredConstant,
    StoredFunction, StoredWeights,
};
use crate::network::{Network, Node, State, TensorInfo};

/// An imported float network, ready for the quantizer.
#[derive(Clone, Debug)]
pub struct ImportedFloat {
    /// The graph. Its input is height x width x channels, whatever the file had.
    pub graph: Graph,
    /// Weights, biases and batch normalization's statistics.
    pub params: Params,
    /// Quantization that the file gives for the outputs of nodes (by name); empty for a model that has none.
    pub quants: BTreeMap<String, QuantParams>,
    /// Whether those are of int16 activations.
    pub int16: bool,
    /// Scales of the integers that the file has for the weights of nodes (by name), one for each output channel.
    pub weight_scales: BTreeMap<String, Vec<f32>>,
    /// What the file calls the inputs.
    pub inputs: Vec<String>,
    /// What the file calls the outputs.
    pub outputs: Vec<String>,
    /// Whether the file's tensors are channels-first: its inputs and calibration data then are too.
    pub channels_first: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Where a network begins and ends, in values.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    pub(super) inputs: Vec<NodeId>,
    pub(super) outputs: Vec<NodeId>,
    /// What lasts from inference to inference; tensors are the values of their numbers.
    pub(super) states: Vec<State>,
}

impl ImportedFloat {
    /// Gives the outputs of a network that was made of it, and several inputs, the names that they have in the file.
    pub fn name_ends(&self, network: &mut Network) {
        if self.inputs.len() > 1 {
            for (&input, name) in network.inputs.iter().zip(&self.inputs) {
                name.clone_into(&mut network.tensors[input].name);
            }
        }
        for (&output, name) in network.outputs.iter().zip(&self.outputs) {
            name.clone_into(&mut network.tensors[output].name);
        }
    }
}

impl Draft {
    /// Whether each value is one that the ends depend on.
    fn wanted(&self, ends: &Ends) -> Vec<bool> {
        let mut wanted = vec![false; self.values.len()];
        ends.outputs.iter().for_each(|output| wanted[output.0] = true);
        ends.states.iter().for_each(|state| (wanted[state.tensor], wanted[state.next]) = (true, true));
        for (at, value) in self.values.iter().enumerate().rev() {
            if wanted[at] {
                value.node.inputs.iter().for_each(|id| wanted[id.0] = true);
            }
        }
        ends.inputs.iter().for_each(|input| wanted[input.0] = true);
        wanted
    }

    /// The network of integers.
    pub(super) fn into_network(self, ends: Ends) -> Result<Network, Refusal> {
        let wanted = self.wanted(&ends);
        let mut network = Network {
            name: self.options.name.clone(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: ends.states,
            labels: Vec::new(),
            pixels: None,
            rounding: self.mode().source(),
        };
        let mut tensors = vec![0; wanted.len()];
        for (at, Value { node, name, elements, rounding }) in self.values.into_iter().enumerate() {
            if !wanted[at] {
                continue;
            }
            let Some(elements) = elements else {
                return refuse(format!("`{name}` is computed in floats"), "quantize all of the network, or nothing");
            };
            tensors[at] = network.tensors.len();
            let (dtype, quant, shape) = (elements.dtype, elements.quant, node.shape);
            network.tensors.push(TensorInfo { name, shape, dtype, quant });
            if node.op != Op::Input {
                let inputs = node.inputs.iter().map(|id| tensors[id.0]).collect();
                let (op, activation, output) = (node.op.convert(&Integers)?, node.activation, tensors[at]);
                network.nodes.push(Node { name: node.name, op, activation, inputs, output, rounding });
            }
        }
        network.inputs = ends.inputs.iter().map(|id| tensors[id.0]).collect();
        network.outputs = ends.outputs.iter().map(|id| tensors[id.0]).collect();
        for state in &mut network.states {
            (state.tensor, state.next) = (tensors[state.tensor], tensors[state.next]);
        }
        Ok(network)
    }

    /// The float graph.
    pub(super) fn into_floats(self, ends: &Ends, channels_first: bool) -> Result<ImportedFloat, Refusal> {
        let (&[input, ..], []) = (&ends.inputs[..], &ends.states[..]) else {
            return refuse(
                format!("a network of floats with {} inputs and {} states", ends.inputs.len(), ends.states.len()),
                "states are for quantized models: quantize the model before it is imported",
            );
        };
        let wanted = self.wanted(ends);
        let mut build = Builder::new(&self.options.name, self.shape(input)).map_err(refusal)?;
        let (mut params, mut quants, mut weight_scales) = (Params::new(), BTreeMap::new(), BTreeMap::new());
        let mut names = Names { given: HashSet::from(["input".to_owned()]), counts: HashMap::new() };
        let mut nodes = vec![build.input(); wanted.len()];
        for other in &ends.inputs[1..] {
            nodes[other.0] =
                build.add_input(&names.unique(&self.values[other.0].name), self.shape(*other)).map_err(refusal)?;
        }
        for (at, value) in self.values.iter().enumerate() {
            if !wanted[at] || value.node.op == Op::Input {
                continue;
            }
            let name = names.unique(&value.node.name);
            let inputs: Vec<NodeId> = value.node.inputs.iter().map(|id| nodes[id.0]).collect();
            let op = match &value.node.op {
                Op::BatchNorm(norm) => Op::BatchNorm(norm.epsilon),
                op => op.convert(&Specified)?,
            };
            for (suffix, dims, numbers) in numbers(value, inputs.first().map(|&id| build.shape(id)))? {
                params.insert(format!("{name}.{suffix}"), array(&dims, numbers)?);
            }
            if let Some(Filter { weights, bias }) = value.node.op.weights()
                && let Some(scales) = weights.scales()
            {
                let scales = if let [one] = scales[..] { vec![one; bias.len()] } else { scales.to_vec() };
                weight_scales.insert(name.clone(), scales);
            }
            nodes[at] = build.add_node(&name, op, &inputs).map_err(refusal)?;
        }
        let whole = build.finish();
        for (id, quant) in &self.quants {
            if wanted[id.0] {
                quants.insert(whole.node(nodes[id.0]).name.clone(), *quant);
            }
        }
        let outputs: Vec<NodeId> = ends.outputs.iter().map(|output| nodes[output.0]).collect();
        let name = |id: &NodeId| self.values[id.0].name.clone();
        let (inputs, names) = (ends.inputs.iter().map(name).collect(), ends.outputs.iter().map(name).collect());
        let mut graph = simplify(Graph { outputs, ..whole }, &mut params);
        let mut kept = Params::new();
        for spec in graph.param_specs() {
            kept.insert(spec.name.clone(), params.require(&spec.name).map_err(refusal)?.clone());
        }
        kept.check(&graph).map_err(refusal)?;
        graph.labels.clone_from(&self.options.labels);
        let (notes, int16, outputs) = (self.notes, self.int16, names);
        Ok(ImportedFloat { graph, params: kept, quants, int16, weight_scales, inputs, outputs, channels_first, notes })
    }
}

/// What a node's numbers are called, their dimensions, and they.
type Named = (&'static str, Vec<usize>, Vec<f32>);

/// The numbers of a node.
fn numbers(value: &Value, input: Option<Shape>) -> Result<Vec<Named>, Refusal> {
    let Shape { h, w, c } = input.unwrap_or(value.node.shape);
    let [h, w, c] = [h, w, c].map(|extent| extent as usize);
    let layer = |filter: &Filter, dims: Vec<usize>| {
        let bias = reals_of_bias(&filter.bias)?;
        let channels_last = matches!(value.node.op, Op::DepthwiseConv2d { .. });
        let weights = reals(&filter.weights, bias.len(), channels_last);
        Ok(vec![("weight", dims, weights), ("bias", vec![bias.len()], bias)])
    };
    match &value.node.op {
        Op::Conv2d { window, weights } => {
            let [kh, kw] = window.kernel.map(|extent| extent as usize);
            layer(weights, vec![weights.channels(), kh, kw, c])
        }
        Op::DepthwiseConv2d { window, weights } => {
            let [kh, kw] = window.kernel.map(|extent| extent as usize);
            layer(weights, vec![1, kh, kw, weights.channels()])
        }
        Op::Dense(weights) => layer(weights, vec![weights.channels(), h * w * c]),
        Op::BatchNorm(norm) => Ok(vec![
            ("gamma", vec![c], norm.gamma.clone()),
            ("beta", vec![c], norm.beta.clone()),
            ("mean", vec![c], norm.mean.clone()),
            ("variance", vec![c], norm.variance.clone()),
        ]),
        Op::Constant { data: List::Reals(reals), .. } => Ok(vec![("constant", vec![h, w, c], reals.clone())]),
        Op::Constant { data: List::Integers(..), .. } => refuse("integers in a float network", ""),
        Op::Input | Op::Activate(_) | Op::Function(_) | Op::MaxPool(_) | Op::AveragePool(_) | Op::Mean => Ok(vec![]),
        Op::Add | Op::Sub | Op::Mul | Op::Concat | Op::Reshape(_) => Ok(vec![]),
        Op::Softmax { .. } | Op::L2Norm | Op::Rearrange(_) | Op::ResizeBilinear(_) => Ok(vec![]),
    }
}

/// Weights as real numbers; the output channel is their last dimension, or the first.
fn reals(weights: &Numbers, channels: usize, channels_last: bool) -> Vec<f32> {
    match weights {
        Numbers::Reals(reals) => reals.clone(),
        Numbers::Integers { values, scales } => {
            let each = (values.len() / channels.max(1)).max(1);
            let channel = |at: usize| if channels_last { at % channels } else { at / each };
            let scale = |at: usize| if let [one] = scales[..] { one } else { scales[channel(at)] };
            values.iter().enumerate().map(|(at, &value)| f32::from(value) * scale(at)).collect()
        }
        Numbers::Unsigned { values, scale } => values.iter().map(|&value| f32::from(value) * scale).collect(),
    }
}

fn reals_of_bias(bias: &Bias) -> Result<Vec<f32>, Refusal> {
    match bias {
        Bias::Reals(reals) => Ok(reals.clone()),
        Bias::Integers(..) => refuse("biases in integers in a float network", ""),
    }
}

/// Numbers of these dimensions, all of them finite.
fn array(dims: &[usize], values: Vec<f32>) -> Result<ArrayD<f32>, Refusal> {
    if !values.iter().all(|v| v.is_finite()) {
        return refuse("weights that are infinite or not numbers", "the training has diverged, or the file is corrupt");
    }
    match ArrayD::from_shape_vec(IxDyn(dims), values) {
        Ok(array) => Ok(array),
        Err(_) => refuse("more or fewer numbers than its shape has", "the file contradicts itself"),
    }
}

/// Names that have been given.
struct Names {
    given: HashSet<String>,
    /// How often a name has been wanted.
    counts: HashMap<String, usize>,
}

impl Names {
    /// A name of its own like `wanted`; parameters are called after it.
    fn unique(&mut self, wanted: &str) -> String {
        let clean: String = wanted.chars().take(64).map(|c| if c == '.' { '_' } else { c }).collect();
        let clean = if clean.trim_matches('/').is_empty() { "node" } else { clean.trim_matches('/') };
        let count = self.counts.entry(clean.to_owned()).or_default();
        loop {
            *count += 1;
            let name = if *count == 1 { clean.to_owned() } else { format!("{clean}_{count}") };
            if self.given.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Constants as dimensions.
struct Specified;

impl Convert<Given, Spec> for Specified {
    type Error = Refusal;

    fn weights(&self, weights: &Filter) -> Result<Dims, Refusal> {
        Ok(Dims { channels: weights.channels() as u32, bias: true })
    }

    fn constant(&self, _: &List) -> Result<(), Refusal> {
        Ok(())
    }

    fn function(&self, function: &GivenFunction) -> Result<Function, Refusal> {
        match function {
            GivenFunction::Real(function) => Ok(function.clone()),
            GivenFunction::Stored(_) => refuse("a function of integers in a float network", ""),
        }
    }
}

/// Constants as integers.
struct Integers;

impl Convert<Given, Stored> for Integers {
    type Error = Refusal;

    fn weights(&self, filter: &Filter) -> Result<StoredWeights, Refusal> {
        match (filter.weights.clone(), filter.bias.clone()) {
            (Numbers::Integers { values, scales }, Bias::Integers(bias, _)) => {
                Ok(StoredWeights::Int8 { weights: values, scales, bias })
            }
            (Numbers::Unsigned { values, scale }, Bias::Integers(bias, _)) => {
                Ok(StoredWeights::Uint8 { weights: values, scale, bias })
            }
            _ => refuse("weights in floats", "convert the model with full integer quantization (int8)"),
        }
    }

    fn constant(&self, constant: &List) -> Result<StoredConstant, Refusal> {
        match constant {
            List::Integers(data, elements) => Ok(StoredConstant { data: data.clone(), quant: elements.quant }),
            List::Reals(_) => refuse("a constant in floats", "quantize all of the network"),
        }
    }

    fn function(&self, function: &GivenFunction) -> Result<StoredFunction, Refusal> {
        match function {
            GivenFunction::Stored(function) => Ok(function.clone()),
            GivenFunction::Real(_) => refuse("a function in floats", "quantize all of the network"),
        }
    }
}
