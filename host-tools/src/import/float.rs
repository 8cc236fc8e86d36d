//! Building the trainer's float graph from another tool's: names made unique, numbers put in our order.

use std::collections::{BTreeMap, HashSet};

use kinglet::{QuantParams, Shape, Window};
use ndarray::{ArrayD, IxDyn};

use super::problem::{Refusal, refuse};
use super::simplify::simplify;
use crate::graph::{Activation, Builder, ConstantFunction, Dims, Function, Graph, GraphError, NodeId, Op, Params};

/// An imported float network, ready for the quantizer.
#[derive(Clone, Debug)]
pub struct ImportedFloat {
    /// The graph. Its input is height x width x channels, whatever the file had.
    pub graph: Graph,
    /// Weights, biases and batch normalization's statistics.
    pub params: Params,
    /// Quantization that the file gives for the outputs of nodes (by name); empty for a model that has none.
    pub quants: BTreeMap<String, QuantParams>,
    /// Scales of the integers that the file has for the weights of nodes (by name), one for each output channel.
    pub weight_scales: BTreeMap<String, Vec<f32>>,
    /// Whether the file's tensors are channels-first: its inputs and calibration data then are too.
    pub channels_first: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A graph under construction, with its numbers.
#[derive(Debug)]
pub(super) struct FloatBuilder {
    pub(super) builder: Builder,
    params: Params,
    names: HashSet<String>,
    /// Quantization of nodes' outputs, where the file gives it.
    quants: BTreeMap<NodeId, QuantParams>,
    /// Scales of nodes' weights, where the file has them as integers.
    weight_scales: BTreeMap<NodeId, Vec<f32>>,
    /// Bounds of nodes' outputs, of as many nodes as were asked for.
    bounds: Vec<(f64, f64)>,
}

/// A graph, its numbers, and what the file says of the quantization of nodes, by their names.
pub(super) struct Finished {
    pub(super) graph: Graph,
    pub(super) params: Params,
    pub(super) quants: BTreeMap<String, QuantParams>,
    pub(super) weight_scales: BTreeMap<String, Vec<f32>>,
}

/// Batch normalization's numbers.
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) epsilon: f32,
}

impl FloatBuilder {
    pub(super) fn new(name: &str, input: Shape) -> Result<Self, Refusal> {
        let builder = Builder::new(name, input).map_err(refusal)?;
        let names = HashSet::from(["input".to_owned()]);
        let (quants, weight_scales) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { builder, params: Params::new(), names, quants, weight_scales, bounds: Vec::new() })
    }

    pub(super) fn input(&self) -> NodeId {
        self.builder.input()
    }

    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.builder.shape(id)
    }

    /// A name of its own like `wanted`; parameters are called after it.
    fn unique(&mut self, wanted: &str) -> String {
        let clean: String = wanted.chars().take(64).map(|c| if c == '.' { '_' } else { c }).collect();
        let clean = clean.trim_matches('/').to_owned();
        let mut name = if clean.is_empty() { "node".to_owned() } else { clean.clone() };
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{clean}_{count}");
        }
        name
    }

    pub(super) fn add(&mut self, wanted: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, Refusal> {
        let name = self.unique(wanted);
        self.named(&name, op, inputs)
    }

    fn named(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, Refusal> {
        self.builder.add_node(name, op, inputs).map_err(refusal)
    }

    /// Numbers of a node; as many as the dimensions say, or a refusal.
    fn numbers(&mut self, name: String, dims: &[usize], values: Vec<f32>) -> Result<(), Refusal> {
        if !values.iter().all(|v| v.is_finite()) {
            return refuse(
                "weights that are infinite or not numbers",
                "the training has diverged, or the file is corrupt",
            );
        }
        match ArrayD::from_shape_vec(IxDyn(dims), values) {
            Ok(array) => {
                self.params.insert(name, array);
                Ok(())
            }
            Err(_) => refuse("more or fewer numbers than its shape has", "the file contradicts itself"),
        }
    }

    /// A convolution with weights `[out][ky][kx][in]`.
    pub(super) fn conv(
        &mut self,
        wanted: &str,
        input: NodeId,
        window: Window,
        weights: Vec<f32>,
        bias: Vec<f32>,
        filters: u32,
    ) -> Result<NodeId, Refusal> {
        let name = self.unique(wanted);
        let [kh, kw] = window.kernel.map(|k| k as usize);
        let dims = [filters as usize, kh, kw, self.shape(input).c as usize];
        self.numbers(format!("{name}.weight"), &dims, weights)?;
        self.numbers(format!("{name}.bias"), &[filters as usize], bias)?;
        let weights = Dims { channels: filters, bias: true };
        self.named(&name, Op::Conv2d { window, weights }, &[input])
    }

    /// A depthwise convolution with weights `[ky][kx][out]`.
    pub(super) fn depthwise(
        &mut self,
        wanted: &str,
        input: NodeId,
        window: Window,
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<NodeId, Refusal> {
        let name = self.unique(wanted);
        let dims = Dims { channels: bias.len() as u32, bias: true };
        let [kh, kw] = window.kernel.map(|k| k as usize);
        self.numbers(format!("{name}.weight"), &[1, kh, kw, bias.len()], weights)?;
        self.numbers(format!("{name}.bias"), &[bias.len()], bias)?;
        self.named(&name, Op::DepthwiseConv2d { window, weights: dims }, &[input])
    }

    /// A dense layer with weights `[out][in]`.
    pub(super) fn dense(
        &mut self,
        wanted: &str,
        input: NodeId,
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<NodeId, Refusal> {
        let name = self.unique(wanted);
        let dims = [bias.len(), self.shape(input).len() as usize];
        self.numbers(format!("{name}.weight"), &dims, weights)?;
        let weights = Dims { channels: bias.len() as u32, bias: true };
        self.numbers(format!("{name}.bias"), &[bias.len()], bias)?;
        self.named(&name, Op::Dense(weights), &[input])
    }

    /// Batch normalization.
    pub(super) fn norm(&mut self, wanted: &str, input: NodeId, norm: Norm) -> Result<NodeId, Refusal> {
        let name = self.unique(wanted);
        let c = [self.shape(input).c as usize];
        if norm.variance.iter().any(|v| v + norm.epsilon <= 0.0) {
            return refuse("a variance that is not positive", "");
        }
        self.numbers(format!("{name}.gamma"), &c, norm.gamma)?;
        self.numbers(format!("{name}.beta"), &c, norm.beta)?;
        self.numbers(format!("{name}.mean"), &c, norm.mean)?;
        self.numbers(format!("{name}.variance"), &c, norm.variance)?;
        self.named(&name, Op::BatchNorm(norm.epsilon), &[input])
    }

    /// Arithmetic with a constant of the input's shape.
    pub(super) fn constant(
        &mut self,
        wanted: &str,
        function: ConstantFunction,
        input: NodeId,
        numbers: Vec<f32>,
    ) -> Result<NodeId, Refusal> {
        let name = self.unique(wanted);
        let Shape { h, w, c } = self.shape(input);
        self.numbers(format!("{name}.constant"), &[h, w, c].map(|d| d as usize), numbers)?;
        self.named(&name, Op::Constant { function, data: () }, &[input])
    }

    /// The same numbers in our order as another map.
    pub(super) fn reshape(&mut self, wanted: &str, input: NodeId, to: Shape) -> Result<NodeId, Refusal> {
        self.add(wanted, Op::Reshape(to), &[input])
    }

    /// Channels by their numbers, zeros where there is none, as a map of their own: a convolution with weights 0 and 1.
    pub(super) fn channels(
        &mut self,
        wanted: &str,
        input: NodeId,
        picked: impl ExactSizeIterator<Item = Option<usize>>,
    ) -> Result<NodeId, Refusal> {
        let (c, count) = (self.shape(input).c as usize, picked.len());
        let mut weights = vec![0.0; c * count];
        for (to, from) in picked.enumerate().filter_map(|(to, from)| Some((to, from?))) {
            match weights.get_mut(to * c + from).filter(|_| from < c) {
                Some(weight) => *weight = 1.0,
                None => return refuse("a part that leaves its input", "the file contradicts itself"),
            }
        }
        self.conv(wanted, input, Window::global([1, 1]), weights, vec![0.0; count], count as u32)
    }

    /// Rows and columns from `first` on: a depthwise convolution of one tap that is not 0.
    pub(super) fn crop(
        &mut self,
        wanted: &str,
        input: NodeId,
        first: [u32; 2],
        count: [u32; 2],
        step: [u32; 2],
    ) -> Result<NodeId, Refusal> {
        let Shape { h, w, c } = self.shape(input);
        let outside = |axis: usize| {
            let last = u64::from(first[axis]) + u64::from(count[axis].max(1) - 1) * u64::from(step[axis]);
            count[axis] == 0 || step[axis] == 0 || last >= u64::from([h, w][axis])
        };
        if outside(0) || outside(1) {
            return refuse("a part that is empty or leaves its input", "the file contradicts itself");
        }
        // The kernel is as large as what the output lacks.
        let kernel = [0, 1].map(|axis| [h, w][axis] - (count[axis] - 1) * step[axis]);
        let taps = u64::from(kernel[0]) * u64::from(kernel[1]) * u64::from(c);
        if kernel.iter().any(|&k| k > Window::MAX_EXTENT) || taps > u64::from(Shape::MAX_LEN) {
            return refuse("a slice that drops too much", "crop the image before inference");
        }
        let mut weights = vec![0.0; taps as usize];
        let tap = ((first[0] * kernel[1] + first[1]) * c) as usize;
        weights[tap..tap + c as usize].fill(1.0);
        let window = Window { kernel, stride: step, before: [0; 2], after: [0; 2] };
        self.depthwise(wanted, input, window, weights, vec![0.0; c as usize])
    }

    /// Bounds of the numbers that `id` can give whatever the image, as far as its operator tells.
    pub(super) fn bounds(&mut self, id: NodeId) -> (f64, f64) {
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        for at in self.bounds.len()..=id.0 {
            let node = self.builder.node(NodeId(at));
            let inputs: Vec<(f64, f64)> = node.inputs.iter().map(|input| self.bounds[input.0]).collect();
            let joint = inputs.iter().copied().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or(all);
            let bounds = match &node.op {
                Op::Input => self.quants.get(&NodeId(at)).map_or(all, |quant| quant_bounds(*quant)),
                Op::Activate(Activation::Relu) => Function::relu().bounds(joint),
                Op::Activate(Activation::Relu6) => Function::relu6().bounds(joint),
                Op::Activate(Activation::ReluN1To1) => Function::X.clip(-1.0, 1.0).bounds(joint),
                Op::Function(function) => function.bounds(joint),
                Op::Activate(Activation::None)
                | Op::MaxPool(_)
                | Op::AveragePool(_)
                | Op::Mean
                | Op::Concat
                | Op::Reshape(_) => joint,
                Op::Rearrange(rearrange) => {
                    rearrange.constant().map_or(joint, |c| (joint.0.min(c.into()), joint.1.max(c.into())))
                }
                Op::Softmax { .. } => (0.0, 1.0),
                // What is not negative stays so.
                Op::Add | Op::Mul if joint.0 >= 0.0 => (0.0, f64::INFINITY),
                Op::Add | Op::Mul | Op::Sub | Op::Constant { .. } | Op::BatchNorm(_) => all,
                Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::Dense(_) => all,
            };
            self.bounds.push(bounds);
        }
        self.bounds[id.0]
    }

    /// Notes the quantization that the file gives for the output of `id`.
    pub(super) fn quantized(&mut self, id: NodeId, quant: QuantParams) {
        self.quants.insert(id, quant);
    }

    /// Notes the scales of the integers that the file has for the weights of `id`: one for all, or one for each channel.
    pub(super) fn quantized_weights(&mut self, id: NodeId, scales: &[f32], channels: usize) {
        let scales = if let [one] = *scales { vec![one; channels] } else { scales.to_vec() };
        if scales.len() == channels {
            self.weight_scales.insert(id, scales);
        }
    }

    /// The graph, which must end in `output`.
    pub(super) fn finish(mut self, output: NodeId) -> Result<Finished, Refusal> {
        let whole = self.builder.finish();
        let quants = self.quants.iter().map(|(&id, &quant)| (whole.node(id).name.clone(), quant)).collect();
        let scales = std::mem::take(&mut self.weight_scales).into_iter();
        let weight_scales = scales.map(|(id, scales)| (whole.node(id).name.clone(), scales)).collect();
        let graph = simplify(whole, output, &mut self.params);
        let mut params = Params::new();
        for spec in graph.param_specs() {
            params.insert(spec.name.clone(), self.params.require(&spec.name).map_err(refusal)?.clone());
        }
        params.check(&graph).map_err(refusal)?;
        Ok(Finished { graph, params, quants, weight_scales })
    }
}

/// The least and the greatest number that an element of int8 can say.
pub(super) fn quant_bounds(quant: QuantParams) -> (f64, f64) {
    (quant.dequantize(i8::MIN.into()).into(), quant.dequantize(i8::MAX.into()).into())
}

fn refusal(error: GraphError) -> Refusal {
    (error.to_string(), String::new())
}
